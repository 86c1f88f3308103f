"""Checking a list: every video is looked at as a training would, wherever that happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from actcli.config import LimitsConfig
from actcli.demo.clips import write_clip
from actcli.tasks.data import Checked, check_videos
from actcli.types import VideoRef
from tests.video.making import write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good clip, one that was cut off, an empty file, a text and a folder."""
    folder = tmp_path_factory.mktemp("videos")
    write_clip(folder / "good.mp4", "run", seed=1)
    content = (folder / "good.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(content[: len(content) // 2])
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video")
    (folder / "folder.mp4").mkdir()
    return folder


NAMES = ("good", "missing", "cut", "empty", "text", "folder")


def kinds(items: list[Checked]) -> list[str | None]:
    return [item.error.kind if item.error else None for item in items]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_video_is_found_missing_or_unreadable_in_its_place(
    folder: Path, workers: int
) -> None:
    refs = [VideoRef(str(folder / f"{name}.mp4")) for name in NAMES] * 2
    items = list(check_videos(refs, workers=workers))
    assert [item.ref for item in items] == refs
    expected = [None, "not_found", "truncated", "not_video", "not_video", "refused"]
    assert kinds(items) == expected * 2


def test_without_decoding_only_the_file_system_is_asked(folder: Path) -> None:
    refs = [VideoRef(str(folder / f"{name}.mp4")) for name in NAMES]
    items = list(check_videos(refs, decode=False))
    assert kinds(items) == [None, "not_found", None, "not_video", None, "refused"]


def test_a_trim_beyond_the_end_is_unreadable(folder: Path) -> None:
    path = str(folder / "good.mp4")
    refs = [VideoRef(path, 0.5, 1.0), VideoRef(path, 60.0, 70.0)]
    assert kinds(list(check_videos(refs, workers=0))) == [None, "no_frames"]


def test_limits_are_those_of_the_caller(folder: Path) -> None:
    refs = [VideoRef(str(folder / "good.mp4"))]
    limits = LimitsConfig(max_duration_s=0.1)
    assert kinds(list(check_videos(refs, workers=0, limits=limits))) == ["too_large"]


def test_a_video_that_lost_its_end_is_found_with_a_warning(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", container_options={"movflags": "faststart"})
    content = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 3 // 4])
    refs = [VideoRef(str(tmp_path / f"{name}.mp4")) for name in ("whole", "cut")]
    good, cut = check_videos(refs, workers=0)
    assert (good.error, good.warnings) == (None, ())
    assert cut.error is None
    assert "of 60 frames could be decoded" in cut.warnings[0]


def test_results_come_before_all_is_listed(folder: Path) -> None:
    taken = []

    def refs():  # type: ignore[no-untyped-def]
        for number in range(1000):
            taken.append(number)
            yield VideoRef(str(folder / "good.mp4"))

    results = check_videos(refs(), workers=0)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(taken) < 100


def test_looking_for_files_starts_nothing_heavy(folder: Path) -> None:
    code = (
        "import sys\nfrom actcli.tasks.data import check_videos\n"
        "from actcli.types import VideoRef\n"
        "list(check_videos([VideoRef(sys.argv[1])], decode=False))\nprint('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, str(folder / "good.mp4")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
