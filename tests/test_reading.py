"""Reading what anyone wrote: bounded in size and depth, and shown in a few words."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from actcli.errors import ActcliError
from actcli.reading import parse_json, read_at_most, shown


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_at_most(tmp_path / "a", 5) == b"12345"
    assert read_at_most(tmp_path / "a", 4) is None
    assert read_at_most(io.BytesIO(b"12345"), 5) == b"12345"


def test_a_device_that_never_ends_is_left() -> None:
    assert read_at_most("/dev/zero", 3 << 20) is None


@pytest.mark.parametrize("text", ["[" * 100_000, "", "{", "9" * 5000, b"\xff"])
def test_json_that_is_none_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_json(text)


def test_values_are_shown_in_few_characters_whatever_they_are() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert shown("a\n") == '"a\\n"'
    assert shown(b"x") == "a bytes"
    assert shown(deep) == "a list"
    assert len(shown("x" * 10**6)) < 70


def test_a_message_keeps_both_its_ends() -> None:
    error = ActcliError("list.csv:7: " + "x" * 10**6 + " (expected a text)", hint="y" * 10**6)
    assert error.message.startswith("list.csv:7: x")
    assert error.message.endswith(" (expected a text)")
    assert len(error.message) < 1100
    assert error.hint is not None
    assert len(error.hint) < 1100
