"""The public names at the root: none appears or vanishes unnoticed."""

import re
import tomllib
from pathlib import Path

import pytest

import actcli

ROOT = Path(__file__).parents[2]
PUBLIC = [
    "ActcliError", "Failure", "LabelSet", "Method", "Prediction", "VideoRef", "__version__",
    "classify", "evaluate", "fewshot", "finetune",
]  # fmt: skip


def test_the_root_exports_exactly_the_public_names() -> None:
    assert actcli.__all__ == PUBLIC
    assert dir(actcli) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(actcli, name)
    assert name == "__version__" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'clasify'"):
        actcli.clasify  # noqa: B018


def test_the_version_lives_in_one_place_and_heads_the_changelog() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert actcli.__version__ == declared
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == declared
