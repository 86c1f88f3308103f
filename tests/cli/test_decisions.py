"""`--reject`, `--multi-label`, `--calibration` and `actcli calibrate` as a shell sees them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from actcli.demo.clips import write_clip
from tests.cli.conftest import LABELS, Cli
from tests.models.tiny_models import CONFIGS, save_model


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips each of run, jump and wave, and two of push-up."""
    folder = tmp_path_factory.mktemp("labelled")
    for c, label in enumerate((*LABELS.split(","), "push-up")):
        (folder / label).mkdir()
        for i in range(2 if label == "push-up" else 4):
            write_clip(folder / label / f"{i}.mp4", label, seed=10 * c + i)
    return folder


@pytest.fixture(scope="module")
def words(labelled: Path) -> Path:
    path = labelled.parent / "words.txt"
    path.write_text(LABELS.replace(",", "\n"))
    return path


@pytest.fixture
def calibration(cli: Cli, labelled: Path, words: Path, tmp_path: Path) -> Path:
    path = tmp_path / "cal.json"
    done = cli("calibrate", labelled, "-L", words, "-o", path)
    assert (done.code, done.err.count("Traceback")) == (0, 0), done.err
    return path


def test_unknown_actions_are_rejected_and_known_ones_kept(cli: Cli, labelled: Path) -> None:
    records = cli("classify", labelled, "--labels", LABELS, "--reject").records
    known = [r["abstained"] for r in records if "push-up" not in r["input"]]
    assert [r["abstained"] for r in records if "push-up" in r["input"]] == [True, True]
    assert known.count(True) <= 2
    assert all(r["label"] in LABELS and 0 <= r["confidence"] <= 1 for r in records)


def test_records_without_the_flags_have_no_new_keys(cli: Cli, videos: Path) -> None:
    (record,) = cli("classify", videos / "run.mp4", "--labels", LABELS).records
    assert {"abstained", "confidence", "labels"}.isdisjoint(record)


def test_a_threshold_is_that_of_the_rejection(cli: Cli, videos: Path) -> None:
    args = ("classify", videos / "run.mp4", "--labels", LABELS, "--reject", "--threshold")
    assert [cli(*args, t).records[0]["abstained"] for t in ("0.0", "1.0")] == [False, True]


def test_columns_of_their_own_stand_at_the_end_and_are_told_when_continued(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "preds.csv"
    args = ("classify", videos, "--labels", LABELS, "-o", path, "--skip-done")
    assert cli(*args, "--reject").code == 0
    (header, *rows) = csv.reader(io.StringIO(path.read_text()))
    assert header[-4:] == ["error_kind", "error", "abstained", "confidence"]
    assert {row[-2] for row in rows} <= {"true", "false"}
    assert cli(*args, "--reject").code == 0
    refused = cli(*args)
    assert (refused.code, "columns" in refused.err) == (2, True)
    assert len(path.read_text().splitlines()) == len(rows) + 1


def test_another_rule_is_another_run(cli: Cli, videos: Path, tmp_path: Path) -> None:
    path = tmp_path / "preds.jsonl"
    args = ("classify", videos, "--labels", LABELS, "-o", path, "--skip-done", "--reject")
    assert cli(*args).code == 0
    other = cli(*args, "--reject-rule", "softmax")
    assert (other.code, "reject_rule" in other.err) == (2, True)


def test_the_table_shows_none_of_these_with_the_guess(cli: Cli, labelled: Path) -> None:
    args = ("classify", labelled / "push-up" / "0.mp4", "--labels", LABELS, "-f", "table")
    done = cli(*args, "--reject")
    assert "none (" in done.out


def test_several_labels_are_a_list_and_a_cell(cli: Cli, videos: Path) -> None:
    args = ("classify", videos / "run.mp4", "--labels", LABELS, "--multi-label")
    (record,) = cli(*args).records
    assert record["labels"][0] == record["label"] == "run"
    assert record["score_kind"] == "sigmoid"
    assert cli(*args, "-f", "csv").out.splitlines()[0].endswith("error,labels")
    assert cli(*args, "--threshold", "1").records[0]["labels"] == []


def test_segments_of_several_labels_have_the_threshold_of_segments(cli: Cli, videos: Path) -> None:
    args = ("classify", videos / "run.mp4", "--labels", LABELS, "--multi-label")
    done = cli(*args, "--window", "1", "--segments", "--threshold", "0.9", "--top", "1")
    assert done.code == 0
    assert {r["label"] for r in done.records} == {"run"}


def test_frames_can_be_weighted(cli: Cli, videos: Path) -> None:
    args = ("classify", videos / "run.mp4", "--labels", LABELS)
    plain, weighted = (cli(*args, *more).records[0] for more in ((), ("--frame-weights",)))
    assert (weighted["label"], weighted["score"] != plain["score"]) == ("run", True)


def test_calibrate_says_errors_before_and_after(cli: Cli, labelled: Path, tmp_path: Path) -> None:
    done = cli("calibrate", labelled, "-o", tmp_path / "cal.json", "--report", tmp_path / "r.html")
    assert "calibration error before" in done.out
    assert "calibration error after" in done.out
    assert "Calibrated scores" in (tmp_path / "r.html").read_text()


def test_calibrated_scores_say_so_and_keep_their_order(
    cli: Cli, videos: Path, calibration: Path
) -> None:
    args = ("classify", videos, "--labels", LABELS)
    before, after = (cli(*args, *more).records for more in ((), ("--calibration", calibration)))
    assert {r["calibrated"] for r in after} == {True}
    order = [[[item["label"] for item in r["top"]] for r in part] for part in (before, after)]
    assert order[0] == order[1]


def test_a_target_is_reached_by_the_calibration(
    cli: Cli, labelled: Path, calibration: Path
) -> None:
    args = ("classify", labelled, "--labels", LABELS, "--calibration", calibration, "--reject")
    strict, loose = (cli(*args, "--target-false-accept", t).records for t in ("0", "0.9"))
    kept = [sum(not r["abstained"] for r in part) for part in (strict, loose)]
    assert kept[0] <= kept[1]
    assert all(r["abstained"] for r in strict if "push-up" in r["input"])


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (["--labels", "run,hop"], 4, "other labels"),
        (["--labels", LABELS, "--template", "bare"], 4, "other prompts"),
        (["--labels", LABELS, "--frames", "4"], 4, "another sampling"),
        (["--labels", LABELS, "--multi-label"], 4, "without --multi-label"),
        (["--labels", LABELS, "--frame-weights"], 4, "another frame weights"),
    ],
)
def test_a_calibration_of_other_scores_is_refused(
    cli: Cli, videos: Path, calibration: Path, more: list[str], code: int, sentence: str
) -> None:
    done = cli("classify", videos / "run.mp4", *more, "--calibration", calibration)
    assert (done.code, sentence in done.err) == (code, True), done.err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--reject", "--target-false-accept", "0.1"], "actcli calibrate"),
        (["--reject", "--reject-rule", "energy"], "no threshold suits every model"),
        (["--reject", "--reject-rule", "nope"], "unknown"),
        (["--target-false-accept", "0.1"], "is for --reject"),
        (["--reject", "--multi-label"], "empty list"),
    ],
)
def test_decisions_that_cannot_be_made_are_usage_errors(
    cli: Cli, videos: Path, more: list[str], sentence: str
) -> None:
    done = cli("classify", videos / "run.mp4", "--labels", LABELS, *more)
    assert (done.code, sentence in done.err) == (2, True), done.err


def test_a_checkpoint_carries_its_calibration_until_it_is_left_out(
    cli: Cli, labelled: Path, tmp_path: Path
) -> None:
    moves, sure = tmp_path / "moves.safetensors", tmp_path / "sure.safetensors"
    clip = labelled / "run" / "3.mp4"
    assert cli("fewshot", clip, "--support", labelled, "--save", moves, "-f", "jsonl").code == 0
    done = cli("calibrate", labelled, "--model", moves, "-o", sure)
    assert (done.code, "are examples of" in done.err) == (0, True), done.err
    own, out = (cli("classify", clip, "--model", sure, *more).records[0]["calibrated"]
                for more in ((), ("--calibration", "none")))  # fmt: skip
    assert (own, out) == (True, False)
    fewer = cli("classify", clip, "--model", sure, "--labels", "run,jump")
    assert (fewer.records[0]["calibrated"], "other labels" in fewer.err) == (False, True)


def test_a_few_shot_file_is_rejected_by_its_softmax(
    cli: Cli, labelled: Path, tmp_path: Path
) -> None:
    moves = tmp_path / "moves.safetensors"
    cli("fewshot", labelled / "run" / "3.mp4", "--support", labelled, "--save", moves)
    args = ("classify", labelled / "run" / "0.mp4", "--model", moves)
    (record,) = cli(*args, "--reject").records
    assert record["confidence"] == pytest.approx(record["score"], abs=1e-6)
    assert "compares with examples" in cli(*args, "--multi-label").err


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("cal.txt", "ends in .json"),
        ("cal.safetensors", "no checkpoint"),
        ("no/folder/cal.json", "no such folder"),
    ],
)
def test_an_output_that_cannot_be_is_told_before_any_work(
    cli: Cli, labelled: Path, tmp_path: Path, output: str, sentence: str
) -> None:
    done = cli("calibrate", labelled, "-o", tmp_path / output)
    assert (done.code, sentence in done.err) == (2, True)


def test_videos_of_several_labels_calibrate_each(cli: Cli, labelled: Path, tmp_path: Path) -> None:
    rows = [f"{labelled / label / f'{i}.mp4'},{label}" for label in ("run", "jump", "wave")
            for i in range(4)]  # fmt: skip
    rows.append(f"{labelled / 'run' / '0.mp4'},wave")
    (tmp_path / "all.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    done = cli("calibrate", tmp_path / "all.csv", "--multi-label", "-o", tmp_path / "cal.json")
    assert "mean average precision" in done.out, done.err
    stated = json.loads((tmp_path / "cal.json").read_text())
    assert (stated["multi_label"], len(stated["label_thresholds"])) == (True, 3)


def test_a_sigmoid_model_judges_each_label_alone_already(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    folder = save_model(tmp_path / "siglip", CONFIGS["siglip"])
    args = ("classify", videos / "run.mp4", "-m", f"local-dir:{folder}", "--no-cache", "-l")
    plain, several = (cli(*args, "run,jump", *more).records[0] for more in ((), ("--multi-label",)))
    assert several["top"] == plain["top"]
    (alone,) = cli(*args, "run", "--multi-label", "--threshold", "0").records
    scores = {item["label"]: item["score"] for item in several["top"]}
    assert alone["score"] == pytest.approx(scores["run"], rel=1e-5)
    assert alone["labels"] == ["run"]


@pytest.mark.parametrize("more", [("--reject",), ("--multi-label",), ("--frame-weights",)])
def test_a_table_of_embeddings_gives_what_its_videos_give(
    cli: Cli, labelled: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    table = tmp_path / "clips.safetensors"
    assert cli("embed", labelled, "-o", table).code == 0
    args = ("--labels", LABELS, *more, "--views", "1")
    one, two = (cli("classify", *what, *args).records for what in (
        (labelled,), ("--embeddings", table)))  # fmt: skip
    keys = ("label", "abstained", "labels")
    assert [[r.get(k) for k in keys] for r in one] == [[r.get(k) for k in keys] for r in two]
    assert [r["score"] for r in one] == pytest.approx([r["score"] for r in two], abs=1e-5)
    assert len(one) == 14


def test_one_label_alone_is_not_calibrated(cli: Cli, labelled: Path, tmp_path: Path) -> None:
    shutil.copytree(labelled / "run", tmp_path / "one/run")
    done = cli("calibrate", tmp_path / "one", "-o", tmp_path / "c.json")
    assert (done.code, (tmp_path / "c.json").exists()) == (4, False)
    assert "one label alone" in done.err


def test_a_threshold_without_a_use_is_refused(cli: Cli, videos: Path) -> None:
    done = cli("classify", videos, "--labels", LABELS, "--threshold", "0.5")
    assert done.code == 2
    assert "--threshold: is for --segments, --reject or --multi-label" in done.err
