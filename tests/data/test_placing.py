"""Files into folders: nothing replaced, nothing lost, whatever fails or dies at whichever step."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actcli.data.files import Changed, Files, same_content
from actcli.data.placing import Placer, leads_outside, settle, undo
from actcli.data.sort_journal import Entry, Journal
from actcli.errors import ResourceError

STEPS = ("rename", "copy", "link", "symlink", "remove", "make_folder", "sync_folder")


class Killed(BaseException):
    """The process is gone: nothing of ours runs any more."""


class OtherDisk(Files):
    """A disk on which the sources are elsewhere, so that they can't be renamed."""

    def rename(self, source: str, target: str) -> None:
        if (f"{os.sep}out{os.sep}" in source) != (f"{os.sep}out{os.sep}" in target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename(source, target)


def deadly(kind: type[Files], step: int, *, after: bool) -> Files:
    """A disk whose user is killed before, or right after, its n-th step; later steps do nothing."""
    count = iter(range(10_000))

    class Deadly(kind):  # type: ignore[valid-type, misc]
        is_dead = False

    def wrapped(name: str) -> Callable[..., None]:
        def run(self: Any, *args: Any, **options: Any) -> None:
            if Deadly.is_dead:
                raise Killed  # what is left of the program can't clean up
            is_last = next(count) == step
            if is_last and not after:
                Deadly.is_dead = True
                raise Killed
            try:
                getattr(super(Deadly, self), name)(*args, **options)
            finally:
                if is_last:
                    Deadly.is_dead = True
                    raise Killed

        return run

    for name in STEPS:
        setattr(Deadly, name, wrapped(name))
    disk: Files = Deadly()
    return disk


def clips(folder: Path) -> list[Path]:
    """Three clips, two of them of one name."""
    made = [folder / "in" / name for name in ("a/1.mp4", "b/1.mp4", "b/2.mp4")]
    for number, path in enumerate(made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * 1000)
    return made


def held(folder: Path) -> Counter[bytes]:
    """How often each content is there as a whole, drafts and the journal apart."""
    return Counter(path.read_bytes() for path in folder.rglob("*.mp4"))


def run(folder: Path, action: Any, files: Files | None = None) -> None:
    """What `sort` does with all clips that are still where they were."""
    with Journal(str(folder / "out")) as journal:
        settle(journal, ["run"], files)
        placer = Placer(str(folder / "out"), action, journal, files or Files())
        for source in sorted(folder.joinpath("in").rglob("*.mp4")):
            placer.place(str(source), "run")


@pytest.mark.parametrize("action", ["copy", "link", "symlink", "move"])
def test_clips_of_one_name_get_numbers_and_keep_their_content(tmp_path: Path, action: str) -> None:
    clips(tmp_path)
    run(tmp_path, action)
    names = {p.name: p.read_bytes()[:1] for p in (tmp_path / "out/run").iterdir()}
    assert names == {"1.mp4": b"\0", "1 (2).mp4": b"\1", "2.mp4": b"\2"}
    assert (tmp_path / "in/a/1.mp4").exists() == (action != "move")


@pytest.mark.parametrize("action", ["copy", "link", "symlink"])
def test_a_second_run_adds_nothing(tmp_path: Path, action: str) -> None:
    clips(tmp_path)
    run(tmp_path, action)
    run(tmp_path, action)
    assert len(list((tmp_path / "out/run").iterdir())) == 3


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    clips(tmp_path)
    (tmp_path / "out/run").mkdir(parents=True)
    (tmp_path / "out/run/1.mp4").write_text("mine")
    run(tmp_path, "move")
    assert (tmp_path / "out/run/1.mp4").read_text() == "mine"
    assert sum(held(tmp_path).values()) == 4


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("disk", [Files, OtherDisk])
@pytest.mark.parametrize("action", ["copy", "move"])
def test_death_at_any_step_loses_nothing_and_the_next_run_finishes(
    tmp_path: Path, action: str, disk: type[Files], after: bool
) -> None:
    for step in range(100):
        home = tmp_path / str(step)
        whole = Counter(path.read_bytes() for path in clips(home))
        try:
            run(home, action, deadly(disk, step, after=after))
        except Killed:
            left = held(home)
            assert set(left) == set(whole)
            if action == "move" and disk is Files:
                assert left == whole  # in one place, the old or the new
        else:
            break
        run(home, action, disk())
        assert Counter(p.read_bytes() for p in (home / "out/run").iterdir()) == whole
        assert len(list((home / "in").rglob("*.mp4"))) == (0 if action == "move" else 3)
    assert step > 5


def test_a_full_disk_ends_the_run_with_every_clip_where_it_was(tmp_path: Path) -> None:
    class Full(OtherDisk):
        def copy(self, source: str, draft: str, *, verify: bool) -> None:
            Path(draft).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    whole = Counter(path.read_bytes() for path in clips(tmp_path))
    with pytest.raises(ResourceError, match="disk is full"):
        run(tmp_path, "move", Full())
    assert held(tmp_path) == whole
    assert list((tmp_path / "out/run").iterdir()) == []


def test_a_copy_that_is_not_what_was_read_does_not_cost_the_original(tmp_path: Path) -> None:
    class Bad(OtherDisk):
        def _digest_on_disk(self, path: str) -> bytes:
            return b"other"

    whole = Counter(path.read_bytes() for path in clips(tmp_path))
    with pytest.raises(Changed):
        run(tmp_path, "move", Bad())
    assert held(tmp_path) == whole
    assert list((tmp_path / "out/run").iterdir()) == []


def test_a_clip_whose_original_cannot_go_is_not_left_twice(tmp_path: Path) -> None:
    class ReadOnly(OtherDisk):
        def remove(self, path: str) -> None:
            if f"{os.sep}in{os.sep}" in path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            super().remove(path)

    whole = Counter(path.read_bytes() for path in clips(tmp_path))
    with pytest.raises(PermissionError):
        run(tmp_path, "move", ReadOnly())
    assert held(tmp_path) == whole


def test_a_name_that_somebody_takes_in_the_last_moment_is_left_to_them(tmp_path: Path) -> None:
    class Contested(Files):
        def rename(self, source: str, target: str) -> None:
            if target.endswith(os.sep + "2.mp4"):
                Path(target).write_text("theirs")
            super().rename(source, target)

    clips(tmp_path)
    run(tmp_path, "move", Contested())
    assert (tmp_path / "out/run/2.mp4").read_text() == "theirs"
    assert (tmp_path / "out/run/2 (2).mp4").read_bytes() == bytes([2]) * 1000


def test_a_move_leaves_a_clip_whose_content_is_there_already(tmp_path: Path) -> None:
    first, *_ = clips(tmp_path)
    run(tmp_path, "copy")
    run(tmp_path, "move")
    assert first.exists()
    assert len(list((tmp_path / "out/run").iterdir())) == 3


def test_settling_never_removes_an_original_to_which_its_target_is_a_link(tmp_path: Path) -> None:
    first, *_ = clips(tmp_path)
    target = tmp_path / "out/run/1.mp4"
    target.parent.mkdir(parents=True)
    target.symlink_to(first)
    with Journal(str(tmp_path / "out")) as journal:
        journal.begin(Entry("move", str(first), str(target)))
        assert settle(journal, ["run"]) == 0
    assert first.read_bytes() == bytes(1000)


def test_undo_puts_moved_clips_back_and_leaves_no_empty_folder(tmp_path: Path) -> None:
    made = clips(tmp_path)
    run(tmp_path, "move")
    with Journal(str(tmp_path / "out")) as journal:
        done, left = undo(journal)
    assert (len(done), left) == (3, [])
    assert [path.read_bytes()[:1] for path in made] == [b"\0", b"\1", b"\2"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["sorted.jsonl"]
    with Journal(str(tmp_path / "out")) as journal:
        assert undo(journal) == ([], [])


def test_undo_replaces_nothing_and_says_what_it_left(tmp_path: Path) -> None:
    first, *_ = clips(tmp_path)
    run(tmp_path, "move")
    first.write_text("new")
    (tmp_path / "out/run/2.mp4").unlink()
    with Journal(str(tmp_path / "out")) as journal:
        done, left = undo(journal)
    assert len(done) == 1
    assert [why for _, why in left] == ["is no longer there", "its old name is taken"]
    assert first.read_text() == "new"


@pytest.mark.parametrize("disk", [Files, OtherDisk])
def test_death_while_undoing_loses_nothing_and_the_next_undo_finishes(
    tmp_path: Path, disk: type[Files]
) -> None:
    for step in range(100):
        home = tmp_path / str(step)
        whole = Counter(path.read_bytes() for path in clips(home))
        run(home, "move")
        try:
            with Journal(str(home / "out")) as journal:
                undo(journal, deadly(disk, step, after=True))
        except Killed:
            assert set(held(home)) == set(whole)
        else:
            break
        with Journal(str(home / "out")) as journal:
            settle(journal, ["run"], disk())
            undo(journal, disk())
        assert Counter(p.read_bytes() for p in (home / "in").rglob("*.mp4")) == whole
        assert held(home) == whole
    assert step > 2


def test_planning_writes_nothing_and_gives_the_same_names(tmp_path: Path) -> None:
    made = clips(tmp_path)
    placer = Placer(str(tmp_path / "out"), "move")
    planned = [Path(placer.place(str(p), "run").path).name for p in made]
    assert planned == ["1.mp4", "1 (2).mp4", "2.mp4"]
    assert not (tmp_path / "out").exists()


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    with Journal(str(tmp_path)), pytest.raises(ResourceError, match="another actcli"):
        Journal(str(tmp_path))


def test_a_torn_line_of_the_journal_is_skipped_and_ended(tmp_path: Path) -> None:
    with Journal(str(tmp_path)) as journal:
        journal.begin(Entry("move", "/a/1.mp4", str(tmp_path / "run/1.mp4")))
    with open(tmp_path / "sorted.jsonl", "a") as file:
        file.write('{"schema":"actcli.sor')
    with Journal(str(tmp_path)) as journal:
        journal.end(Entry("move", "/a/1.mp4", str(tmp_path / "run/1.mp4")))
        assert [state for state, _ in journal.entries()] == ["begun", "done"]
        assert journal.unsettled() == []
    assert json.loads((tmp_path / "sorted.jsonl").read_text().splitlines()[0])["to"] == "run/1.mp4"


def test_long_names_and_names_that_are_not_utf_8_are_kept_or_cut_to_fit(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in (b"x" * 250 + b".mp4", b"\xff.mp4"):
        Path(os.fsdecode(bytes(source) + b"/" + name)).write_bytes(name)
    with Journal(str(tmp_path / "out")) as journal:
        placer = Placer(str(tmp_path / "out"), "copy", journal)
        for path in source.iterdir():
            placer.place(str(path), "run")
            path.write_bytes(b"changed")
            assert same_content(str(path), placer.place(str(path), "run").path)
    assert len(list((tmp_path / "out/run").iterdir())) == 4


def test_files_behind_links_are_not_moved(tmp_path: Path) -> None:
    first, *_ = clips(tmp_path)
    (tmp_path / "given").mkdir()
    (tmp_path / "given/door").symlink_to(tmp_path / "in/a")
    (tmp_path / "given/link.mp4").symlink_to(first)
    given = [str(tmp_path / "given")]
    assert "through a link" in str(leads_outside(str(tmp_path / "given/door/1.mp4"), given))
    assert "is a link" in str(leads_outside(str(tmp_path / "given/link.mp4"), given))
    assert leads_outside(str(first), [str(tmp_path / "in")]) is None
