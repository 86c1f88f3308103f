"""Files stay short enough to read at once, functions short enough to hold in mind."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE = 300
MAX_FUNCTION = 50
MAX_PARAMETERS = 7


def files() -> list[Path]:
    return sorted([*(ROOT / "actcli").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_and_its_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE, f"{path} has {len(text.splitlines())} lines"
    # Command functions are their options (one parameter each): architecture, decision 7.
    is_command = "cli" in path.parts
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_command:
            continue
        length = (node.end_lineno or 0) - node.lineno + 1
        count = len(node.args.args) + len(node.args.kwonlyargs)
        count -= bool(node.args.args) and node.args.args[0].arg in ("self", "cls")
        assert length <= MAX_FUNCTION, f"{path}:{node.lineno} {node.name} has {length} lines"
        assert count <= MAX_PARAMETERS, f"{path}:{node.lineno} {node.name} has {count} parameters"
