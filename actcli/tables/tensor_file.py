"""A small table in one safetensors file: `values` [N, V, T', D], the rows as JSON beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from actcli.drafts import draft_of
from actcli.errors import InputError, ResourceError
from actcli.tables.info import Shape, TableInfo, parse_info
from actcli.tables.rows import FIELDS, Batch, Row, check_row, fields_of, make_batch, seen_in
from actcli.tables.writing import storage_errors
from actcli.types import Failure

MAX_BYTES: Final = 1 << 30
"""Values of a file, which are in memory until it is written."""
_MAX_ROWS_BYTES: Final = 90 << 20
"""JSON of its rows: the format allows no header above 100 MB."""


class TensorWriter:
    """One safetensors file that is written when it is finished; an earlier end leaves none.

    find_shape: [V, T', D] of rows, asked if none is good
    """

    def __init__(self, path: Path, info: TableInfo, find_shape: Callable[[], Shape]) -> None:
        self._path, self._info, self._find_shape = path, info, find_shape
        self._rows: list[tuple[Row | Failure, str]] = []
        self._num_bytes = self._json_bytes = 0

    def write(self, row: Row | Failure) -> None:
        """Take one row. Raises ResourceError for one too many."""
        if isinstance(row, Row) and not self._info.size:
            self._info = seen_in(self._info, row)
        fields = fields_of(row)
        raw = fields.pop("input_bytes")
        text = json.dumps(fields | ({} if raw is None else {"input_hex": raw.hex()}))
        self._rows.append((row, text))
        self._num_bytes += self._info.row_bytes
        self._json_bytes += len(json.dumps(text))
        if self._num_bytes > MAX_BYTES or self._json_bytes > _MAX_ROWS_BYTES:
            raise ResourceError(
                f"{self._path}: a safetensors table holds no more than {len(self._rows) - 1} "
                "videos as long as these",
                hint=f"-o {self._path.with_suffix('')}/ writes Parquet files, of any number",
            )

    def finish(self) -> None:
        """Write the file."""
        if not self._info.size:
            self._info = replace(self._info, shape=self._find_shape())
        values = np.zeros((len(self._rows), *self._info.shape), self._info.dtype)
        for i, (row, _) in enumerate(self._rows):
            if isinstance(row, Row):
                check_row(row, self._info)
                values[i] = row.values
        listed = "[" + ",".join(text for _, text in self._rows) + "]"
        metadata = {"actcli": self._info.to_json(), "rows": listed}
        with storage_errors(self._path), draft_of(self._path) as draft:
            draft.touch()
            mode = draft.stat().st_mode  # the library's files are for their owner alone
            try:
                save_file({"values": values}, draft, metadata)
            except SafetensorError as error:
                raise OSError(str(error)) from error
            draft.chmod(mode)
            with draft.open("rb") as file:
                os.fsync(file.fileno())

    def close(self) -> None:
        """Forget the rows."""
        self._rows = []


def read_tensors(path: Path) -> tuple[TableInfo, list[dict[str, Any]]]:
    """The conditions of a file, and its rows by the names of their columns.

    Raises InputError for a file that is damaged or none of ours.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            found = file.get_slice("values") if "values" in file.keys() else None  # noqa: SIM118
            shape, kind = (found.get_shape(), found.get_dtype()) if found else ([], "")
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: no safetensors file, or a damaged one ({error})") from error
    info = parse_info(metadata.get("actcli"), str(path))
    try:
        rows = [{name: row.get(name) for name in FIELDS} | row for row in _parsed(metadata)]
        is_whole = all(isinstance(row["input"], str) for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: its rows can't be read") from error
    expected = [len(rows), *info.shape], {"float32": "F32", "float16": "F16"}[info.dtype]
    if not is_whole or (shape, kind) != expected:
        raise InputError(f"{path}: its values are {kind} {shape} (expected {expected[1]} "
                         f"{expected[0]})")  # fmt: skip
    return info, rows


def _parsed(metadata: dict[str, str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(metadata["rows"])
    for row in rows:
        raw = row.pop("input_hex", None)
        row["input_bytes"] = None if raw is None else bytes.fromhex(raw)
    return rows


def read_tensor_batches(
    path: Path, info: TableInfo, rows: list[dict[str, Any]], num_rows: int
) -> Iterator[Batch]:
    """All rows of a file in order, at most so many at once."""
    try:
        with safe_open(path, "numpy") as file:
            values = file.get_slice("values")
            for first in range(0, len(rows), num_rows):
                some = rows[first : first + num_rows]
                columns = {name: [row[name] for row in some] for name in FIELDS}
                yield make_batch(columns, values[first : first + len(some)], info.num_views)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged ({error})") from error
