"""Layers: who may import whom, read from the source, and what must stay cheap to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "actcli"

# A module's level; a module imports its own package and lower levels only.
LEVELS = {
    "errors": 0, "paths": 0, "types": 0, "labelled": 0, "drafts": 0, "reading": 0,
    "windows": 1, "remote": 1, "tars": 1,
    "config": 1, "config_train": 1, "registry": 1, "wording": 1, "metrics": 1, "checkpoint_info": 2,
    "video": 2, "data": 2, "models": 2, "demo": 2,
    "methods": 3, "passes": 3, "cache": 3, "cache_file": 2,
    "engine": 4, "engine_spec": 4, "checkpoint": 4, "episodes": 4, "tables": 4,
    "train": 5, "eval": 5, "engine_windows": 5, "engine_processes": 5, "engine_ray": 5,
    "tasks": 6, "render": 6,
    "cli": 7,
}  # fmt: skip
FORBIDDEN = {
    "errors": {"torch", "av", "numpy", "pydantic", "rich", "typer"},
    "types": {"torch", "av", "numpy", "pydantic", "rich", "typer"},
    "drafts": {"torch", "av", "numpy", "pydantic", "rich", "typer"},
    "labelled": {"torch", "av", "numpy", "pydantic", "rich", "typer"},
    "reading": {"torch", "av", "numpy", "pydantic", "rich", "typer"},
    "windows": {"torch", "av", "numpy", "pydantic", "rich", "typer"},
    "paths": {"torch", "av", "numpy", "pydantic", "rich", "typer"},
    "remote": {"torch", "av", "numpy", "pydantic", "rich", "typer", "open_clip"},
    "tars": {"torch", "av", "numpy", "pydantic", "rich", "typer", "open_clip"},
    "config": {"torch", "av", "numpy", "rich", "typer", "open_clip"},
    "config_train": {"torch", "av", "numpy", "rich", "typer", "open_clip"},
    "registry": {"torch", "av", "numpy", "rich", "typer", "open_clip"},
    "wording": {"torch", "av", "numpy", "pydantic", "rich", "typer", "open_clip"},
    "metrics": {"torch", "av", "numpy", "pydantic", "rich", "typer", "open_clip"},
    "video": {"rich", "typer", "open_clip"},
    "data": {"av", "torch", "rich", "typer", "open_clip"},
    "models": {"av", "rich", "typer"},
    "demo": {"torch", "rich", "typer", "open_clip"},
    "methods": {"av", "rich", "typer", "open_clip"},
    "cache": {"av", "torch", "rich", "typer", "open_clip"},
    "cache_file": {"av", "torch", "rich", "typer", "open_clip", "pydantic"},
    "passes": {"av", "rich", "typer", "open_clip"},
    "engine": {"av", "rich", "typer", "open_clip"},
    "engine_windows": {"av", "rich", "typer", "open_clip"},
    "engine_spec": {"av", "torch", "rich", "typer", "open_clip"},
    "engine_processes": {"av", "rich", "typer", "open_clip"},
    "engine_ray": {"av", "rich", "typer", "open_clip"},
    "episodes": {"av", "rich", "typer", "open_clip"},
    "checkpoint_info": {"av", "torch", "numpy", "rich", "typer", "open_clip"},
    "checkpoint": {"av", "rich", "typer", "open_clip"},
    "tables": {"av", "torch", "rich", "typer", "open_clip"},
    "train": {"av", "rich", "typer", "open_clip"},
    "eval": {"av", "rich", "typer", "open_clip"},
    "tasks": {"av", "rich", "typer", "open_clip"},
    "render": {"av", "torch", "typer", "open_clip"},
    "cli": {"open_clip", "click"},
}
SIBLINGS_OF_ONE_LEVEL_MAY_NOT_MEET = {2, 3, 4, 5, 6}
ONLY_USER = {"open_clip": {"models/open_clip.py"}}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def home(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def type_checking_nodes(tree: ast.AST) -> set[int]:
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    return {id(inner) for block in blocks for inner in ast.walk(block)}


def imports(path: Path) -> list[tuple[str, bool]]:
    """(dotted module, whether it runs) of every import statement of a file."""
    tree = ast.parse(path.read_text())
    unrun = type_checking_nodes(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in unrun) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append((node.module or "", id(node) not in unrun))
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    own = home(path)
    if own in ("__init__", "__main__"):
        return
    for name, runs in imports(path):
        first, *rest = name.split(".")
        if first == "actcli" and rest:
            other = rest[0]
            assert other in LEVELS, f"{path}: {name} has no level"
            allowed = other == own or LEVELS[other] < LEVELS[own]
            siblings = other != own and LEVELS[other] == LEVELS[own]
            allowed |= siblings and LEVELS[own] not in SIBLINGS_OF_ONE_LEVEL_MAY_NOT_MEET
            assert allowed, f"{path} imports {name}"
        elif runs:
            assert first not in FORBIDDEN[own] or is_sole_user(path, first), f"{path}: {name}"


def is_sole_user(path: Path, library: str) -> bool:
    return str(path.relative_to(ROOT)) in ONLY_USER.get(library, set())


def test_the_import_walk_sees_a_forbidden_import(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("def f():\n    import torch\nfrom typing import TYPE_CHECKING\n"
                    "if TYPE_CHECKING:\n    import av\n")  # fmt: skip
    assert imports(file) == [("typing", True), ("torch", True), ("av", False)]


def loaded_after(code: str, *names: str) -> list[str]:
    """Which of the named libraries are in sys.modules after running code in a fresh process."""
    probe = f"{code}\nimport sys; print(*[n for n in {names!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


HEAVY = ("torch", "numpy", "av", "pydantic", "open_clip", "torchvision")


def test_importing_actcli_is_cheap() -> None:
    assert loaded_after("import actcli", *HEAVY, "typer", "rich") == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['actcli', 'classify', '--help']\n"
        "from actcli.cli import main\n"
        "try: main()\nexcept SystemExit as e: assert e.code == 0, e.code"
    )
    assert loaded_after(code, *HEAVY) == []


def test_the_parent_starts_workers_without_importing_torch() -> None:
    code = "import actcli.tasks.classify, actcli.video.loader, actcli.video.pool"
    assert loaded_after(code, "torch", "av", "open_clip") == []
