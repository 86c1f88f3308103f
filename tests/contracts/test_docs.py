"""The README documents every command, and its commands run as written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from actcli.cli import EXIT_CODES, app
from actcli.demo.clips import write_clip
from actcli.registry import METHODS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def commands() -> dict[str, Any]:
    """Every command by what is typed after `actcli`, those of groups included."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        found |= {f"{name} {sub}": child for sub, child in inner.items()} or {name: command}
    return found


def shell_blocks() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_in_the_readme_and_has_help_with_examples(name: str) -> None:
    assert f"actcli {name}" in README
    command = commands()[name]
    first = (command.help or "").removeprefix("\b\n").splitlines()[0]
    assert first.startswith("actcli ") or "| actcli" in first


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_has_a_row_in_the_readme(name: str) -> None:
    assert f"| `{name}` |" in README


def test_exit_codes_are_the_same_in_the_help_and_in_the_readme() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE)
    codes = {code.strip() for row in rows for code in row.split(",")}
    assert codes == {"0", "1", "2", "3", "4", "5", "130", "143"}
    assert all(re.search(rf"\b{code}\b", EXIT_CODES) for code in codes)


def test_options_in_the_readme_exist() -> None:
    known = {
        flag
        for command in commands().values()
        for parameter in command.params
        for flag in parameter.opts
    }
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", "".join(
        line.partition("actcli")[2]
        for block in shell_blocks() for line in block.splitlines() if "actcli" in line
    )))  # fmt: skip
    assert used - known == set()


def test_the_first_commands_classify_line_gives_the_clips_their_names(tmp_path: Path) -> None:
    line = next(part for part in shell_blocks()[0].split("&&") if "actcli classify" in part)
    words = shlex.split(line)
    done = subprocess.run(
        [sys.executable, "-m", "actcli", *words[1:], "--cache-dir", str(tmp_path), "-f", "tsv"],
        capture_output=True, text=True, cwd=ROOT, check=False, env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()[1:]]
    assert done.returncode == 0, done.stderr
    assert len(rows) >= 3
    assert all(Path(row[0]).stem == row[4] for row in rows)


def test_the_python_example_of_the_readme_runs(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    text = code[1].replace("a.mp4", str(ROOT / "examples/clips/run.mp4"))
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, env=env
    )
    first, second = done.stdout.splitlines()
    assert first.split()[1] == "run"
    assert second.startswith("b.mp4 not_found")


def test_the_example_script_runs(tmp_path: Path) -> None:
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    words = [sys.executable, "examples/classify.py", "examples/clips", "run", "jump", "wave"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True, env=env)
    assert "run: run.mp4" in done.stdout


def test_the_few_shot_example_runs(tmp_path: Path) -> None:
    for c, label in enumerate(("climb", "push-up")):
        for split, count in (("support", 2), ("query", 1)):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(count):
                write_clip(
                    tmp_path / split / label / f"{i}.mp4", label, seed=10 * c + i + 5 * (count == 1)
                )
    words = [
        sys.executable,
        "examples/fewshot.py",
        str(tmp_path / "support"),
        str(tmp_path / "query"),
    ]
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True, env=env)
    assert done.stdout == "2 of 2 right\n"


def test_the_finetune_example_runs(tmp_path: Path) -> None:
    for c, label in enumerate(("raise arms", "lower arms")):
        for split, count, seed in (("train", 4, 0), ("val", 2, 50)):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(count):
                write_clip(tmp_path / split / label / f"{i}.mp4", label, seed=seed + 10 * c + i)
    folders = [str(tmp_path / name) for name in ("train", "val", "run")]
    words = [sys.executable, "examples/finetune.py", *folders]
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True, env=env)
    first, *rest = done.stdout.splitlines()
    zero_shot, trained = map(float, re.findall(r"\d\.\d\d", first))
    assert trained > zero_shot
    assert len(rest) == 4


def test_nothing_in_the_tree_is_unfinished_or_names_a_package_index() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Spelled apart, so that this file does not find itself.
    forbidden = ["TO" + "DO", "FIX" + "ME", "pypi" + ".org", "NotImplemented" + "Error"]
    for name in listed.stdout.splitlines():
        if Path(name).suffix in (".py", ".md", ".toml"):
            text = (ROOT / name).read_text()
            assert not [word for word in forbidden if word in text], name
