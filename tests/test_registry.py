"""Names to classes, imported only when asked for."""

import subprocess
import sys

import pytest

from actcli.errors import UsageError
from actcli.registry import BACKBONES, METHODS, resolve


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_found_under_its_own_name(name: str) -> None:
    assert resolve(METHODS, name).name == name


@pytest.mark.parametrize("family", BACKBONES)
def test_every_backbone_family_resolves(family: str) -> None:
    assert resolve(BACKBONES, family).__doc__


def test_an_unknown_method_lists_what_there_is_and_the_close_ones() -> None:
    with pytest.raises(UsageError, match=r'unknown method \(got "clp", expected ') as caught:
        resolve(METHODS, "clp")
    assert all(f'"{name}"' in str(caught.value) for name in METHODS)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith('did you mean "clip"')


def test_an_unknown_family_is_named_as_such() -> None:
    with pytest.raises(UsageError, match="unknown backbone family") as caught:
        resolve(BACKBONES, "zzz")
    assert caught.value.hint is None


def test_listing_names_imports_no_torch() -> None:
    code = "import sys, actcli.registry; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
