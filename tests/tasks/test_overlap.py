"""Clips that a checkpoint knows already are found among those that it is measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

from actcli.cache import open_cache
from actcli.tasks.overlap import overlaps, sketch
from actcli.types import VideoRef


def files(folder: Path, first: int, count: int) -> list[VideoRef]:
    refs = []
    for i in range(first, first + count):
        path = folder / f"{i}.mp4"
        path.write_bytes(f"clip {i}".encode())
        refs.append(VideoRef(str(path), label="x"))
    return refs


@pytest.mark.parametrize(("first", "low", "high"), [(0, 100, 100), (500, 40, 60)])
def test_shared_clips_are_told_by_their_share(
    tmp_path: Path, first: int, low: int, high: int
) -> None:
    with open_cache(str(tmp_path / "cache"), enabled=True) as cache:
        kept = sketch(files(tmp_path, 0, 1000), cache)
        assert len(kept) == 256
        (said,) = overlaps({"sketches": {"train": kept}}, files(tmp_path, first, 1000), cache)
        assert said.startswith("the checkpoint was trained on clips of which about ")
        assert low <= int(said.split("about ")[1].split("%")[0]) <= high


def test_other_clips_and_files_without_sketches_say_nothing(tmp_path: Path) -> None:
    with open_cache(str(tmp_path / "cache"), enabled=True) as cache:
        kept = {"sketches": {"train": sketch(files(tmp_path, 0, 50), cache), "val": []}}
        others = files(tmp_path, 100, 50)
        assert overlaps(kept, others, cache) == []
        trimmed = [VideoRef(ref.path, 1.0, 2.0) for ref in files(tmp_path, 0, 50)]
        assert overlaps(kept, trimmed, cache) == []
        for training in (None, {}, {"sketches": None}, {"sketches": {"train": None}}):
            assert overlaps(training, others, cache) == []


def test_a_copy_under_another_name_is_the_same_clip(tmp_path: Path) -> None:
    with open_cache(str(tmp_path / "cache"), enabled=True) as cache:
        kept = sketch(files(tmp_path, 0, 3), cache)
        (tmp_path / "copy.avi").write_bytes(b"clip 2")
        copy = [VideoRef(str(tmp_path / "copy.avi"), label="y")]
        assert overlaps({"sketches": {"val": kept}}, copy, cache) == [
            "the checkpoint was chosen on clips of which about 33% are here"
        ]
