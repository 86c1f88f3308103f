"""`--report` at the command line: which pages are written, when, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from actcli.cli.reporting import RunReport, check_report
from actcli.demo.clips import write_clip
from actcli.errors import UsageError
from tests.cli.conftest import Cli
from tests.render.report.making import Read, data_of

LABELS = ("climb", "push-up")


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """support/ of two classes of two clips, and a query of each in query/<label>/."""
    root = tmp_path_factory.mktemp("shown")
    for c, label in enumerate(LABELS):
        for split, seeds in (("support", (4000, 4001)), ("query", (4100,))):
            (root / split / label).mkdir(parents=True)
            for seed in seeds:
                write_clip(root / split / label / f"{seed}.mp4", label, seed=seed + 10 * c)
    return root


def read(path: Path) -> Read:
    found = Read(path.read_text(encoding="utf-8"))
    assert (found.crossed, found.open) == ([], [])
    return found


def test_fewshot_shows_its_results_and_its_examples(cli: Cli, shown: Path, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    done = cli("fewshot", shown / "query", "-s", shown / "support", "--report", page)
    assert done.code == 0, done.err
    found = read(page)
    rows = data_of(page.read_text())["rows"]
    assert [row[:2] for row in rows] == [[one["input"], one["label"]] for one in done.records]
    assert len(found.of("img")) == 16
    assert all(word in found.text for word in ("leave-one-out", "otam (used)", "climb"))


def test_fewshot_without_videos_shows_its_examples(cli: Cli, shown: Path, tmp_path: Path) -> None:
    done = cli("fewshot", "-s", shown / "support", "--report", tmp_path / "a.html")
    assert done.code == 0, done.err
    assert "Examples of 2 labels" in read(tmp_path / "a.html").text


def test_fewshot_still_writes_json_by_suffix(cli: Cli, shown: Path, tmp_path: Path) -> None:
    done = cli("fewshot", "-s", shown / "support", "--report", tmp_path / "a.json")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == "actcli.support/1"
    other = cli("fewshot", "-s", shown / "support", "--report", tmp_path / "a.txt")
    assert (other.code, "must end in .json or .html" in other.err) == (2, True)


def test_failed_videos_are_on_the_page(cli: Cli, shown: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 3000)
    words = ("fewshot", tmp_path / "bad.mp4", "-s", shown / "support", "--report")
    assert cli(*words, tmp_path / "none.html").code == 4
    assert "bad.mp4" in read(tmp_path / "none.html").text
    assert cli(*words, tmp_path / "some.html", shown / "query").code == 3
    assert data_of((tmp_path / "some.html").read_text())["rows"][0][4] == 1


def test_a_dry_run_writes_no_page(cli: Cli, shown: Path, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    words = ("fewshot", shown / "query", "-s", shown / "support", "--report", page, "--dry-run")
    assert cli(*words).code == 0
    assert not page.exists()


def test_eval_writes_its_page_though_a_gate_was_missed(
    cli: Cli, shown: Path, tmp_path: Path
) -> None:
    page = tmp_path / "a.html"
    done = cli("eval", shown / "query", "--report", page, "--max-ece", 0, "-f", "json")
    assert done.code == 5
    (record,) = done.records
    found = read(page)
    wrong = [clip for clip in record["parts"][0]["clips"] if clip[1] != clip[2]]
    assert len(found.of("img")) == 6 * len(wrong)
    assert record["run"]["model_digest"][:12] in found.text


def test_a_page_of_predictions_needs_no_model(cli: Cli, shown: Path, tmp_path: Path) -> None:
    file, page = tmp_path / "preds.jsonl", tmp_path / "a.html"
    lines = [{"input": str(path), "label": LABELS[0], "score": 0.9}
             for path in sorted((shown / "query").rglob("*.mp4"))]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = cli("eval", file, "--truth", shown / "query", "--report", page)
    assert done.code == 0, done.err
    found = read(page)
    assert "50.00\u202f%" in found.text
    assert len(found.of("img")) == 6  # of the one that is wrong


def test_finetune_writes_its_page_into_its_own_new_folder(
    cli: Cli, shown: Path, tmp_path: Path
) -> None:
    page = tmp_path / "run" / "report.html"
    done = cli("finetune", shown / "support", "--val", shown / "query", "-o", tmp_path / "run",
               "--epochs", 2, "--report", page)  # fmt: skip
    assert done.code == 0, done.err
    text = read(page).text
    assert all(word in text for word in ("best validation", "Share right", "Epochs", "zero-shot"))


def test_a_continued_run_shows_all_its_steps(cli: Cli, shown: Path, tmp_path: Path) -> None:
    words = ("finetune", shown / "support", "-o", tmp_path / "run", "--epochs", 2)
    assert cli(*words).code == 0
    done = cli(*words, "--resume", "--report", tmp_path / "a.html")
    assert done.code == 0, done.err
    log = (tmp_path / "run/log.jsonl").read_text().splitlines()
    epochs = [line for line in log if "is_best" in line]
    rows = [found for found in read(tmp_path / "a.html").of("th") if found.get("scope") == "row"]
    assert len(rows) == len(epochs) > 0


@pytest.mark.parametrize(
    ("report", "said"),
    [("a.txt", "must end in .html"), ("none/a.html", "does not exist"), (".", "must end in .html"),
     ("out.html", "is the file of -o too"), ("list.html", "is read as well")],
)  # fmt: skip
def test_a_page_that_can_not_be_written_is_refused_at_once(
    report: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        check_report(report, output="./out.html", reads=("./list.html",))


def test_a_page_may_be_in_the_folder_that_the_run_makes(tmp_path: Path) -> None:
    check_report(str(tmp_path / "new/a.html"), folder=str(tmp_path / "new"))
    with pytest.raises(UsageError, match="does not exist"):
        check_report(str(tmp_path / "other/a.html"), folder=str(tmp_path / "new"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, UsageError("x"), BrokenPipeError])
def test_a_run_that_broke_off_leaves_no_page(tmp_path: Path, error: BaseException) -> None:
    report = RunReport(str(tmp_path / "a.html"), Console(), quiet=True)
    report.support = {}
    with pytest.raises(BaseException), report:  # noqa: B017, PT011, PT012
        report.watching(lambda view: object())(None)
        raise error
    assert list(tmp_path.iterdir()) == []


def test_without_a_path_nothing_is_watched_or_written() -> None:
    report, task = RunReport(None, Console()), object()
    with report:
        assert report.watching(lambda view: task)(None) is task
