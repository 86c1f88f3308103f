"""Lists, labels and results that strangers wrote: read, or refused in a sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.data.class_lists import read_classes
from actcli.data.labels import LabelSet
from actcli.data.list_rows import stream_rows
from actcli.data.list_text import DIALECTS
from actcli.data.manifest import read_manifest
from actcli.data.opposites import order_pairs, state_pairs
from actcli.data.prompts import build_prompts, resolve_templates
from actcli.data.sort_journal import JOURNAL_NAME, Journal
from actcli.eval.compare import compare
from actcli.eval.predictions import match, read_predictions, without_repeats
from actcli.models.calibrated import Calibration, read_calibration
from actcli.models.model_config import CONFIG_NAME, read_config
from actcli.render.records import PREDICTION_SCHEMA
from actcli.render.resume import load_done
from actcli.types import Run, VideoRef
from tests.eval.test_compare import of_episodes, of_videos
from tests.fuzz.making import (
    DEEP,
    changed_json,
    edited,
    examples,
    is_error,
    odd_text,
    odd_value,
    outcome,
)

LISTS = {
    "list.csv": b"path,label,start,end,split\na.mp4,run,0.5,2,train\nb.mp4,jump,,,test\n",
    "list.tsv": b"video\tclass\na.mp4\trun\nb.mp4\tjump\n",
    "list.jsonl": b'{"path":"a.mp4","label":"run","start":0.5,"end":2,"id":"x"}\n'
    b'{"video":"b.mp4","label":3}\n',
    "list.txt": b"a.mp4\trun\nb.mp4\tjump\n",
    "kinetics.csv": b"label,youtube_id,time_start,time_end,split\nrun,-abc,3,13,train\n",
    "trainlist01.txt": b"Run/v_Run_g01_c01.avi 1\nJump/v_Jump_g02_c01.avi 2\n",
    "run_test_split1.txt": b"a.avi 1\nb.avi 2\nc.avi 0\n",
    "validation.json": b'[{"id":"78","template":"Holding [something]"}]\n',
    "train_few_shot.txt": b"train0//videos/a.avi\ntrain1/78687\n",
}
TRAPS = [
    b"a" * 1_000_000,
    b" " * 1_000_000 + b"x",
    b"1," + b"a" + b" " * 300_000 + b"b",
    b"a" + b" " * 300_000 + b"b",
    b"a,b," * 250_000,
    b"path,label" + b"".join(b",c%d" % i for i in range(100_000)),
    b"path,label" + b"".join(b",c%d" % i for i in range(100_000)) + b",path",
    b'"' * 1_000_001,
    b"left right " * 20_000,
    b"path,label\n" + b"9" * 5000 + b"," + b"9" * 5000,
    b"path,label\na.mp4," + b"9" * 5000,
    b"label,youtube_id,time_start,time_end\nrun,x," + b"9" * 5000 + b",1",
    b"label,youtube_id,time_start,time_end\nrun,x,1," + b"9" * 5000,
    b"[1]", b"[null]\n", b"[1,2]", b"{}", b'{"a":{}}', b'{"path":"a","label":1e999}',
    b"\xff\xfea\0,\0b\0\n\0\0\0", b"\xff\xfe\0", b"\xef\xbb\xbf", b"\0", b"",
    b'{"path":"\\ud800","label":"\\ud800"}',
    b'{"path":"a\\u0000b","label":"run"}',
    b"train" + b"9" * 5000 + b"//a.avi",
    *(text.encode() for text in DEEP),
    b'{"path":"a","label":' + DEEP[0].encode() + b"}",
    b'{"path":' + DEEP[0].encode() + b',"label":"x"}',
    b"[" + DEEP[0].encode() + b"]",
]  # fmt: skip


def readers(folder: Path) -> dict[str, Callable[[Path], object]]:
    """Everything that reads text, by name."""
    known = LabelSet(("run", "jump"))

    def labels(path: Path) -> object:
        found = LabelSet.from_file(path)
        return build_prompts(found, resolve_templates(())), order_pairs(found), state_pairs(found)

    def predictions(path: Path) -> object:
        records = without_repeats(str(path), read_predictions(str(path)))
        return match(records, [VideoRef("a.mp4"), VideoRef("b.mp4", 0.5, 2.0)])

    def done(path: Path) -> object:
        found = load_done(path, "jsonl", RUN)
        return found.take(VideoRef("a.mp4")), found.take(VideoRef("a.mp4", 0.5, 1.0))

    def csv_done(path: Path) -> object:
        found = load_done(path, "csv", RUN)
        return found.take(VideoRef("a.mp4")), found.take(VideoRef("a.mp4", 0.5, 1.0))

    def journal(path: Path) -> object:
        os.replace(path, path.with_name(JOURNAL_NAME))
        with Journal(str(folder)) as journal:
            return journal.unsettled(), journal.moved()

    return {
        "manifest": read_manifest,
        "numbered": lambda path: read_manifest(path, names=("zero", "one"), split="train1"),
        "rows": lambda path: list(stream_rows(str(path))),
        "labels": labels,
        "classes": lambda path: read_classes(str(path), known),
        "predictions": predictions,
        "done": done,
        "csv done": csv_done,
        "journal": journal,
        "calibration": read_calibration,
    }


SUFFIX = {b"": "txt", b"p": "csv", b"{": "jsonl", b"[": "json"}
NAMES = tuple(readers(Path()))
RUN = Run("classify", {}, {}, "demo", "d", "f", ("run",), (("run",),), "cpu", "fp32", 0, "now")
RECORD: dict[str, Any] = {
    "schema": PREDICTION_SCHEMA, "input": "a.mp4", "ok": True, "start": 0.0, "end": 2.0,
    "label": "run", "score": 0.75, "top": [{"label": "run", "score": 0.75}],
}  # fmt: skip
SIDECAR = {"fingerprint": "f", "model": "demo", "model_digest": "d", "labels": ["run"],
           "prompts": [["run"]], "config": {}, "notes": {"output": "list.jsonl"}}  # fmt: skip


def read_all(folder: Path, name: str, content: bytes) -> None:
    for read in readers(folder).values():
        path = folder / name
        path.write_bytes(content)
        outcome(lambda: read(path))  # noqa: B023


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", TRAPS, ids=lambda c: f"{len(c)}-{c[:12].hex()}")
def test_known_traps_are_read_or_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / f"list.{'txt' if content[:1] not in b'p{[' else SUFFIX[content[:1]]}"
    path.write_bytes(content)
    outcome(lambda: readers(tmp_path)[name](path))


@examples(40)
@given(st.sampled_from(sorted(LISTS)), st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    read_all(tmp_path_factory.mktemp("any"), name, content)


@examples(60)
@given(st.sampled_from(sorted(LISTS)).flatmap(
    lambda name: st.tuples(st.just(name), edited(LISTS[name]))))  # fmt: skip
def test_lists_with_bytes_changed(
    tmp_path_factory: pytest.TempPathFactory, given: tuple[str, bytes]
) -> None:
    read_all(tmp_path_factory.mktemp("edited"), *given)


@examples(40)
@given(st.lists(st.lists(odd_text, min_size=1, max_size=5), max_size=4),
       st.sampled_from([",", "\t", ";", " "]), st.sampled_from(["path,label", "", "video,start"]),
       st.sampled_from(["utf-8", "utf-16"]))  # fmt: skip
def test_cells_that_are_none(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]], mark: str, header: str, encoding: str,
) -> None:  # fmt: skip
    text = "\n".join([header.replace(",", mark), *map(mark.join, rows)])
    content = text.encode(encoding, "surrogatepass")
    read_all(tmp_path_factory.mktemp("cells"), "list.csv", content)


@examples(40)
@given(changed_json(RECORD), changed_json(RECORD))
def test_records_with_other_types(
    tmp_path_factory: pytest.TempPathFactory, one: Any, other: Any
) -> None:
    folder = tmp_path_factory.mktemp("records")
    (folder / "list.run.json").write_text(json.dumps(SIDECAR))
    lines = "".join(json.dumps(record) + "\n" for record in (one, RECORD, other))
    read_all(folder, "list.jsonl", lines.encode())
    read_all(folder, "list.jsonl", json.dumps({"results": [one, other]}).encode())


@examples(40)
@given(changed_json(SIDECAR))
def test_the_record_of_a_run_with_other_types(
    tmp_path_factory: pytest.TempPathFactory, sidecar: Any
) -> None:
    path = tmp_path_factory.mktemp("run") / "list.jsonl"
    path.write_text(json.dumps(RECORD) + "\n")
    path.with_name("list.run.json").write_text(json.dumps(sidecar))
    outcome(lambda: load_done(path, "jsonl", RUN))


@examples(40)
@given(st.dictionaries(st.sampled_from(["path", "video", "label", "start", "end", "split", "id"]),
                       odd_value, min_size=1))  # fmt: skip
def test_rows_of_json_with_other_types(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]
) -> None:
    lines = json.dumps(row) + "\n" + json.dumps({"path": "a", "label": "run"} | row) + "\n"
    read_all(tmp_path_factory.mktemp("rows"), "list.jsonl", lines.encode())


CALIBRATION = Calibration(
    identity={"model": "d", "sampling": {"num_frames": 8}}, labels=("run", "jump"),
    prompts=(("a",), ("b",)), score_kind="softmax", temperature=1.5, rule="bank",
    known={"bank": (0.1, 0.9)}, unknown={"bank": (0.2,)}, label_thresholds=(0.5, 0.6),
).stated()  # fmt: skip


@examples(60)
@given(changed_json(CALIBRATION))
def test_calibrations_with_other_types(
    tmp_path_factory: pytest.TempPathFactory, stated: Any
) -> None:
    path = tmp_path_factory.mktemp("calibration") / "c.json"
    path.write_text(json.dumps(stated))
    found = outcome(lambda: read_calibration(path))
    if isinstance(found, Calibration):
        identity = {"model": "d", "sampling": {"num_frames": 8}}
        outcome(lambda: found.mismatch(identity, ("run", "jump"), (("a",), ("b",)), False))
        assert outcome(lambda: found.digest)


@examples(40)
@given(st.lists(changed_json({"schema": "actcli.sorted/1", "state": "done", "action": "move",
                              "from": "/a/1.mp4", "to": "run/1.mp4"}), max_size=3))  # fmt: skip
def test_journals_with_other_types(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    (folder / JOURNAL_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Journal(str(folder)) as journal:
        outcome(journal.unsettled)
        outcome(journal.moved)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", sorted(LISTS))
def test_any_list_read_as_any_kind(tmp_path: Path, name: str, dialect: str) -> None:
    path = tmp_path / name
    path.write_bytes(LISTS[name])
    outcome(lambda: read_manifest(path, dialect=dialect))


@examples(60)
@given(st.data())
def test_results_of_eval_with_other_types(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("eval")
    path = folder / "a.json"
    whole = of_videos(path, {1}) if data.draw(st.booleans()) else of_episodes(path, [0.5, 1.0, 0.0])
    record = data.draw(changed_json(json.loads(Path(whole).read_text())))
    (folder / "b.json").write_text(json.dumps(record))
    outcome(lambda: compare(whole, str(folder / "b.json")))
    outcome(lambda: compare(str(folder / "b.json"), whole))


CONFIG = {"model_cfg": {"embed_dim": 8, "vision_cfg": {"layers": 2, "width": 16, "image_size": 32},
                        "text_cfg": {"layers": 2, "width": 16, "vocab_size": 99}},
          "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}  # fmt: skip


@examples(80)
@given(changed_json(CONFIG))
def test_configs_of_models_with_other_types(
    tmp_path_factory: pytest.TempPathFactory, config: Any
) -> None:
    folder = tmp_path_factory.mktemp("model")
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    outcome(lambda: read_config(folder))


@pytest.mark.parametrize("text", [*DEEP, "[]", '{"model_cfg":{"embed_dim":8,"text_cfg":{},'
                                  '"vision_cfg":{"layers":[1e999]}}}'])  # fmt: skip
def test_configs_of_models_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIG_NAME).write_text(text)
    assert is_error(outcome(lambda: read_config(tmp_path)))
