"""Scaling and cropping against open_clip's own pipeline on PIL images.

Tolerance: one grey level, but for fewer than one value in 10,000, where it is two. PIL is asked for
one direction at a time, rows first, as it always worked before release 13; that release shrinks
some tall pictures in the other order, which moves sharp edges by more than ours differs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from actcli.types import Preprocessing
from actcli.video.transform import (
    crop_offset,
    fit_picture,
    fit_plainly,
    scaled_size,
    three_crops,
)
from tests.parity.reference import WHY_ABSENT, is_there, read_case

Pixels = np.ndarray[Any, Any]

SIZES = [
    (360, 640),
    (240, 320),
    (720, 1280),
    (640, 360),
    (569, 320),
    (121, 161),
    (241, 321),
    (50, 50),
    (17, 33),
    (224, 224),
    (225, 224),
    (223, 223),
    (256, 341),
    (333, 77),
    (100, 1000),
]
MODES = ["shortest", "longest", "squash"]


@cache
def natural_picture(height: int, width: int) -> Pixels:
    """Smooth shapes with edges and a little noise, as a camera sees them."""
    random = np.random.default_rng(height * 10007 + width)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(9 * x * (c + 1) + 7 * y) + np.cos(11 * y - 5 * x * c) for c in range(3)]
    edges = (np.hypot(x - 0.4, y - 0.3) < 0.2) * 90 - ((x + y) % 0.31 < 0.1) * 60
    noise = random.normal(0, 6, (height, width, 3))
    return (np.stack(waves, -1) * 45 + 120 + edges[..., None] + noise).clip(0, 255).astype(np.uint8)


def reference(pixels: Pixels, wanted: Preprocessing) -> Pixels:
    """open_clip's evaluation transform without mean and deviation, uint8 [3, X, X]."""
    height, width = scaled_size(pixels.shape[:2], wanted)
    rule = getattr(Image.Resampling, wanted.interpolation.upper())
    rows = Image.fromarray(pixels).resize((width, pixels.shape[0]), rule)
    # The pipeline then finds nothing left to scale.
    return whole_pipeline(np.asarray(rows.resize((width, height), rule)), wanted)


def whole_pipeline(pixels: Pixels, wanted: Preprocessing) -> Pixels:
    """The same from the stored pixels, in whatever order this release of PIL scales."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = PreprocessCfg(
        size=wanted.size_px,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        interpolation=wanted.interpolation,
        resize_mode=wanted.resize,
        fill_color=wanted.fill,
    )
    tensor = image_transform_v2(config, is_train=False)(Image.fromarray(pixels))
    return np.asarray((tensor * 255).round().to(torch.uint8))


def assert_equal_to_a_level(ours: Pixels, theirs: Pixels) -> None:
    assert ours.shape == theirs.shape
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 2
    assert (difference > 1).mean() < 1e-4


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize", MODES)
@pytest.mark.parametrize("size", [64, 224, 336])
def test_pictures_equal_open_clips_to_a_grey_level(
    size: int, resize: Any, interpolation: Any
) -> None:
    wanted = Preprocessing(size, resize=resize, interpolation=interpolation, fill=7)
    for height, width in SIZES:
        pixels = natural_picture(height, width)
        ours = fit_picture(pixels, (height, width), wanted)
        assert_equal_to_a_level(ours, reference(pixels, wanted))


@pytest.mark.parametrize("resize", MODES)
def test_the_whole_pipeline_agrees_on_common_video_sizes(resize: Any) -> None:
    wanted = Preprocessing(224, resize=resize)
    for height, width in ((360, 640), (240, 320), (720, 1280), (480, 480)):
        pixels = natural_picture(height, width)
        ours = fit_picture(pixels, (height, width), wanted)
        assert_equal_to_a_level(ours, whole_pipeline(pixels, wanted))


@pytest.mark.parametrize("resize", MODES)
def test_even_noise_of_full_contrast_agrees(resize: Any) -> None:
    random = np.random.default_rng(0)
    pixels = (random.integers(0, 2, (240, 320, 3)) * 255).astype(np.uint8)
    wanted = Preprocessing(224, resize=resize)
    ours, theirs = fit_picture(pixels, (240, 320), wanted), reference(pixels, wanted)
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 2
    assert (difference > 1).mean() < 1e-3


@pytest.mark.parametrize(
    ("display", "resize", "expected"),
    [
        ((360, 640), "shortest", (224, 398)),
        ((640, 360), "shortest", (398, 224)),
        ((241, 321), "shortest", (224, 298)),
        ((360, 640), "longest", (126, 224)),
        ((3, 900), "longest", (1, 224)),
        ((1, 1000), "longest", (1, 224)),
        ((360, 640), "squash", (224, 224)),
    ],
)
def test_sizes_are_those_of_the_reference(
    display: tuple[int, int], resize: Any, expected: tuple[int, int]
) -> None:
    assert scaled_size(display, Preprocessing(224, resize=resize)) == expected


@pytest.mark.parametrize(
    ("length", "offset"), [(224, 0), (225, 0), (226, 1), (227, 2), (298, 37), (399, 88), (100, 0)]
)
def test_half_pixels_of_a_crop_round_to_even(length: int, offset: int) -> None:
    assert crop_offset(length, 224) == offset


def test_wide_pixels_are_scaled_once_to_their_shown_shape() -> None:
    pixels = natural_picture(240, 320)
    wanted = Preprocessing(224)
    ours = fit_picture(pixels, (240, 640), wanted)
    rows = Image.fromarray(pixels).resize((597, 240), Image.Resampling.BICUBIC)
    once = rows.resize((597, 224), Image.Resampling.BICUBIC)
    expected = np.asarray(once.crop((186, 0, 410, 224))).transpose(2, 0, 1)
    assert_equal_to_a_level(ours, expected)


def test_a_very_long_strip_does_not_fill_the_memory() -> None:
    pixels = np.zeros((2, 60000, 3), np.uint8)
    pixels[:, 29000:31000] = 200
    picture = fit_picture(pixels, (2, 60000), Preprocessing(224))
    assert picture.shape == (3, 224, 224)
    assert picture.min() >= 199


def test_a_single_pixel_fills_the_square() -> None:
    picture = fit_picture(np.full((1, 1, 3), 77, np.uint8), (1, 1), Preprocessing(32))
    assert np.all(picture == 77)


def test_sixteen_bit_pictures_are_finished_after_the_crop() -> None:
    pixels = natural_picture(120, 160)

    def finish(scaled: Pixels) -> Pixels:
        assert scaled.shape == (3, 64, 64)
        return (scaled * 255).round().astype(np.uint8)

    wanted = Preprocessing(64)
    wide = fit_picture(pixels.astype(np.uint16) * 257, (120, 160), wanted, finish)
    assert np.abs(wide.astype(int) - fit_picture(pixels, (120, 160), wanted)).max() <= 2


def bilinear_by_hand(pixels: Pixels, height: int, width: int) -> Pixels:
    """float64 [3, height, width] in 0..1: each pixel from the four nearest, and no others."""
    found = pixels.transpose(2, 0, 1) / 255
    for axis, length in ((1, height), (2, width)):
        stored = found.shape[axis]
        place = ((np.arange(length) + 0.5) * stored / length - 0.5).clip(0, stored - 1)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, stored - 1)
        share = (place - below).reshape((-1, 1) if axis == 1 else (1, -1))
        found = found.take(below, axis) * (1 - share) + found.take(above, axis) * share
    return found


CLIP_FSAR = Preprocessing(56, "squash", "bilinear", scale_px=64, antialias=False)


@pytest.mark.parametrize(("scaled", "size"), [((64, 64), 56), ((256, 256), 224), ((40, 71), 33)])
def test_plain_scaling_mixes_the_nearest_pixels_and_crops_the_centre(
    scaled: tuple[int, int], size: int
) -> None:
    pixels = natural_picture(121, 161)
    top, left = (crop_offset(length, size) for length in scaled)
    expected = bilinear_by_hand(pixels, *scaled)[:, top : top + size, left : left + size]
    found = fit_plainly(np.stack([pixels, pixels[::-1]]), scaled, size)
    assert found.shape == (2, 3, size, size)
    assert np.abs(found[0].numpy() - expected).max() < 1e-5


@pytest.mark.skipif(not is_there(), reason=WHY_ABSENT)
def test_plain_scaling_is_that_of_clip_fsars_authors() -> None:
    case = read_case("clip_fsar", "test_preprocess")
    wanted = Preprocessing(case.config["crop"])
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (wanted.mean, wanted.std))
    frames = case.tensors["input.frames"].numpy()
    ours = fit_plainly(frames, tuple(case.config["resize"]), case.config["crop"])
    theirs = case.tensors["output.tensor"].transpose(0, 1)  # [T, 3, X, X]
    difference = ((ours - mean) / std - theirs).abs().max()
    assert difference <= 1e-5 * (1 + theirs.abs().max())


@pytest.mark.parametrize(("size", "scale"), [(56, 64), (224, 256), (32, 48)])
def test_a_plain_picture_is_the_float_result_to_half_a_level(size: int, scale: int) -> None:
    wanted = Preprocessing(size, "squash", "bilinear", scale_px=scale, antialias=False)
    for height, width in ((48, 80), (240, 320), (1080, 1920), (17, 33)):
        pixels = natural_picture(height, width)
        picture = fit_picture(pixels, (height, width), wanted)
        (exact,) = fit_plainly(pixels[None], (scale, scale), size)
        assert (picture.dtype, picture.shape) == (np.uint8, (3, size, size))
        assert np.abs(picture - exact.numpy() * 255).max() <= 0.5 + 1e-4


def test_antialias_makes_a_difference_where_a_picture_shrinks() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::4] = 255
    plain = fit_picture(stripes, (256, 256), CLIP_FSAR)
    smooth = fit_picture(stripes, (256, 256), replace(CLIP_FSAR, antialias=True))
    assert (plain.max(), smooth.min()) == (0, 64)


def test_a_scale_crops_what_the_other_ways_of_scaling_would_keep() -> None:
    wanted = Preprocessing(56, scale_px=64)
    assert scaled_size((60, 90), wanted) == (64, 96)
    pixels = natural_picture(60, 90)
    whole = np.asarray(Image.fromarray(pixels).resize((96, 64), Image.Resampling.BICUBIC))
    expected = whole[4:60, 20:76].transpose(2, 0, 1)
    assert_equal_to_a_level(fit_picture(pixels, (60, 90), wanted), expected)


def test_sixteen_bit_pictures_are_scaled_plainly_too() -> None:
    pixels = natural_picture(120, 160)

    def finish(scaled: Pixels) -> Pixels:
        return (scaled * 255).round().astype(np.uint8)

    wide = fit_picture(pixels.astype(np.uint16) * 257, (120, 160), CLIP_FSAR, finish)
    assert np.abs(wide.astype(int) - fit_picture(pixels, (120, 160), CLIP_FSAR)).max() <= 1


def test_embeddings_do_not_notice_the_difference() -> None:
    import open_clip

    torch.manual_seed(0)
    tower = open_clip.model.VisionTransformer(
        image_size=64, patch_size=16, width=64, layers=2, heads=4, mlp_ratio=2.0, output_dim=32
    ).eval()
    wanted = Preprocessing(64)
    for height, width in SIZES:
        pixels = natural_picture(height, width)
        pair = np.stack(
            [fit_picture(pixels, (height, width), wanted), whole_pipeline(pixels, wanted)]
        )
        with torch.inference_mode():
            ours, theirs = tower(torch.from_numpy(pair).float() / 255 - 0.5)
        assert torch.cosine_similarity(ours, theirs, dim=0) >= 0.9999


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (40, 41), (40, 40)])
def test_three_crops_are_start_centre_and_end_of_the_longer_side(shape: tuple[int, int]) -> None:
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([rows, columns, rows * 0]).astype(np.uint8)
    crops = three_crops(picture, 40)
    assert crops.shape == (3, 3, 40, 40)
    corners = [tuple(crop[:2, 0, 0].tolist()) for crop in crops]
    room = max(shape) - 40
    wide = [(0, 0), (0, crop_offset(width, 40)), (0, room)]
    tall = [(0, 0), (crop_offset(height, 40), 0), (room, 0)]
    assert corners == (wide if width >= height else tall)
