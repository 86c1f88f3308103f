"""A table of embeddings as it is read: one file, or all Parquet files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actcli.errors import InputError
from actcli.tables import parquet
from actcli.tables.info import TableInfo
from actcli.tables.rows import Batch
from actcli.tables.tensor_file import read_tensor_batches, read_tensors
from actcli.types import VideoRef


@dataclass(frozen=True, slots=True)
class EmbeddingTable:
    """Embeddings that were computed before; nothing of them is in memory until it is asked for."""

    name: str
    info: TableInfo
    num_rows: int
    files: tuple[Path, ...]
    """Parquet files, in the order of their names."""
    tensor_rows: list[dict[str, Any]] | None = None
    """The rows of a safetensors file."""

    def batches(self, num_rows: int) -> Iterator[Batch]:
        """All rows in order, at most so many at once.

        Raises InputError where a file is damaged.
        """
        for path in self.files:
            if self.tensor_rows is not None:
                yield from read_tensor_batches(path, self.info, self.tensor_rows, num_rows)
            else:
                yield from parquet.read_batches(path, self.info, num_rows)

    def keys(self) -> Iterator[dict[str, Any]]:
        """Rows by the columns that tell which video each is of, and whether it is good."""
        for path in self.files:
            yield from parquet.read_keys(path)


class TableRows:
    """The rows of a table as videos, of which some may be left out, and their values again.

    `refs` may be filtered and cut, lazily and in order; what is left is given to `taken`.

    num_rows: of a batch; it may be set until the first ref is asked for
    """

    def __init__(self, table: EmbeddingTable, num_rows: int = 256) -> None:
        self.table, self.num_rows = table, num_rows
        self._batch: Batch | None = None
        self._place = 0

    def refs(self) -> Iterator[VideoRef]:
        """A ref for each row."""
        for batch in self.table.batches(self.num_rows):
            self._batch = batch
            for place, ref in enumerate(batch.refs):
                self._place = place
                yield ref

    def taken(self, refs: Iterable[VideoRef]) -> Iterator[tuple[Batch, list[int]]]:
        """Batches, each with the places of those of its rows that are in `refs`."""
        batch: Batch | None = None
        places: list[int] = []
        for ref in refs:
            found = self._batch
            assert found is not None, "refs of this table"
            assert found.refs[self._place] is ref, "refs as they come, one by one"
            if found is not batch:
                if batch is not None:
                    yield batch, places
                batch, places = found, []
            places.append(self._place)
        if batch is not None:
            yield batch, places


def open_table(path: str) -> EmbeddingTable:
    """The table in a Parquet or safetensors file, or in the Parquet files of a folder.

    Raises InputError for what is no table of ours, or of parts that were made otherwise.
    """
    if os.path.isdir(path):
        return open_folder(Path(path))
    if not os.path.exists(path):
        raise InputError(f"{path}: there is no such file or folder")
    if path.lower().endswith(".safetensors"):
        info, rows = read_tensors(Path(path))
        return _checked(EmbeddingTable(path, info, len(rows), (Path(path),), rows))
    info, num_rows = parquet.read_info(Path(path))
    return _checked(EmbeddingTable(path, info, num_rows, (Path(path),)))


def open_folder(folder: Path) -> EmbeddingTable:
    """The table in the Parquet files of a folder and of the folders in it; raises InputError."""
    files = sorted(path for path in folder.rglob("*.parquet") if not path.name.startswith("."))
    if not files:
        raise InputError(
            f"{folder}: no Parquet files in this folder", hint="actcli embed VIDEO... -o FOLDER/"
        )
    first, count = parquet.read_info(files[0])
    for path in files[1:]:
        info, num_rows = parquet.read_info(path)
        count += num_rows
        if (info.fingerprint, info.shape) != (first.fingerprint, first.shape):
            raise InputError(
                f"{path}: was made otherwise than {files[0]}: {differing(first, info)}"
            )
    return _checked(EmbeddingTable(str(folder), first, count, tuple(files)))


def differing(one: TableInfo, other: TableInfo) -> str:
    """What two tables differ in, in words."""
    names = (
        "model_digest", "method", "embed_key", "precision", "sampling", "transform", "windows",
        "is_pooled", "dtype", "shape",
    )  # fmt: skip
    found = [name for name in names if getattr(one, name) != getattr(other, name)]
    if not (one.size and other.size):
        found = [name for name in found if name != "shape"]  # not known yet
    return ", ".join(name.removeprefix("is_").replace("_", " ") for name in found)


def _checked(table: EmbeddingTable) -> EmbeddingTable:
    if not table.num_rows:
        raise InputError(f"{table.name}: holds no embeddings (0 rows)")
    if not table.info.size:
        raise InputError(f"{table.name}: its rows have no values")
    return table
