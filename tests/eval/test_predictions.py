"""Files of predictions against the truth: whose record each is, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actcli.config_train import EvalConfig
from actcli.data.manifest import read_manifest
from actcli.errors import InputError, ManifestError
from actcli.eval.predictions import Scored, match, read_predictions
from actcli.eval.result import EvalResult
from actcli.tasks.score_file import score_file
from actcli.types import VideoRef


def record(name: str, *labels: str, **more: Any) -> str:
    top = [{"label": label, "score": round(0.5 / (i + 1), 3)} for i, label in enumerate(labels)]
    return json.dumps({"schema": "actcli.prediction/1", "input": name, "ok": True, "top": top,
                       "label": labels[0], "score": 0.5} | more)  # fmt: skip


def score(tmp_path: Path, truth: str, *records: str, several: bool = False,
          **config: Any) -> EvalResult:  # fmt: skip
    (tmp_path / "truth.csv").write_text("path,label\n" + truth)
    (tmp_path / "preds.jsonl").write_text("\n".join(records) + "\n")
    manifest = read_manifest(tmp_path / "truth.csv", several=several)
    return score_file(str(tmp_path / "preds.jsonl"), manifest, EvalConfig(**config),
                      several=several)  # fmt: skip


def test_records_are_counted_whatever_their_order(tmp_path: Path) -> None:
    six = ("a", "b", "c", "d", "e", "f")
    result = score(tmp_path, "1.mp4,a\n2.mp4,b\n3.mp4,f\n4.mp4,g\n",
                   record("3.mp4", *six), record(str(tmp_path / "1.mp4"), *six),
                   record("2.mp4", *six[:5]), record("4.mp4", *six))  # fmt: skip
    measures = result.parts[0].measures
    assert (measures.top1.count, measures.top1.total) == (1, 4)
    assert measures.top5 is not None
    assert measures.top5.count == 2  # "f" is sixth of six, "g" is not among them
    assert result.parts[0].labels == ("a", "b", "f", "g", "c", "d", "e")


def test_spellings_of_one_label_are_one(tmp_path: Path) -> None:
    result = score(tmp_path, "1.mp4,ApplyEyeMakeup\n", record("1.mp4", "apply eye makeup"))
    assert result.value("top1") == 1.0


def test_missing_and_failed_records_are_no_coverage(tmp_path: Path) -> None:
    failed = json.dumps({"input": "2.mp4", "ok": False, "error": {"message": "no frames"}})
    rows = "1.mp4,a\n2.mp4,b\n3.mp4,b\n"
    with pytest.raises(InputError, match=r"1 of 3 clips can be used .*; not .*2\.mp4"):
        score(tmp_path, rows, record("1.mp4", "a"), failed)
    result = score(tmp_path, rows, record("1.mp4", "a"), failed, allow_missing=True)
    assert [one.error.message for one in result.coverage.failures] == ["no frames",
                                                                       "no prediction"]  # fmt: skip


def test_several_labels_a_video_have_a_mean_average_precision(tmp_path: Path) -> None:
    records = record("1.mp4", "a", "b", "c"), record("2.mp4", "c", "b")
    result = score(tmp_path, "1.mp4,a\n1.mp4,b\n2.mp4,b\n", *records, several=True)
    assert result.value("map") == pytest.approx(1.0)  # c has no video
    assert result.value("top1") == 0.5


def test_conditions_come_from_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / "preds.run.json").write_text(
        json.dumps({"model": "demo", "model_digest": "abc", "config": {"templates": ["{}"]}})
    )
    result = score(tmp_path, "1.mp4,a\n", record("1.mp4", "a"))
    assert (result.run.model, result.conditions()["templates"]) == ("demo", ["{}"])
    (tmp_path / "preds.run.json").write_text("[1]")
    assert score(tmp_path, "1.mp4,a\n", record("1.mp4", "a")).run.model == "unknown"


def test_trimmed_parts_of_one_file_are_told_apart() -> None:
    refs = [VideoRef("a.mp4", 0.0, 2.0), VideoRef("a.mp4", 2.0, 4.0)]
    records = [Scored("a.mp4", 2.0, None, (("x", 1.0),)), Scored("a.mp4", 0.0, None, (("y", 1.0),))]
    found = match(records, refs)
    assert [found[ref].ranked[0][0] for ref in refs] == ["y", "x"]


def test_what_could_be_of_two_videos_is_of_none() -> None:
    refs = [VideoRef("x/a.mp4"), VideoRef("y/a.mp4"), VideoRef("z/b.mp4")]
    found = match(
        [Scored("a.mp4", 0.0, None, (("x", 1.0),)), Scored("b.mp4", 0.0, None, (("x", 1.0),))], refs
    )
    assert list(found) == [refs[2]]
    assert match(
        [Scored("a.mp4", 0.0, None, ()), Scored("./a.mp4", 0.0, None, ())], [VideoRef("a.mp4")]
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"preds\.jsonl:1: not a JSON record"),
        ("3", r"preds\.jsonl:1: not a JSON object"),
        ('{"ok": true}', r'bad "input"'),
        ('{"input": "a", "schema": "actcli.eval/1"}', "not a prediction"),
        ('{"input": "a", "top": []}', r'bad "top"'),
        ('{"input": "a", "top": [{"label": "x", "score": 2}]}', "scores from 0 to 1"),
        ('{"input": "a", "top": [{"label": "", "score": 1}]}', "scores from 0 to 1"),
        ('{"input": "a", "top": [{"label": "x", "score": NaN}]}', "scores from 0 to 1"),
        ('{"input": "a"}', r'bad "label"'),
        ('{"input": "a", "label": "x", "score": null}', r'bad "score"'),
        ('{"input": "a", "label": "x", "ok": "no"}', r'bad "ok"'),
        ('{"input": "a", "schema": "actcli.prediction/99"}', "not a prediction"),
        ('{"input": "a", "label": "x", "score": 1' + "0" * 400 + "}", r'bad "score"'),
        ('{"input": "a", "label": 3}', r'bad "label"'),
        ('{"input": "a", "label": "x", "start": -1}', r'bad "start"'),
    ],
)
def test_bad_records_are_named_by_their_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "preds.jsonl").write_text(line + "\n")
    with pytest.raises(ManifestError, match=said):
        list(read_predictions(str(tmp_path / "preds.jsonl")))


def test_results_of_one_json_object_are_read_too(tmp_path: Path) -> None:
    whole = {"run": {}, "results": [json.loads(record("1.mp4", "a"))]}
    (tmp_path / "preds.json").write_text(json.dumps(whole))
    (found,) = read_predictions(str(tmp_path / "preds.json"))
    assert found.ranked == (("a", 0.5),)


def test_a_file_of_other_videos_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no record is of a video of .* \(got x\.mp4, …; "):
        score(tmp_path, "1.mp4,a\n", record("x.mp4", "a"))


def test_parts_that_begin_alike_are_told_apart_by_their_end() -> None:
    refs = [VideoRef("a.mp4", 0.0, 1.0), VideoRef("a.mp4", 0.0, 2.0)]
    records = [Scored("a.mp4", 0.0, 2.0, (("x", 1.0),)), Scored("a.mp4", 0.0, 1.0, (("y", 1.0),))]
    found = match(records, refs)
    assert [found[ref].ranked[0][0] for ref in refs] == ["y", "x"]


def test_a_record_that_stands_there_twice_is_one_and_contradictions_are_named(
    tmp_path: Path,
) -> None:
    same = record("1.mp4", "a")
    assert score(tmp_path, "1.mp4,a\n", same, same).value("top1") == 1.0
    with pytest.raises(ManifestError, match=r"two different records of 1\.mp4"):
        score(tmp_path, "1.mp4,a\n", same, record("1.mp4", "b"))


def test_predictions_that_all_failed_are_no_number(tmp_path: Path) -> None:
    failed = json.dumps({"input": "1.mp4", "ok": False})
    with pytest.raises(InputError, match=r"no prediction that can be used \(all 1 failed\)"):
        score(tmp_path, "1.mp4,a\n", failed, allow_missing=True)


def test_odd_labels_and_odd_conditions_beside_are_no_crash(tmp_path: Path) -> None:
    for stated in ('{"config": {"sampling": 5}, "seed": "abc"}', '{"config": {}, "seed": 1e400}',
                   '{"config": {"templates": 5}}', "[" * 100_000):  # fmt: skip
        (tmp_path / "preds.run.json").write_text(stated)
        result = score(tmp_path, "1.mp4,a\n2.mp4,b\n", record("1.mp4", "Foo", "\ud800"),
                       record("2.mp4", "foo", "b"))  # fmt: skip
        assert result.value("top1") == 0.0
