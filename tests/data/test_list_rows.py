"""Lists of any length, row by row: CSV, JSON Lines, Parquet and plain paths."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from actcli.data.inputs import count_known, expand_inputs
from actcli.data.list_rows import stream_rows
from actcli.errors import InputError, ManifestError
from actcli.paths import AllowedUri, TarMember
from actcli.types import VideoRef

ROWS = [
    {"path": "a.mp4", "start": None, "end": None, "label": "run", "id": "first"},
    {"path": "s3://b/c.mp4", "start": 1.5, "end": 3.0, "label": None, "id": None},
]


def expected(root: Path) -> list[VideoRef]:
    return [
        VideoRef(str(root / "a.mp4"), id="first", label="run"),
        VideoRef("s3://b/c.mp4", 1.5, 3.0),
    ]


def test_a_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("\nPath,Start,end,label,id,notes\na.mp4,,,run,first,x\n\n"
                    's3://b/c.mp4,1.5,3.0,,,"several\nlines"\n')  # fmt: skip
    assert list(stream_rows(str(path))) == expected(tmp_path)


def test_a_tsv_of_one_column_is_read(tmp_path: Path) -> None:
    (tmp_path / "l.tsv").write_text("uri\nhttps://x/a,b.mp4\n")
    assert [ref.path for ref in stream_rows(str(tmp_path / "l.tsv"))] == ["https://x/a,b.mp4"]


def test_json_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text("\n".join(json.dumps(row | {"caption": "…"}) for row in ROWS) + "\n\n")
    assert list(stream_rows(str(path))) == expected(tmp_path)


def test_plain_lines_are_paths(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"a b,c.mp4\r\n\n\xff.mp4\n")
    found = [ref.path for ref in stream_rows(str(tmp_path / "l.txt"))]
    assert found == [str(tmp_path / "a b,c.mp4"), os.path.join(str(tmp_path), "\udcff.mp4")]


def test_parquet_is_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "l.parquet"
    pq.write_table(pa.Table.from_pylist([row | {"emb": [1.0]} for row in ROWS]), path)
    assert list(stream_rows(str(path))) == expected(tmp_path)


def test_rows_come_before_the_bad_one_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("path,start,end\na.mp4,,\nb.mp4,2,1\n")
    rows = stream_rows(str(path))
    assert next(rows).path == str(tmp_path / "a.mp4")
    with pytest.raises(ManifestError, match=r'l\.csv:3: bad "end" \(got 1\.0'):
        next(rows)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("l.csv", b"a.mp4,run\n", "no column for the video"), ("l.csv", b"", "no column"),
     ("l.csv", b"path,label\na.mp4\n", "wrong number of cells"),
     ("l.csv", b"path\n\0\n", "binary data"), ("l.csv", b'path,label\n"a"b,c\n', "as cells"),
     ("l.csv", b"path,start\na.mp4,soon\n", 'bad "start"'),
     ("l.jsonl", b"{}\n", 'bad "path"'), ("l.jsonl", b"[1]\n", "not a JSON object"),
     ("l.jsonl", b'{"path": "a", "label": [1]}\n', 'bad "label"'),
     ("l.txt", b"x" * (1 << 20), "longer than 1 MiB"), ("l.parquet", b"PAR1", "not a Parquet")],
)  # fmt: skip
def test_what_is_no_list_is_said_so(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=reason):
        list(stream_rows(str(tmp_path / name)))


def test_a_list_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(InputError, match="--list"):
            list(stream_rows(str(path)))


def test_a_list_is_read_no_further_than_wanted(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path\na.mp4\nb.mp4\n" + "broken,row\n")
    refs = expand_inputs([], lists=[str(tmp_path / "l.csv")], limit=2)
    assert count_known(refs) is None
    assert len(list(refs)) == 2


def test_lists_come_after_arguments(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path\nb.mp4\n")
    refs = expand_inputs(["a.mp4"], lists=[str(tmp_path / "l.csv")] * 2)
    assert [os.path.basename(ref.path) for ref in refs] == ["a.mp4", "b.mp4", "b.mp4"]


def test_a_list_names_uris_only_where_allowed(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("path,start\ns3://b/a.mp4,\ns3://b/b.mp4,1\nc.mp4,\ns3://b/x.tar,\n")
    for allow in (False, True):
        refs = islice(expand_inputs([], lists=[str(path)], allow_remote=allow), 3)
        kinds = [isinstance(ref.path, AllowedUri) for ref in refs]
        assert kinds == [allow, allow, False]


def test_an_archive_in_a_list_that_may_not_name_uris_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("s3://b/x.tar\n")
    (ref,) = expand_inputs([], lists=[str(tmp_path / "l.txt")])
    assert (ref.path, isinstance(ref.path, TarMember)) == ("s3://b/x.tar", False)


def test_a_column_that_is_there_twice_is_no_guess(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("path,path,start\na.mp4,b.mp4,0\n")
    with pytest.raises(ManifestError, match='the column "path" is there twice'):
        list(stream_rows(str(path)))
