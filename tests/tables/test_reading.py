"""Tables come back as they were written; what is damaged or strange is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actcli.errors import InputError
from actcli.tables.reading import TableRows, open_table
from actcli.tables.rows import Batch, Row
from actcli.types import Failure
from tests.tables.conftest import INFO, ROWS, Write, failure, row

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
KINDS = ["t.parquet", "t.safetensors"]


def rows_of(path: Path, num_rows: int = 100) -> list[tuple[Batch, int]]:
    batches = list(open_table(str(path)).batches(num_rows))
    return [(batch, place) for batch in batches for place in range(len(batch))]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("num_rows", [1, 2, 100])
def test_rows_come_back_as_they_were_written(write: Write, name: str, num_rows: int) -> None:
    found = rows_of(write(name), num_rows)
    assert [batch.refs[i] for batch, i in found] == [one.ref for one in ROWS]
    for (batch, i), one in zip(found, ROWS, strict=True):
        if isinstance(one, Failure):
            error = batch.failures[i].error
            assert (error.kind, error.hint) == (one.error.kind, "look")
            continue
        np.testing.assert_array_equal(batch.values[i], one.values)
        assert (tuple(batch.frames_s[i]), batch.warnings[i]) == (one.frames_s, one.warnings)
        assert (batch.parts[i], batch.num_views) == (one.part, 2)


@pytest.mark.parametrize("name", KINDS)
def test_what_made_a_table_comes_back(write: Write, name: str) -> None:
    found = open_table(str(write(name)))
    assert found.info == replace(INFO, shape=(2, 2, 3))
    assert found.num_rows == len(ROWS)


@pytest.mark.parametrize("name", KINDS)
def test_float16_is_half_of_the_digits(write: Write, name: str) -> None:
    path = write(name, info=replace(INFO, dtype="float16"))
    (batch,) = open_table(str(path)).batches(10)
    assert batch.values.dtype == np.float16
    assert isinstance(ROWS[1], Row)
    np.testing.assert_allclose(batch.values[1], ROWS[1].values, rtol=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_a_row_that_is_no_number_is_a_failure_of_its_own(write: Write, name: str) -> None:
    bad = row("nan.mp4")
    bad.values[0, 0, 0] = np.nan
    (batch,) = open_table(str(write(name, [row("a.mp4"), bad]))).batches(10)
    assert list(batch.failures) == [1]
    assert "no number" in batch.failures[1].error.message


def test_names_that_are_not_utf_8_are_readable_text_to_others(write: Write) -> None:
    names = pq.read_table(write("t.parquet")).column("input").to_pylist()
    assert names[3] == "bad\\udcff.mp4"


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_file_that_was_cut_off_is_an_input_error(write: Write, name: str, share: float) -> None:
    path = write(name)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="damaged"):
        rows_of(path)


def test_bits_that_flipped_in_the_values_are_noticed(write: Write) -> None:
    rows: list[Row | Failure] = [row(f"{n}.mp4", n) for n in range(500)]
    path = write("t.parquet", rows)
    data = bytearray(path.read_bytes())
    place = 3 * len(data) // 5  # among the values, which come last
    data[place] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        rows_of(path)


def changed(path: Path, change: Any) -> Path:
    """The same file with another table in it."""
    pq.write_table(change(pq.read_table(path)), path)
    return path


def with_info(**more: Any) -> Any:
    def change(table: Any) -> Any:
        stated = json.loads(table.schema.metadata[b"actcli"]) | more
        return table.replace_schema_metadata({b"actcli": json.dumps(stated).encode()})

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.replace_schema_metadata({}), "no embeddings of actcli"),
        (lambda table: pa.table({"x": [1]}), "no embeddings of actcli"),
        (lambda table: table.drop_columns(["frames_s"]), "no column frames_s"),
        (lambda table: table.drop_columns(["values"]), "no column values"),
        (lambda table: table.slice(0, 0), "0 rows"),
        (with_info(shape=[2, 2, 4]), "of another type"),
        (with_info(shape=[0, 2, 4]), "of another type"),
        (with_info(shape=[-1, 2, 4]), "no embeddings of actcli"),
        (with_info(precision="bf16"), "can't be told"),
        (with_info(schema="actcli.embeddings/2"), "can't be told"),
        (with_info(sampling={}), "can't be told"),
        (with_info(sampling=[]), "can't be told"),
    ],
    ids=range(12),
)
def test_a_table_that_is_not_ours_is_named(write: Write, change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_table(str(changed(write("t.parquet"), change)))


def test_a_folder_is_read_part_by_part_in_the_order_of_names(write: Write, tmp_path: Path) -> None:
    (tmp_path / "s" / "1").mkdir(parents=True)
    write("s/part-00001.parquet", [row("b.mp4")])
    write("s/part-00000.parquet", [row("a.mp4")])
    write("s/1/part-00000.parquet", [row("0.mp4")])
    (tmp_path / "s" / ".draft-1-2").write_text("half a part")
    table = open_table(str(tmp_path / "s"))
    assert table.num_rows == 3
    assert [batch.refs[0].id for batch in table.batches(10)] == ["0.mp4", "a.mp4", "b.mp4"]


def test_parts_that_were_made_otherwise_are_refused(write: Write, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    write("s/part-0.parquet")
    write("s/part-1.parquet", info=replace(INFO, precision="bf16"))
    with pytest.raises(InputError, match=r"part-1\.parquet: was made otherwise.*: precision"):
        open_table(str(tmp_path / "s"))


def test_a_folder_without_parts_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Parquet files"):
        open_table(str(tmp_path))


def test_rows_that_are_left_out_are_left_out_of_the_batches(write: Write) -> None:
    rows = TableRows(open_table(str(write("t.parquet"))), num_rows=2)
    wanted = (ref for ref in rows.refs() if ref.id in ("first.mp4", "b.mp4", "bad\udcff.mp4"))
    assert [places for _, places in rows.taken(wanted)] == [[0], [0, 1]]


def test_a_table_of_failures_alone_has_the_shape_that_was_found(tmp_path: Path) -> None:
    from actcli.tables.writing import FileWriter

    writer = FileWriter(tmp_path / "t.parquet", INFO, lambda: (2, 2, 3))
    writer.write(failure("a.mp4"))
    writer.finish()
    (batch,) = open_table(str(tmp_path / "t.parquet")).batches(5)
    assert (list(batch.failures), batch.values.shape) == ([0], (1, 2, 2, 3))
