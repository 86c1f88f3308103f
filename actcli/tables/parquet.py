"""Rows of embeddings as Parquet has them: the columns, and the way there and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from actcli.errors import InputError, ResourceError
from actcli.tables.info import TableInfo, parse_info
from actcli.tables.rows import FIELDS, Batch, Row, check_row, fields_of, make_batch
from actcli.types import Failure

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY: Final = b"actcli"
_KEYS: Final = ("input", "input_bytes", "path", "label", "trim_start", "trim_end", "ok")


def load_pyarrow() -> Any:
    """The library, with its `parquet` module.

    Raises ResourceError where it isn't installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ResourceError(
            "Parquet needs the package pyarrow, which is not installed",
            hint='pip install "actcli[parquet]"',
        ) from error
    return pyarrow


def schema_of(info: TableInfo) -> pa.Schema:
    """The columns of a table, with its conditions as metadata."""
    pa = load_pyarrow()
    text, number, count = pa.string(), pa.float64(), pa.int64()
    types = dict.fromkeys(FIELDS, text) | {
        "input_bytes": pa.binary(),
        "ok": pa.bool_(),
        "frames_s": pa.list_(number),
        "warnings": pa.list_(text),
        "first_frame": count,
        "last_frame": count,
    }
    types |= dict.fromkeys(("start", "end", "trim_start", "trim_end", "video_s"), number)
    fields = [pa.field(name, types[name], nullable=name not in ("input", "ok")) for name in FIELDS]
    fields.append(pa.field("values", _values_type(info)))
    return pa.schema(fields, metadata={METADATA_KEY: info.to_json().encode()})


def _values_type(info: TableInfo) -> Any:
    pa = load_pyarrow()
    kind = pa.float16() if info.dtype == "float16" else pa.float32()
    return pa.list_(pa.field("element", kind, nullable=False), info.size)


def to_arrow(rows: Sequence[Row | Failure], info: TableInfo) -> pa.Table:
    """Rows as a table; the values of failures are null."""
    pa = load_pyarrow()
    schema = schema_of(info)
    fields = [fields_of(row) for row in rows]
    columns = [
        pa.array([field[name] for field in fields], schema.field(name).type) for name in FIELDS
    ]
    values = np.zeros((len(rows), info.size), info.dtype)
    is_ok = np.zeros(len(rows), bool)
    for i, row in enumerate(rows):
        if isinstance(row, Row):
            check_row(row, info)
            values[i], is_ok[i] = row.values.reshape(-1), True
    bits = pa.py_buffer(np.packbits(is_ok, bitorder="little").tobytes())
    numbers = pa.array(values.reshape(-1))
    kind = schema.field("values").type
    columns.append(pa.Array.from_buffers(kind, len(rows), [bits], children=[numbers]))
    return pa.Table.from_arrays(columns, schema=schema)


def open_writer(path: Path, info: TableInfo) -> Any:
    """A Parquet writer for the columns of a table."""
    pa = load_pyarrow()
    plain = [name for name in FIELDS if name not in ("frames_s", "warnings")]
    return pa.parquet.ParquetWriter(
        path,
        schema_of(info),
        compression="zstd",
        use_dictionary=[name for name in plain if name not in ("input", "content")],
        write_statistics=plain,
        write_page_checksum=True,
    )


def read_info(path: Path) -> tuple[TableInfo, int]:
    """The conditions of a file and how many rows it has.

    Raises InputError for a file that is damaged or none of ours.
    """
    pa = load_pyarrow()
    with damage(path), pa.parquet.ParquetFile(path) as file:
        schema, num_rows = file.schema_arrow, file.metadata.num_rows
        if len(set(schema.names)) < len(schema.names):
            raise ValueError("a column is there twice")
    info = parse_info((schema.metadata or {}).get(METADATA_KEY), str(path))
    expected = schema_of(info)
    for field in expected:
        found = schema.field(field.name).type if field.name in schema.names else None
        if found is None:
            raise InputError(f"{path}: has no column {field.name}")
        if found != field.type and not _is_same_list(found, field.type):
            raise InputError(
                f"{path}: column {field.name} is of another type (got {found}, "
                f"expected {field.type})"
            )
    return info, num_rows


def _is_same_list(found: Any, expected: Any) -> bool:
    """Whether two lists differ in the name of their elements, or in nulls among them, alone."""
    sizes = [getattr(kind, "list_size", None) for kind in (found, expected)]
    kinds = [getattr(kind, "value_type", kind) for kind in (found, expected)]
    return sizes[0] == sizes[1] and kinds[0] == kinds[1]


def read_batches(path: Path, info: TableInfo, num_rows: int) -> Iterator[Batch]:
    """All rows of a file in order, at most so many at once.

    Raises InputError where the file is damaged.
    """
    pa = load_pyarrow()
    columns = [*FIELDS, "values"]
    with damage(path), pa.parquet.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):  # over all at once, the library keeps them all
            for batch in file.iter_batches(num_rows, [group], columns, use_threads=False):
                yield _from_arrow(batch, info)


def read_keys(path: Path) -> Iterator[dict[str, Any]]:
    """What tells which videos the rows are of, without their values."""
    pa = load_pyarrow()
    with damage(path), pa.parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(1 << 14, [group], list(_KEYS), use_threads=False):
                yield from batch.to_pylist()


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn what the library makes of a bad file into an InputError."""
    pa = load_pyarrow()
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, TypeError) as error:
        said = str(error).strip().partition("\n")[0].rstrip(".")
        raise InputError(f"{path}: no Parquet file, or a damaged one ({said})") from error


def _from_arrow(batch: Any, info: TableInfo) -> Batch:
    columns = {name: _listed(batch.column(name)) for name in FIELDS}
    return make_batch(columns, _values(batch.column("values"), info), info.num_views)


def _values(column: Any, info: TableInfo) -> NDArray[Any]:
    """[n, V, T', D]; NaN where there is none."""
    size, count = info.size, len(column)
    numbers = column.values.slice(column.offset * size, count * size)
    values = numbers.to_numpy(zero_copy_only=False)
    if column.null_count:
        values = np.array(values)
        values.reshape(count, size)[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    shaped: NDArray[Any] = values.reshape(count, *info.shape)
    return shaped


def _listed(column: Any) -> list[Any]:
    """The items of a column, by ways that are fast where many are alike."""
    count = len(column)
    if column.null_count == count:
        return [None] * count
    if not hasattr(column, "flatten") or not hasattr(column.type, "value_type"):
        return list(column.to_pylist())
    flat = column.flatten()
    if len(flat) == 0:
        return [()] * count
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    if not column.null_count and not flat.null_count and (lengths == lengths[0]).all():
        numbers = np.array(flat.to_pylist()) if flat.type == "string" else flat.to_numpy()
        return list(numbers.reshape(count, -1).tolist())
    return list(column.to_pylist())
