"""Every file of the collection of odd and broken videos does what its table says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actcli.config import LimitsConfig, SamplingConfig
from actcli.errors import VideoError
from actcli.types import Preprocessing, VideoRef
from actcli.video.clips import read_clip
from actcli.video.decode import probe
from tests.video.odd_files import ODD_FILES, Refused, Shown

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "odd"
SAMPLING = SamplingConfig(num_frames=8, num_views=1, stride_s=None)
SMALL = Preprocessing(64)

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="../shared/data/odd is not there")

shown = [(name, row) for name, row in ODD_FILES.items() if isinstance(row, Shown)]
refused = [(name, row) for name, row in ODD_FILES.items() if isinstance(row, Refused)]


def test_every_file_has_a_row() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(ODD_FILES)


@pytest.mark.parametrize(("name", "row"), shown)
def test_a_usable_file_is_measured_right(name: str, row: Shown) -> None:
    info = probe(FOLDER / name)
    assert info.num_frames == row.num_frames
    assert info.duration_s == pytest.approx(row.duration_s, abs=1e-6)
    assert (info.width, info.height) == row.size


@pytest.mark.parametrize("seek", [True, False, None])
@pytest.mark.parametrize(("name", "row"), shown)
def test_a_usable_file_gives_a_clip(name: str, row: Shown, seek: bool | None) -> None:
    clip = read_clip(VideoRef(str(FOLDER / name)), SAMPLING, SMALL, LimitsConfig(), seek=seek)
    assert clip.frames.shape == (1, 8, 3, 64, 64)
    assert clip.warnings == row.warnings
    assert clip.end_s == pytest.approx(row.duration_s, abs=1e-6)
    assert np.all(np.diff(clip.times_s) >= 0)


@pytest.mark.parametrize(("name", "row"), shown)
def test_seeking_and_counting_give_the_same_frames(name: str, row: Shown) -> None:
    ref = VideoRef(str(FOLDER / name))
    sought, counted = (
        read_clip(ref, SAMPLING, SMALL, LimitsConfig(), seek=seek) for seek in (True, False)
    )
    assert np.array_equal(sought.times_s, counted.times_s)
    assert np.array_equal(sought.frames, counted.frames)


@pytest.mark.parametrize(("name", "row"), refused)
def test_an_unusable_file_says_why(name: str, row: Refused) -> None:
    with pytest.raises(VideoError) as caught:
        read_clip(VideoRef(str(FOLDER / name)), SAMPLING, SMALL, LimitsConfig())
    assert (caught.value.kind, caught.value.message) == (row.kind, row.message)
    assert str(FOLDER) not in caught.value.message
