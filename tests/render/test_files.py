import csv
import io
import json

import pytest

from actcli.errors import UsageError
from actcli.render.files import choose_format, open_writer, sidecar_path, write_sidecar
from actcli.render.records import run_record, to_record


def written(format, results, run=None, **options):
    stream = io.BytesIO()
    writer = open_writer(format, stream=stream, **options)
    for result in results:
        writer.write(result)
    writer.finish(run)
    writer.close()
    return stream.getvalue().decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("requested", "path", "is_terminal", "expected"),
    [
        ("auto", None, True, "table"),
        ("auto", None, False, "jsonl"),
        ("auto", "preds.CSV", True, "csv"),
        ("auto", "preds.ndjson", False, "jsonl"),
        ("json", "preds.csv", False, "json"),
        ("tsv", None, True, "tsv"),
        ("auto", "/dev/null", True, "jsonl"),
    ],
)
def test_the_format_follows_flag_then_suffix_then_output(requested, path, is_terminal, expected):
    assert choose_format(requested, path=path, is_terminal=is_terminal) == expected


def test_unknown_formats_and_suffixes_are_refused():
    with pytest.raises(UsageError, match=r"\.parquet"):
        choose_format(path="preds.parquet")
    with pytest.raises(UsageError) as caught:
        choose_format("jsonll")
    assert caught.value.hint == "--format jsonl"


def test_jsonl_is_a_record_a_line(prediction, failure):
    results = [prediction(), failure("b\nad.mp4")]
    lines = written("jsonl", results).splitlines()
    assert [json.loads(line) for line in lines] == [to_record(result) for result in results]


def test_json_is_one_object_with_the_run(prediction, failure, run):
    results = [prediction(), failure(), prediction("c.mp4")]
    document = json.loads(written("json", results, run_record(run())))
    assert document["results"] == [to_record(result) for result in results]
    assert document["run"]["fingerprint"] == "f1"
    assert json.loads(written("json", []))["results"] == []


def test_interrupted_json_is_still_valid(prediction):
    stream = io.BytesIO()
    writer = open_writer("json", stream=stream)
    writer.write(prediction())
    writer.close()
    assert json.loads(stream.getvalue())["run"] is None


@pytest.mark.parametrize(("format", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_rows_have_a_header(prediction, failure, format, delimiter):
    text = written(format, [prediction(), failure()], top=2)
    rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
    assert rows[0]["label_2"] == "jump"
    assert rows[1]["error_kind"] == "not_video"
    assert written(format, []).startswith(f"input{delimiter}ok")


@pytest.mark.parametrize("format", ["jsonl", "json", "csv", "tsv"])
def test_a_run_that_fails_before_its_first_result_leaves_the_file_alone(tmp_path, format):
    path = tmp_path / "preds"
    path.write_text("precious")
    open_writer(format, path=path).close()
    assert path.read_text() == "precious"


@pytest.mark.parametrize("format", ["jsonl", "json", "csv", "tsv"])
def test_a_run_without_results_still_makes_its_file(tmp_path, format):
    path = tmp_path / "preds"
    writer = open_writer(format, path=path)
    writer.finish()
    writer.close()
    assert path.exists()


def test_a_continued_file_has_one_header(tmp_path, prediction):
    path = tmp_path / "preds.csv"
    for _ in range(2):
        writer = open_writer("csv", path=path, append=True)
        writer.write(prediction())
        writer.close()
    assert path.read_text().count("input,") == 1
    assert path.read_text().count("a.mp4") == 2


def test_a_table_cannot_go_to_a_file(tmp_path):
    with pytest.raises(UsageError, match="table"):
        open_writer("table", path=tmp_path / "x")


def test_every_line_is_there_as_soon_as_it_is_written(tmp_path, prediction):
    path = tmp_path / "preds.jsonl"
    writer = open_writer("jsonl", path=path)
    for count in (1, 2):
        writer.write(prediction())
        assert path.read_text().count("\n") == count
    writer.close()


def test_the_sidecar_stands_beside_the_results(tmp_path, run):
    path = tmp_path / "preds.jsonl"
    assert sidecar_path(path) == tmp_path / "preds.run.json"
    assert write_sidecar(path, run_record(run())) == tmp_path / "preds.run.json"
    assert json.loads((tmp_path / "preds.run.json").read_text())["schema"] == "actcli.run/1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["preds.run.json"]


def test_the_sidecar_is_not_replaced_before_the_results_are(tmp_path, prediction, run):
    path = tmp_path / "preds.jsonl"
    for fingerprint in ("f1", "f2"):
        writer = open_writer("jsonl", path=path, run=run_record(run(fingerprint=fingerprint)))
        if fingerprint == "f1":
            writer.write(prediction())
        writer.close()
    assert json.loads(sidecar_path(path).read_text())["fingerprint"] == "f1"


def test_a_device_gets_no_sidecar(run):
    assert write_sidecar("/dev/null", run_record(run())) is None
