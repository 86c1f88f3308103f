"""Clips made different: from a seed alone, as a whole, and never out of shape."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from actcli.video.augment import OPERATIONS, Augmentation, crop_offsets, crop_sizes

FRAMES = [np.random.RandomState(i).randint(0, 256, (72, 96, 3), dtype=np.uint8) for i in range(3)]
STILL = [FRAMES[0]] * 6


def changed(seed: int = 0, frames: Any = STILL, **options: Any) -> np.ndarray[Any, Any]:
    return Augmentation(**options)(frames, 64, seed)


@pytest.mark.parametrize("crop", ["multi-scale", "random", "centre"])
def test_a_clip_is_a_square_of_its_model_whatever_is_drawn(crop: str) -> None:
    for seed in range(20):
        clip = changed(seed, FRAMES, crop=crop)
        assert (clip.shape, clip.dtype) == ((3, 3, 64, 64), np.uint8)


def test_the_seed_decides() -> None:
    assert np.array_equal(changed(3), changed(3))
    assert len({changed(seed).tobytes() for seed in range(8)}) == 8


def test_frames_of_a_clip_are_changed_alike_unless_it_is_to_flicker() -> None:
    for seed in range(12):
        assert all(np.array_equal(frame, changed(seed)[0]) for frame in changed(seed))
    flickers = [changed(seed, per_frame=True) for seed in range(12)]
    assert sum(any(not np.array_equal(f, clip[0]) for f in clip) for clip in flickers) > 9


def test_with_everything_off_the_centre_is_left() -> None:
    off = {"crop": "centre", "num_ops": 0, "flip": False, "colour": False}
    clip = changed(frames=FRAMES, **off)
    assert np.array_equal(clip[1], FRAMES[1][4:68, 16:80].transpose(2, 0, 1))


def test_half_of_the_clips_are_mirrored() -> None:
    off = {"crop": "centre", "num_ops": 0, "colour": False}
    plain = changed(frames=FRAMES, flip=False, **off)
    mirrored = [np.array_equal(changed(s, FRAMES, **off), plain[..., ::-1]) for s in range(200)]
    assert 70 < sum(mirrored) < 130


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@pytest.mark.parametrize("magnitude", [0.0, 0.3, 1.0])
def test_an_operation_keeps_size_and_mode(name: str, magnitude: float) -> None:
    picture = Image.fromarray(FRAMES[0])
    for seed in range(4):
        result = OPERATIONS[name](magnitude, random.Random(seed))(picture)
        assert (result.size, result.mode) == (picture.size, "RGB")


def test_operations_do_what_their_names_say() -> None:
    picture, draw = Image.fromarray(FRAMES[0]), random.Random(0)
    pixels = FRAMES[0].astype(int)

    def apply(name: str, magnitude: float) -> Any:
        return np.asarray(OPERATIONS[name](magnitude, draw)(picture)).astype(int)

    assert np.array_equal(apply("Invert", 0.3), 255 - pixels)
    assert np.array_equal(apply("Solarize", 0.3), np.where(pixels < 77, pixels, 255 - pixels))
    added = np.minimum(pixels + 33, 255)
    assert np.array_equal(apply("SolarizeAdd", 0.3), np.where(added < 128, added, 255 - added))
    assert np.array_equal(apply("Posterize", 0.3), pixels & 0x80)
    moved = apply("TranslateX", 0.3)
    right, left = np.zeros_like(pixels), np.zeros_like(pixels)
    left[:, :-30], right[:, 30:] = pixels[:, 30:], pixels[:, :-30]
    assert any(np.array_equal(moved, expected) for expected in (left, right))


def test_crops_are_the_published_ones() -> None:
    assert crop_sizes((340, 256), 224)[:4] == [(256, 256), (224, 256), (256, 224), (224, 224)]
    assert crop_offsets((340, 256), (224, 256))[:3] == [(0, 0), (116, 0), (0, 0)]
