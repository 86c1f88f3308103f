"""Files that runs write, and text that they show: harmless, private where asked, in their place."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import LABELS, Cli

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names and modes of POSIX")

ODD = "a\x1b[31m\u202eb\u061c"
"""A name that would colour a terminal and turn its text around."""
HARM = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def odd(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this folder with examples of odd labels under odd names, and a list of them."""
    monkeypatch.chdir(tmp_path)
    for label in LABELS.split(","):
        (tmp_path / "examples" / f"={label}{ODD}").mkdir(parents=True)
        for number in range(2):
            shutil.copy(
                videos / f"{label}.mp4", tmp_path / f"examples/={label}{ODD}/{number}{ODD}.mp4"
            )
    (tmp_path / f"+bad{ODD}.mp4").write_text("no video")
    (tmp_path / "labels.txt").write_text(f"=run{ODD}\njump\n@wave\n")
    return tmp_path


SHOWING = (
    "classify examples +bad* -L labels.txt --format table -v",
    "classify examples +bad* -L labels.txt --format table -v --window 1",
    "classify examples -L labels.txt --format table --explain",
    "classify +bad* examples -L labels.txt -q -o {odd}.csv",
    "classify examples -L labels.txt -o no{odd}/x.csv",
    "classify no{odd}.mp4 -L labels.txt --format table",
    "classify examples --labels {odd},{odd}",
    "classify examples -l run --top {odd}",
    "classify examples -l run --model {odd}",
    "classify examples -l run --set {odd}=1",
    "fewshot examples +bad* --support examples --format table",
    "sort examples -L labels.txt --into {odd} --format table --dry-run",
    "sort examples -L labels.txt --into {odd} --min-score 0.9",
    "labels lint labels.txt --format table",
    "data check examples --format table -v",
    "data convert examples -o {odd}.csv",
    "embed examples -o {odd}.safetensors -v",
    "embed +bad* -o {odd}.safetensors",
    "doctor --cache-dir {odd}",
    "cache info --cache-dir {odd}",
    "models show {odd}",
    "{odd}",
)


@pytest.mark.parametrize("line", SHOWING)
def test_nothing_that_is_shown_steers_a_terminal(cli: Cli, odd: Path, line: str) -> None:
    words = [word.format(odd=ODD) for word in line.split()]
    found = [name for word in words for name in (sorted(Path().glob(word)) or [word])]
    done = cli(*found)
    assert done.out + done.err
    assert HARM.search(done.out + done.err) is None, (done.out + done.err)[:2000]
    assert done.code != 1


def on_a_terminal(words: list[str], cwd: Path) -> str:
    """What a program shows on a terminal of its own."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "actcli", *words], cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=terminal, stderr=terminal, env=os.environ | {"NO_COLOR": "1", "TERM": "dumb"},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(main, 65536):
            shown += part
    except OSError:  # the other side is closed
        pass
    process.wait()
    os.close(main)
    return shown.decode()


def test_a_list_of_names_is_harmless_on_a_terminal_and_exact_elsewhere(cli: Cli, odd: Path) -> None:
    words = ["classify", "examples", "-l", "run", "--model", "demo", "--dry-run"]
    assert f"0{ODD}.mp4\n" in cli(*words).out
    shown = on_a_terminal(words, odd)
    assert "0a\\x1b[31m\\u202eb" in shown
    assert HARM.search(shown.replace("\r\n", "\n")) is None


def formulas(path: Path, delimiter: str = ",") -> list[str]:
    """Cells that a spreadsheet would compute, numbers apart."""
    with path.open(newline="", errors="surrogateescape") as file:
        cells = [cell for row in csv.reader(file, delimiter=delimiter) for cell in row]
    return [one for one in cells if one[:1] in tuple("=+-@\t\r") and not _is_number(one)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_no_cell_of_predictions_is_a_formula_and_numbers_stay_numbers(cli: Cli, odd: Path) -> None:
    files = [*sorted(odd.glob("+bad*")), "examples"]
    found = [f"./{one.name}" if isinstance(one, Path) else one for one in files]
    for more in ((), ("--reject",), ("--window", "1")):
        done = cli("classify", *found, "-L", "labels.txt", "-o", "p.csv", "-q", *more)
        assert done.code == 3
        assert formulas(odd / "p.csv") == []
        with (odd / "p.csv").open(newline="") as file:
            good = [row for row in csv.DictReader(file) if row["ok"] == "true"]
        assert all(float(row["score"]) >= 0 and float(row["end"]) > 0 for row in good)
        assert {row["label"] for row in good} <= {f"'=run{ODD}", "jump", "'@wave"}


@pytest.mark.parametrize("label", ["</script><script>alert(1)</script>", '"onload="x', "a-->b\x08"])
def test_a_label_is_text_in_every_format(
    cli: Cli, videos: Path, tmp_path: Path, label: str
) -> None:
    from xml.etree import ElementTree

    labels, cut = tmp_path / "l.txt", ("--window", "1")
    labels.write_text(f"{label}\nrun\n")
    words = ("classify", videos / "run.mp4", "-L", labels, "-q", *cut)
    for name in ("a.srt", "a.vtt", "a.eaf", "a.json"):
        assert cli(*words, "-o", tmp_path / name).code == 0
    for name in ("a.srt", "a.vtt"):
        arrows = [line for line in (tmp_path / name).read_text().splitlines() if "-->" in line]
        assert all(re.fullmatch(r"[\d:.,]+ --> [\d:.,]+", line) for line in arrows)
    ElementTree.parse(tmp_path / "a.eaf")
    assert label in {one["label"] for one in json.loads((tmp_path / "a.json").read_text())
                     ["results"][0]["top"]}  # fmt: skip
    assert cli(*words, "--report", tmp_path / "a.html", "-o", tmp_path / "b.jsonl").code == 0
    page = (tmp_path / "a.html").read_text()
    assert page.count("</script>") == page.count("<script")
    assert label not in page


def test_a_name_that_is_no_text_leaves_json_lines_valid(cli: Cli, videos: Path) -> None:
    folder = videos.parent / "odd-bytes"
    folder.mkdir(exist_ok=True)
    name = os.fsdecode(b"\xed\xa0\x80\xff.mp4")
    shutil.copy(videos / "run.mp4", folder / name)
    done = cli("classify", folder, "-l", LABELS)
    assert done.out.isascii()
    assert done.records[0]["input"] == f"{folder}/{name}"


@pytest.fixture(params=[0o022, 0o077])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def wrong_modes(folder: Path, mask: int) -> list[str]:
    """Files and folders that are not as the umask wants new ones."""
    found = []
    for path in folder.rglob("*"):
        expected = (0o777 if path.is_dir() else 0o666) & ~mask
        if not path.is_symlink() and path.stat().st_mode & 0o777 != expected:
            found.append(f"{path.relative_to(folder)} {path.stat().st_mode & 0o777:o}")
    return sorted(found)


WRITING = (
    "classify {videos} -l run,jump -o new/a.jsonl --report new/a.html",
    "classify {videos} -l run,jump -o new/b.csv",
    "classify {videos} -l run,jump -o new/c.json",
    "classify {videos} -l run,jump -o new/srt/ --format srt --window 1",
    "classify {videos} -l run,jump -o new/d.json --format activitynet",
    "classify {videos} -l run,jump --cache-dir new/cache",
    "embed {videos} -o new/t.safetensors",
    "embed {videos} -o new/t.parquet",
    "embed {videos} -o new/parts/",
    "fewshot --support new/demo/support --save new/m.safetensors --report new/f.json",
    "sort {videos} -l run,jump --into new/sorted --link",
    "data convert new/demo/support -o new/list.csv",
    "eval new/demo/manifest.csv --root new/demo -L new/demo/labels.txt -o new/e.json",
    "calibrate new/demo/query --model demo -o new/cal.json",
)


def test_new_files_have_the_mode_that_the_umask_says(
    cli: Cli, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    Path("new").mkdir()
    from actcli.demo.clips import write_clip

    for split in ("support", "query"):
        for label in ("run", "jump"):
            Path(f"new/demo/{split}/{label}").mkdir(parents=True)
            for number in range(2):
                write_clip(Path(f"new/demo/{split}/{label}/{number}.mp4"), label, seed=number)
    rows = "".join(f"query/{one}/0.mp4,{one}\n" for one in ("run", "jump"))
    Path("new/demo/manifest.csv").write_text(f"path,label\n{rows}")
    Path("new/demo/labels.txt").write_text("run\njump\n")
    for line in WRITING:
        done = cli(*line.format(videos=videos).split())
        assert done.code == 0, (line, done.err)
    linked = [str(path) for path in Path("new/sorted").rglob("*.mp4")]
    for name in linked:  # they are the videos themselves
        os.unlink(name)
    assert wrong_modes(tmp_path / "new", mask) == []


@pytest.mark.slow
def test_the_folder_of_a_training_run_has_the_mode_that_the_umask_says(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("demo", "new", "--per-class", "1", "-q").code == 0
    words = ("--epochs", "1", "--method", "motion-prompts", "-o", "new/run", "-q")
    done = cli("finetune", "new/support", "--val", "new/query", *words)
    assert done.code == 0, done.err
    assert wrong_modes(tmp_path / "new", mask) == []


def test_a_link_as_output_stays_a_link(cli: Cli, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("a.jsonl", "a.html", "a.safetensors", "new.jsonl"):
        if not name.startswith("new"):
            (tmp_path / "there" / name).write_text("old")
        (tmp_path / name).symlink_to(f"there/{name}")
    words = ("classify", videos, "-l", LABELS, "-q")
    report = ("--report", tmp_path / "a.html")
    assert cli(*words, "-o", tmp_path / "a.jsonl", *report).code == 0
    assert cli(*words, "-o", tmp_path / "new.jsonl").code == 0
    assert cli("embed", videos, "-o", tmp_path / "a.safetensors", "-q").code == 0
    for path in (tmp_path / "there").iterdir():
        assert (tmp_path / path.name).is_symlink()
        assert path.read_bytes() not in (b"old", b"")


def test_a_link_that_leads_in_a_circle_is_told(cli: Cli, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to("a.jsonl")
    done = cli("classify", videos, "-l", LABELS, "-q", "-o", tmp_path / "a.jsonl")
    assert done.code in (2, 4)
    assert done.err.startswith("error: ")


OVER = (
    ("classify run.mp4 -L l.txt -o l.txt --format jsonl", "l.txt"),
    ("classify run.mp4 -L l.txt -o link.txt --format jsonl", "l.txt"),
    ("classify run.mp4 -l run,jump -o run.mp4 --format jsonl", "run.mp4"),
    ("classify --list v.csv -l run,jump -o v.csv", "v.csv"),
    ("embed --list v.csv -o v.csv", "v.csv"),
    ("data convert v.csv -o v.csv", "v.csv"),
    ("data convert v.csv -o v.csv --force", "v.csv"),
    ("fewshot run.mp4 --support v.csv -o v.csv", "v.csv"),
    ("calibrate v.csv --model demo -o v.csv", "v.csv"),
    ("eval v.csv -L l.txt -o v.csv", "v.csv"),
    ("sort run.mp4 -l run,jump --into run.mp4", "run.mp4"),
    ("classify run.mp4 -L l.json -o l.jsonl --report l.json", "l.json"),
)  # fmt: skip


@pytest.mark.parametrize(("line", "name"), OVER)
def test_what_is_read_is_not_written_over(
    cli: Cli, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(videos / "run.mp4", "run.mp4")
    Path("l.txt").write_text("run\njump\n")
    Path("l.json").write_text("run\njump\n")
    Path("link.txt").symlink_to("l.txt")
    Path("v.csv").write_text("path,label\nrun.mp4,run\n")
    before = Path(name).read_bytes()
    done = cli(*line.split())
    if "--force" not in line:  # which asks for it
        assert done.code in (2, 4), done.err
        assert Path(name).read_bytes() == before


def test_nothing_is_written_but_what_was_asked_for(videos: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("home", "tmp", "work")}
    for path in places.values():
        path.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "actcli", "classify", videos / "run.mp4", "-l", LABELS,
         "--model", "demo", "--no-cache", "--workers", "0", "-o", "out.jsonl"],
        cwd=places["work"], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(places["home"]),
             "TMPDIR": str(places["tmp"]), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["out.jsonl", "out.run.json"]
