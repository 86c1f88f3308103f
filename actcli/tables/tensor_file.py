"""A small table in one safetensors file: `values` [N, V, T', D], the rows as JSON beside them.

The digest in its header is that of everything else, so that no byte can change unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from actcli.drafts import draft_of
from actcli.errors import InputError, ResourceError
from actcli.reading import parse_json
from actcli.tables.info import Shape, TableInfo, parse_info
from actcli.tables.rows import (
    FIELDS,
    Batch,
    Row,
    check_columns,
    check_row,
    fields_of,
    make_batch,
    seen_in,
)
from actcli.tables.writing import storage_errors
from actcli.types import Failure

_INFO: Final = "actcli"
_ROWS: Final = "rows"
_DIGEST: Final = "digest"
_CHUNK_BYTES: Final = 1 << 20
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
        metadata = {_INFO: self._info.to_json(), _ROWS: listed}
        metadata[_DIGEST] = _digest_of(metadata, values.shape, [values.reshape(-1).view(np.uint8)])
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
    """The conditions of a file, and its rows by the names of their columns; every byte is checked.

    Raises InputError for a file that is damaged or none of ours.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata, names = file.metadata() or {}, list(file.keys())
            found = file.get_slice("values") if names == ["values"] else None
            shape, kind = (found.get_shape(), found.get_dtype()) if found else ([], "")
        info = parse_info(metadata.get(_INFO), str(path))
        _check_digest(path, metadata, shape)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: no safetensors file, or a damaged one ({error})") from error
    try:
        rows = list(_parsed(metadata))
        check_columns({name: [row[name] for row in rows] for name in FIELDS})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: its rows can't be read") from error
    expected = [len(rows), *info.shape], {"float32": "F32", "float16": "F16"}[info.dtype]
    if (shape, kind) != expected:
        raise InputError(f"{path}: its values are {kind} {shape} (expected {expected[1]} "
                         f"{expected[0]})")  # fmt: skip
    return info, rows


def _check_digest(path: Path, metadata: Mapping[str, str], shape: Sequence[int]) -> None:
    hint = "copy the file again, or actcli embed again"
    if _DIGEST not in metadata:
        raise InputError(f"{path}: damaged, or made before tables had a digest", hint=hint)
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        values = iter(lambda: file.read(_CHUNK_BYTES), b"")  # all that follows the header
        if _digest_of(metadata, shape, values) != metadata[_DIGEST]:
            raise InputError(
                f"{path}: changed or damaged since it was written (its digest differs)", hint=hint
            )


def _digest_of(metadata: Mapping[str, str], shape: Sequence[int], values: Iterable[Any]) -> str:
    """Hex digest of what is said of values, of their shape, and of their bytes."""
    about = json.dumps([metadata.get(_INFO), metadata.get(_ROWS), *shape])
    digest = hashlib.sha256(about.encode())
    for part in values:
        digest.update(part)
    return digest.hexdigest()


def _parsed(metadata: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    rows: list[dict[str, Any]] = parse_json(metadata[_ROWS])
    for row in rows:
        raw = row.get("input_hex")
        own = {name: row.get(name) for name in FIELDS}
        yield own | {"input_bytes": None if raw is None else bytes.fromhex(raw)}


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
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error})") from error
