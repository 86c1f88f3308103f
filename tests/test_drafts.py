from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from actcli.drafts import draft_of


def left_by_a_killed_run(path: Path, age_s: float) -> Path:
    with draft_of(path) as draft:
        draft.write_text("half")
        moved = draft.with_name(draft.name.replace(str(os.getpid()), "1"))
        os.link(draft, moved)
    os.utime(moved, (0, time.time() - age_s))
    return moved


def test_the_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ValueError), draft_of(path) as draft:  # noqa: PT011, PT012
        draft.write_text("ne")
        raise ValueError
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["a.json"])
    with draft_of(path) as draft:
        draft.write_text("new")
    assert (path.read_text(), os.listdir(tmp_path)) == ("new", ["a.json"])


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "a.json").symlink_to("there/b.json")
    with draft_of(tmp_path / "a.json") as draft:
        assert draft.parent == tmp_path / "there"
        draft.write_text("new")
    assert (tmp_path / "a.json").is_symlink()
    assert (tmp_path / "there/b.json").read_text() == "new"


def test_what_killed_runs_left_of_this_file_goes_once_it_is_old(tmp_path: Path) -> None:
    old = left_by_a_killed_run(tmp_path / "a.json", age_s=7200)
    fresh = left_by_a_killed_run(tmp_path / "b.json", age_s=60)
    other = left_by_a_killed_run(tmp_path / "c.json", age_s=7200)
    for name in ("a.json", "b.json"):
        with draft_of(tmp_path / name) as draft:
            draft.write_text("new")
    assert (old.exists(), fresh.exists(), other.exists()) == (False, True, True)
