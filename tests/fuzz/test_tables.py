"""Tables of embeddings from anyone: the rows that were written, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from actcli.data.list_rows import stream_rows
from actcli.tables.info import TableInfo
from actcli.tables.parquet import FIELDS, read_keys
from actcli.tables.reading import TableRows, open_table
from actcli.tables.tensor_file import TensorWriter, _digest_of
from actcli.tables.writing import FileWriter
from actcli.tasks.table_classification import video_of
from tests.fuzz.making import (
    DEEP,
    FACTOR,
    changed_json,
    edited,
    examples,
    is_error,
    odd_value,
    outcome,
)
from tests.tables.conftest import INFO, ROWS, Write, no_shape

KINDS = ("t.safetensors", "t.parquet")
CONDITIONS = json.loads(INFO.to_json()) | {"shape": [2, 2, 3]}
ROW = {"input": "a.mp4", "path": None, "label": "run", "start": 0.0, "end": 2.0,
       "trim_start": 0.25, "trim_end": 1.5, "ok": True, "error_kind": None, "error": None,
       "error_hint": None, "frames_s": [0.5, 1.5], "warnings": ["one"], "first_frame": 3,
       "last_frame": 17, "video_s": 2.0, "content": "ab", "input_hex": "61"}  # fmt: skip


def read(path: Path) -> list[Any]:
    """Every row as a video, as `classify --embeddings` has it."""
    table = open_table(str(path))
    rows = TableRows(table, 4)
    found: list[Any] = []
    for batch, places in rows.taken(rows.refs()):
        found += [video_of(batch, place) for place in places]
        assert all(ref.id for ref in batch.refs)
    if path.suffix == ".parquet":
        found += list(read_keys(path))
    repr([(one.ref, getattr(one, "times_s", None)) for one in found if hasattr(one, "ref")])
    return found


@pytest.fixture(params=KINDS)
def table(request: pytest.FixtureRequest, write: Write) -> Path:
    return write(request.param)


def test_a_valid_one_is_read(table: Path) -> None:
    assert len(read(table)) >= 5


def test_a_flipped_bit_is_refused_or_changes_nothing(write: Write) -> None:
    path = write("t.safetensors")
    content, whole = path.read_bytes(), repr(read(path))
    for i in range(0, len(content), 7 if FACTOR == 1 else 1):
        changed = bytearray(content)
        changed[i] ^= 1 << i % 8
        path.write_bytes(changed)
        found = outcome(lambda: read(path))
        assert is_error(found) or repr(found) == whole, i


def test_values_exchanged_for_others_are_refused(write: Write) -> None:
    path = write("t.safetensors")
    with safe_open(path, "numpy") as file:
        metadata, values = file.metadata(), file.get_tensor("values")
    values[1] = values[2]
    save_file({"values": values}, path, metadata)
    assert "digest differs" in str(outcome(lambda: read(path)))
    metadata.pop("digest")
    save_file({"values": values}, path, metadata)
    assert "before tables had a digest" in str(outcome(lambda: read(path)))
    save_file({"values": values, "more": values}, path, metadata)
    assert is_error(outcome(lambda: read(path)))


def test_every_length_but_the_whole_is_refused(table: Path) -> None:
    content = table.read_bytes()
    for end in [*range(0, len(content), len(content) // 60), len(content) - 1]:
        table.write_bytes(content[:end])
        assert is_error(outcome(lambda: read(table))), end


@examples(250)
@given(st.data())
def test_bytes_changed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    path = tmp_path_factory.mktemp("edited") / kind
    path.write_bytes(data.draw(edited(VALID[kind])))
    outcome(lambda: read(path))


@pytest.fixture(scope="module", autouse=True)
def valid(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("valid")
    for kind, writes in zip(KINDS, (TensorWriter, FileWriter), strict=True):
        writer = writes(folder / kind, INFO, no_shape)
        for one in ROWS:
            writer.write(one)
        writer.finish()
        VALID[kind] = (folder / kind).read_bytes()


VALID: dict[str, bytes] = {}


def refit(stated: Any) -> str:
    """Conditions as JSON, with a fingerprint that fits where there can be one."""
    try:
        names = TableInfo.__dataclass_fields__
        info = TableInfo(**{k: v for k, v in stated.items() if k in names})
        return json.dumps(stated | {"fingerprint": info.fingerprint})
    except (TypeError, AttributeError, ValueError):
        return json.dumps(stated)


def forged(path: Path, stated: str, rows: str, values: Any = None) -> Path:
    """A safetensors table that says what is wanted, under a digest that fits."""
    values = np.ones((1, 2, 2, 3), np.float32) if values is None else values
    metadata = {"actcli": stated, "rows": rows}
    metadata["digest"] = _digest_of(metadata, values.shape, [values.tobytes()])
    save_file({"values": values}, path, metadata)
    return path


@examples(120)
@given(changed_json(ROW), changed_json(CONDITIONS))
def test_rows_and_conditions_with_other_types_under_a_digest_that_fits(
    tmp_path_factory: pytest.TempPathFactory, row: Any, stated: Any
) -> None:
    path = tmp_path_factory.mktemp("forged") / "t.safetensors"
    outcome(lambda: read(forged(path, refit(CONDITIONS), json.dumps([row]))))
    outcome(lambda: read(forged(path, refit(stated), json.dumps([ROW]))))


@pytest.mark.parametrize("text", [*DEEP, "[]", "{}", "7", "null", "", "[[]]", "[1e999]", "[null]"])
def test_rows_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.safetensors"
    assert is_error(outcome(lambda: read(forged(path, refit(CONDITIONS), text))))
    assert is_error(outcome(lambda: read(forged(path, text, json.dumps([ROW])))))


@pytest.mark.parametrize("change", [{"input_hex": ""}, {"input": ""}, {"frames_s": 7},
                                    {"start": "0"}, {"warnings": [1]}, {"last_frame": None},
                                    {"ok": "yes"}, {"video_s": 1e999}])  # fmt: skip
def test_every_row_that_is_read_has_a_name_and_its_types(tmp_path: Path, change: Any) -> None:
    path = forged(tmp_path / "t.safetensors", refit(CONDITIONS), json.dumps([ROW | change]))
    assert is_error(outcome(lambda: read(path))) == ("input_hex" not in change)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [float("inf"), 1, 1]}, {"shape": [10**12, 1, 1]}, {"shape": [10**400, 1, 1]},
        {"shape": [2, 2]}, {"sampling": {"num_views": 10**12, "num_crops": 1}},
        {"sampling": {"num_views": float("inf"), "num_crops": 1}}, {"model": 7}, {"windows": [1]},
        {"dtype": []}, {"is_pooled": "no"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_conditions_beyond_all_are_refused(tmp_path: Path, change: Any, kind: str) -> None:
    path, stated = tmp_path / kind, refit(CONDITIONS | change)
    if kind == "t.parquet":
        table = pq.read_table(pa.BufferReader(VALID[kind]))
        pq.write_table(table.replace_schema_metadata({b"actcli": stated.encode()}), path)
    else:
        forged(path, stated, json.dumps([ROW]))
    assert is_error(outcome(lambda: read(path)))


@examples(100)
@given(
    st.dictionaries(
        st.sampled_from([*FIELDS, "values"]),
        st.sampled_from(
            [None, "", "\ud800", b"\xff", [], [None], [float("nan")], -1, 2**62, float("inf"), True]
        ),
        min_size=1,
        max_size=3,
    )
)
def test_parquet_rows_that_no_run_writes(
    tmp_path_factory: pytest.TempPathFactory, change: dict[str, Any]
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("rows") / "t.parquet"
    table = pq.read_table(pa.BufferReader(VALID["t.parquet"]))
    schema = pa.schema([field.with_nullable(True) for field in table.schema], table.schema.metadata)
    row = table.slice(1, 1).to_pylist()[0]
    try:
        made = pa.Table.from_pylist([row, row | change], schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return
    pq.write_table(made, path)
    outcome(lambda: read(path))


@examples(60)
@given(st.dictionaries(st.sampled_from(["path", "label", "start", "end", "id", "Path", "other"]),
                       st.one_of(odd_value, st.binary(max_size=9), st.dates(), st.decimals()),
                       min_size=1))  # fmt: skip
def test_lists_in_parquet(tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("list") / "list.parquet"
    try:
        pq.write_table(pa.Table.from_pylist([{"path": "a.mp4"} | row]), path)
    except Exception:  # what the library can't write is no file
        return
    outcome(lambda: list(stream_rows(str(path))))


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = pq.read_table(pa.BufferReader(VALID["t.parquet"]))
    pq.write_table(table.append_column("label", table["error"]), tmp_path / "t.parquet")
    assert is_error(outcome(lambda: read(tmp_path / "t.parquet")))
