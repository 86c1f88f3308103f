"""`actcli classify` as a shell sees it: records on stdout, sentences on stderr, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import LABELS, Cli

KEYS = [
    "schema", "input", "ok", "start", "end", "label", "score", "top", "score_kind", "calibrated",
    "method", "model", "frames_s", "cached", "warnings",
]  # fmt: skip
FAILED_KEYS = ["schema", "input", "ok", "start", "end", "method", "model", "error"]


def test_a_folder_gives_one_record_for_each_video_with_its_label(cli: Cli, videos: Path) -> None:
    done = cli("classify", videos, "--labels", LABELS)
    assert done.code == 0
    assert [(Path(r["input"]).stem, r["label"]) for r in done.records] == [
        ("jump", "jump"), ("run", "run"), ("wave", "wave"),
    ]  # fmt: skip


def test_a_record_has_the_keys_of_the_contract(cli: Cli, videos: Path) -> None:
    (record,) = cli("classify", videos / "run.mp4", "--labels", LABELS).records
    assert sorted(record) == sorted(KEYS)
    assert record["schema"] == "actcli.prediction/1"
    assert (record["method"], record["model"], record["score_kind"]) == ("clip", "demo", "softmax")
    assert sum(item["score"] for item in record["top"]) == pytest.approx(1, abs=1e-5)
    assert (record["start"], len(record["frames_s"])) == (0.0, 8)


def test_a_bad_video_among_good_ones_is_a_record_and_exit_3(cli: Cli, videos: Path) -> None:
    done = cli("classify", videos / "run.mp4", videos / "notes.txt", "--labels", LABELS)
    good, bad = done.records
    assert (done.code, good["ok"], bad["ok"]) == (3, True, False)
    assert sorted(bad) == sorted(FAILED_KEYS)
    assert bad["error"]["kind"] == "not_video"
    assert "1 of 2 videos could not be classified" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["missing.mp4", "--labels", "a,b"], 4, "not be classified"),
        (["run.mp4"], 2, "no labels"),
        (["run.mp4", "--labels", ""], 2, "labels are missing"),
        (["run.mp4", "--labels", "run,run"], 2, "run"),
        (["run.mp4", "--labels-file", "kinetics40"], 2, "kinetics400"),
        (["run.mp4", "--labels", "a", "--labels-file", "b"], 2, "--labels-file"),
        (["run.mp4", "--labels", "a", "--model", "nope"], 4, "nope"),
        (["run.mp4", "--labels", "a", "--template", "a b"], 2, "--template"),
        (["run.mp4", "--labels", "a", "--format", "jsn"], 2, "json"),
        (["run.mp4", "--labels", "a", "-o", "x.doc"], 2, ".doc"),
        (["run.mp4", "--labels", "a", "--skip-done"], 2, "-o FILE"),
        (["run.mp4", "--labels", "a", "--no-cache", "--cache-dir", "x"], 2, "--cache-dir"),
        (["run.mp4", "--labels", "a", "-q", "-v"], 2, "--verbose"),
        (["run.mp4", "--labels", "a", "-0"], 2, "--null"),
        (["run.mp4", "--labels", "a", "--frames", "0"], 2, "--frames"),
        (["run.mp4", "--labels", "a", "--device", "gpu"], 2, "--device"),
        (["run.mp4", "--labels", "a", "--device", "cuda:99"], 4, "cuda:99"),
        (["run.mp4", "--labels", "a", "--precision", "fp16", "--device", "cpu"], 2, "fp16"),
        (["run.mp4", "--labels", "a", "--on-error", "explode"], 2, "--on-error"),
        (["run.mp4", "--labels", "a", "--colour"], 2, "--colour"),
        (["-", "--labels-file", "-"], 2, "stdin"),
        (["-", "--labels", "a"], 4, "stdin"),
        (["run.mp4", "--stdin-video", "--labels", "a"], 2, "--stdin-video"),
        ([], 2, "VIDEO"),
        (["empty", "--labels", "a"], 4, "empty"),
        (["ftp://host/a.mp4", "--labels", "a"], 4, "not be classified"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_has_its_exit_code_and_one_clear_sentence(
    cli: Cli,
    videos: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    code: int,
    sentence: str,
) -> None:
    (videos / "empty").mkdir(exist_ok=True)
    monkeypatch.chdir(videos)
    done = cli("classify", *args)
    assert done.code == code, done.err
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert "error" in done.err.lower()


def test_paths_come_from_stdin_one_a_line(cli: Cli, videos: Path) -> None:
    lines = f"{videos}/wave.mp4\r\n\n{videos}/run.mp4\n".encode()
    done = cli("classify", "-", "--labels", LABELS, stdin=lines)
    assert [r["label"] for r in done.records] == ["wave", "run"]


def test_paths_come_from_stdin_ending_in_nul(cli: Cli, videos: Path) -> None:
    done = cli(
        "classify", "-0", "-", "--labels", LABELS, stdin=b"%s\0" % os.fsencode(videos / "run.mp4")
    )
    assert [r["label"] for r in done.records] == ["run"]


def test_a_json_line_trims_a_video(cli: Cli, videos: Path) -> None:
    line = json.dumps({"path": str(videos / "run.mp4"), "start": 0.5, "end": 1.0}).encode()
    (record,) = cli("classify", "-", "--labels", LABELS, stdin=line).records
    assert (record["start"], record["end"]) == (0.5, 1.0)
    assert all(0.4 <= time <= 1.0 for time in record["frames_s"])


def test_a_bad_json_line_is_named_after_the_records_before_it(cli: Cli, videos: Path) -> None:
    lines = f'{videos}/run.mp4\n{{"path": 3}}\n'.encode()
    done = cli("classify", "-", "--labels", LABELS, stdin=lines)
    assert (done.code, len(done.records)) == (3, 1)
    assert "stdin:2" in done.err


def test_the_bytes_of_a_video_come_from_stdin(cli: Cli, videos: Path) -> None:
    content = (videos / "jump.mp4").read_bytes()
    done = cli("classify", "--stdin-video", "--labels", LABELS, stdin=content)
    assert [(r["input"], r["label"]) for r in done.records] == [("-", "jump")]


def test_a_name_that_is_not_utf8_survives(cli: Cli, videos: Path, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    with open(name, "wb") as file:
        file.write((videos / "run.mp4").read_bytes())
    (record,) = cli("classify", tmp_path, "--labels", LABELS).records
    assert os.fsencode(record["input"]) == name


def test_labels_come_from_a_file_with_own_prompts(cli: Cli, videos: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("A\ta person running\nB\tsomeone waving\n")
    (record,) = cli("classify", videos / "wave.mp4", "--labels-file", file).records
    assert record["label"] == "B"


def test_the_csv_of_a_run_opens_in_a_csv_reader(cli: Cli, videos: Path) -> None:
    done = cli("classify", videos, "--labels", LABELS, "--format", "csv", "--top", "2")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["label"] for row in rows] == ["jump", "run", "wave"]
    assert "label_2" in rows[0]
    assert "label_3" not in rows[0]


def test_json_is_one_object_with_the_run(cli: Cli, videos: Path) -> None:
    whole = json.loads(cli("classify", videos, "--labels", LABELS, "--format", "json").out)
    assert len(whole["results"]) == 3
    assert whole["run"]["labels"] == LABELS.split(",")
    assert whole["run"]["counts"] == {
        "ok": 3, "failed": 0, "cached": 3, "skipped": 0, "failed_before": 0, "written": 3,
    }  # fmt: skip
    assert whole["run"]["precision"] == "fp32"


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_a_table_fits_its_terminal(
    cli: Cli, videos: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    done = cli("classify", videos, "--labels", LABELS, "--format", "table")
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    shown = [Path(line.split()[0]).stem + " " + line.split()[1] for line in lines[1:]]
    assert [pair.split("/")[-1] for pair in shown] == ["jump jump", "run run", "wave wave"]


def test_an_output_file_gets_the_records_and_the_conditions_beside_it(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    done = cli("classify", videos, "--labels", LABELS, "-o", tmp_path / "preds.jsonl")
    assert (done.code, done.out) == (0, "")
    lines = (tmp_path / "preds.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["jump", "run", "wave"]
    run = json.loads((tmp_path / "preds.run.json").read_text())
    assert (run["model"], run["counts"]["ok"]) == ("demo", 3)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_skip_done_continues_after_a_torn_line(
    cli: Cli, videos: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"preds.{suffix}"
    command = ("classify", videos, "--labels", LABELS, "-o", out)
    cli(*command)
    whole = out.read_bytes()
    out.write_bytes(whole[:-30])
    done = cli(*command, "--skip-done")
    assert done.code == 0
    labels = (
        [line.split(",")[4] for line in out.read_text().splitlines()[1:]]
        if suffix == "csv"
        else [json.loads(line)["label"] for line in out.read_text().splitlines()]
    )
    assert labels == ["jump", "run", "wave"]


def test_skip_done_refuses_results_of_other_labels(cli: Cli, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "preds.jsonl"
    cli("classify", videos, "--labels", LABELS, "-o", out)
    before = out.read_bytes()
    done = cli("classify", videos, "--labels", "run,squat", "-o", out, "--skip-done")
    assert done.code == 2
    assert "labels" in done.err
    assert out.read_bytes() == before


@pytest.mark.parametrize(("first", "code"), [("run.mp4", 3), ("notes.txt", 4)])
def test_on_error_stop_ends_at_the_first_bad_video(
    cli: Cli, videos: Path, monkeypatch: pytest.MonkeyPatch, first: str, code: int
) -> None:
    monkeypatch.chdir(videos)
    done = cli("classify", first, "notes.txt", "wave.mp4", "--labels", LABELS, "--on-error", "stop")
    assert done.code == code
    assert len(done.out.splitlines()) == (code == 3)
    assert "notes.txt: not a video" in done.err


def test_quiet_says_nothing_of_a_good_run(cli: Cli, videos: Path) -> None:
    assert cli("classify", videos, "--labels", LABELS, "-q").err == ""


def test_verbose_says_what_was_chosen(cli: Cli, videos: Path) -> None:
    err = cli("classify", videos, "--labels", LABELS, "-v").err
    assert "cpu" in err
    assert "fp32" in err


def test_the_demo_model_warns_of_words_it_never_saw(cli: Cli, videos: Path) -> None:
    err = cli("classify", videos / "run.mp4", "--labels", "run,xylophone").err
    assert "drawn figures only" in err
    assert "'xylophone'" in err


def test_labels_that_only_time_tells_apart_are_warned_of_once(cli: Cli, videos: Path) -> None:
    err = cli("classify", videos, "--labels", "sit down,stand up").err
    assert err.count("order of time") == 1


def test_limit_stops_early(cli: Cli, videos: Path) -> None:
    assert len(cli("classify", videos, "--labels", LABELS, "--limit", "2").records) == 2


def test_a_second_run_reads_nothing_and_scores_the_same(cli: Cli, videos: Path) -> None:
    command = ("classify", videos, "--labels", "run,jump,wave,squat")
    first, second = cli(*command).records, cli(*command).records
    assert all(record["cached"] for record in second)
    assert [r["top"] for r in first] == [r["top"] for r in second]


def test_a_typed_option_wins_over_one_from_the_environment(
    cli: Cli, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTCLI_LABELS_FILE", "kinetics400")
    done = cli("classify", videos / "run.mp4", "--labels", LABELS, "--no-cache")
    assert (done.code, done.records[0]["label"]) == (0, "run")
    assert not done.records[0]["cached"]


def test_a_dry_run_lists_what_it_would_classify_and_writes_nothing(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "preds.jsonl"
    done = cli("classify", videos, "--labels", LABELS, "-o", out, "--dry-run")
    assert [Path(line).name for line in done.out.splitlines()] == [
        "jump.mp4",
        "run.mp4",
        "wave.mp4",
    ]
    assert "3 videos against 3 labels" in done.err
    assert not out.exists()


def test_a_link_that_leads_in_a_circle_costs_only_itself(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.mp4").symlink_to(videos / "run.mp4")
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    done = cli("classify", tmp_path, "--labels", LABELS)
    assert done.code == 3
    assert [record["ok"] for record in done.records] == [True, False]


def test_what_is_refused_is_refused_whatever_is_cached(cli: Cli, videos: Path) -> None:
    assert cli("classify", videos / "run.mp4", "--labels", LABELS).code == 0
    done = cli("classify", videos / "run.mp4", "--labels", LABELS, "--max-duration", "1")
    assert (done.code, done.records[0]["error"]["kind"]) == (4, "too_large")


def test_skip_done_does_not_trust_the_conditions_of_another_file(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    cli("classify", videos / "run.mp4", "--labels", "run,jump", "-o", tmp_path / "p.jsonl")
    command = ("classify", videos, "--labels", "wave,squat", "-o")
    cli(*command, tmp_path / "p.csv")
    done = cli(*command, tmp_path / "p.jsonl", "--skip-done")
    assert (done.code, "is of p.csv" in done.err) == (2, True)


def test_skip_done_keeps_the_conditions_that_made_the_results(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    command = ("classify", videos, "--labels", LABELS, "-o", tmp_path / "p.jsonl")
    cli(*command)
    before = (tmp_path / "p.run.json").read_bytes()
    assert cli(*command, "--skip-done").code == 0
    assert (tmp_path / "p.run.json").read_bytes() == before
    assert cli(*command, "--skip-done", "--precision", "bf16").code == 2


def test_skip_done_remembers_that_some_videos_failed(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    command = ("classify", videos / "run.mp4", videos / "notes.txt", "--labels", LABELS)
    assert cli(*command, "-o", tmp_path / "p.jsonl").code == 3
    done = cli(*command, "-o", tmp_path / "p.jsonl", "--skip-done")
    assert (done.code, "1 of 2 videos" in done.err) == (3, True)


@pytest.mark.parametrize(
    "args", [["-L", "n" * 300], ["-o", "n" * 300 + ".jsonl"], ["-m", "n" * 300],
             ["-m", "local-dir:" + "n" * 300], ["--cache-dir", "n" * 300]],
    ids=["labels", "output", "model", "folder", "cache"],
)  # fmt: skip
def test_a_name_that_is_too_long_is_no_bug_of_ours(cli: Cli, videos: Path, args: list[str]) -> None:
    labels = [] if args[0] == "-L" else ["--labels", LABELS]
    done = cli("classify", videos / "run.mp4", *labels, *args)
    assert done.code in (0, 2, 4)
    assert "Traceback" not in done.err


def test_a_template_of_the_environment_keeps_its_spaces(
    cli: Cli, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTCLI_TEMPLATE", "a photo of {}\nfootage of {}")
    whole = json.loads(cli("classify", videos, "-l", LABELS, "-f", "json").out)
    assert whole["run"]["prompts"][0] == ["a photo of run", "footage of run"]


def test_a_scheme_that_is_not_listed_is_refused(cli: Cli) -> None:
    done = cli("classify", "ftp://host/a.mp4", "--labels", LABELS)
    assert (done.code, done.records[0]["error"]["kind"]) == (4, "refused")


def test_a_dash_as_output_is_stdout(cli: Cli, videos: Path) -> None:
    assert len(cli("classify", videos, "--labels", LABELS, "-o", "-").records) == 3


def test_the_demo_model_reads_labels_as_their_prompts_spell_them(cli: Cli, videos: Path) -> None:
    err = cli("classify", videos / "run.mp4", "--labels", "Run,JumpingJack").err
    assert "never saw" not in err
