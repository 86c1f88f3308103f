"""Labels as folders: safe everywhere, one for each, the same in whatever order."""

from __future__ import annotations

import pytest

from actcli.data.folder_names import cut_bytes, folder_names, safe_name


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("sit down", "sit down"),
        ("pick up/drop", "pick up-drop"),
        ("../../etc", "_-..-etc"),
        ("..", None),
        (".hidden", "_hidden"),
        ("wave.", "wave"),
        ("con", "con_"),
        ("COM1.txt", "COM1.txt_"),
        ("what?", "what-"),
        ("a\tb\x00c", "a-b-c"),
        ("跑步", "跑步"),
    ],
)
def test_a_label_becomes_one_safe_part_of_a_path(label: str, name: str | None) -> None:
    got = safe_name(label)
    assert got == name if name is not None else got.startswith("_")
    assert "/" not in got
    assert got not in ("", ".", "..")


def test_a_long_label_is_cut_and_still_its_own() -> None:
    one, other = safe_name("跑" * 200 + "a"), safe_name("跑" * 200 + "b")
    assert len(one.encode()) <= 120
    assert one != other


def test_labels_that_would_share_a_folder_get_different_ones_in_any_order() -> None:
    labels = ["a/b", "a:b", "a-b", "STRASSE", "straße"]
    names = folder_names(labels)
    assert names["a-b"] == "a-b"
    assert len({name.casefold() for name in names.values()}) == 5
    assert folder_names(labels[::-1]) == names


def test_a_label_does_not_take_a_name_that_is_taken() -> None:
    names = folder_names(["unsure", "run"], taken=["Unsure"])
    assert names["unsure"].startswith("unsure ~")
    assert names["run"] == "run"


def test_cutting_keeps_whole_characters() -> None:
    assert cut_bytes("跑跑", 5) == "跑"
