"""What is installed: every data file travels, weights stay small, the tree stays as planned."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOP_LEVEL = {
    ".ci", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
    "README.md", "SECURITY.md", "actcli", "benchmarks", "docs", "examples", "pyproject.toml",
    "tests",
}  # fmt: skip
DEPENDENCIES = {
    "typer", "torch", "open_clip_torch", "av", "rich", "pydantic", "safetensors", "numpy", "pillow",
    "huggingface_hub", "tqdm", "torchmetrics", "jinja2",
}  # fmt: skip


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return [Path(line) for line in done.stdout.splitlines()]


def test_every_data_file_of_the_package_is_installed() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["actcli"]
    for path in tracked():
        if path.parts[0] == "actcli" and path.suffix != ".py":
            inside = path.relative_to("actcli")
            assert any(inside.match(pattern) for pattern in patterns), path


def test_the_top_level_holds_only_what_the_plan_names() -> None:
    assert {path.parts[0] for path in tracked()} == TOP_LEVEL


def test_no_tracked_file_is_large() -> None:
    sizes = {path: (ROOT / path).stat().st_size for path in tracked()}
    weights = {path for path in sizes if path.suffix == ".safetensors"}
    assert all(sizes[path] <= 8_000_000 for path in weights)
    lists = {path for path in sizes if path.parent.name == "videos"}  # of published splits
    assert all(sizes[path] <= 500_000 for path in lists)
    assert all(size <= 300_000 for path, size in sizes.items() if path not in weights | lists)


# Before these: CVE-2025-32434 (weights_only), -2024-28219, -2025-27516, -2024-34062, -2025-47273,
# -2025-62593, -2023-47248.
FREE_OF_KNOWN_HOLES = {
    "torch": (2, 6), "pillow": (10, 3), "jinja2": (3, 1, 6), "tqdm": (4, 66, 3),
    "setuptools": (78, 1, 1), "ray": (2, 52), "pyarrow": (14, 0, 1),
}  # fmt: skip


def test_no_version_with_a_known_hole_is_allowed() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    seen = set()
    for line in [*lines, *(line for extra in extras.values() for line in extra)]:
        match = re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line)
        assert match, f"{line}: no least version"
        name, least = match[1], tuple(map(int, match[2].split(".")))
        assert least >= FREE_OF_KNOWN_HOLES.get(name, ()), line
        seen.add(name)
    assert seen >= FREE_OF_KNOWN_HOLES.keys()


def test_no_dependency_appears_without_a_reason() -> None:
    names = {line.split(">")[0].split("<")[0] for line in PROJECT["project"]["dependencies"]}
    assert names == DEPENDENCIES
