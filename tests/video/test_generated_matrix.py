"""Looking frames up gives those that counting gives, in every kind of file that we can make.

The default run takes a part in which any two values of two axes meet; the whole matrix is slow.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import astuple
from fractions import Fraction
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame

from actcli.config import LimitsConfig, SamplingConfig
from actcli.errors import VideoError
from actcli.types import Preprocessing
from actcli.video.decode import Reading, read_frames
from actcli.video.picture import PictureMaker
from actcli.video.sampling import choose_frames, make_plan
from actcli.video.timeline import Timeline
from tests.video.making import numbers
from tests.video.matrix import Cut, Recipe, make_file, recipes

FRAMES = (1, 8, 32)
PARTS = ((0.0, 1.0), (0.2, 0.7))
"""Shares of the duration."""
LIMITS = LimitsConfig()
ALL = recipes()


def choose_part(seed: int) -> list[Recipe]:
    """Recipes in a random order, each for a pair of values that no earlier one has."""
    taken: list[Recipe] = []
    known: set[Any] = set()
    for recipe in random.Random(seed).sample(ALL, len(ALL)):
        pairs = set(combinations(enumerate(astuple(recipe)), 2))
        if not pairs <= known:
            taken.append(recipe)
            known |= pairs
    return taken


PART = choose_part(seed=1)
REST = [recipe for recipe in ALL if recipe not in PART]


def read(path: Path, choose: Callable[[Timeline], list[int]], seek: bool | None) -> Reading | str:
    """What is found, or why the file is refused."""
    maker = PictureMaker(Preprocessing(64))

    def whole(frame: VideoFrame, _: Fraction) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return maker.rgb(frame, "rgb24")

    try:
        return read_frames(path, choose, whole, LIMITS, seek=seek)
    except VideoError as error:
        return str(error)


def count(path: Path) -> Reading | str:
    """All frames."""
    return read(path, lambda timeline: list(range(timeline.num_frames)), seek=False)


def chosen(timeline: Timeline, num_frames: int, part: tuple[float, float]) -> list[int]:
    """What `classify` takes of a part of a video."""
    start_s, end_s = (share * timeline.duration_s for share in part)
    plan = make_plan(SamplingConfig(num_frames=num_frames), start_s, end_s)
    return list(choose_frames(plan, timeline.times_s)[0])


def check_same(path: Path) -> None:
    """Frames, times, warnings and refusals do not depend on how frames are found."""
    counted = count(path)
    for num_frames, part, seek in product(FRAMES, PARTS, (True, None)):
        found = read(path, lambda timeline: chosen(timeline, num_frames, part), seek)  # noqa: B023
        if isinstance(counted, str) or isinstance(found, str):
            assert found == counted
            continue
        assert np.array_equal(found.timeline.times_s, counted.timeline.times_s)
        assert found.timeline.duration_s == counted.timeline.duration_s
        assert found.warnings == counted.warnings
        for index in chosen(counted.timeline, num_frames, part):
            assert np.array_equal(found.frames[index], counted.frames[index]), index


@pytest.mark.parametrize("recipe", PART, ids=lambda recipe: recipe.name)
def test_frames_looked_up_are_those_counted(recipe: Recipe, tmp_path: Path) -> None:
    check_same(make_file(recipe, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", REST, ids=lambda recipe: recipe.name)
def test_frames_looked_up_are_those_counted_in_the_rest(recipe: Recipe, tmp_path: Path) -> None:
    check_same(make_file(recipe, tmp_path))


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in PART if recipe.cut == "whole"], ids=lambda recipe: recipe.name
)
def test_counted_frames_show_their_numbers(recipe: Recipe, tmp_path: Path) -> None:
    counted = count(make_file(recipe, tmp_path))
    assert isinstance(counted, Reading)
    frames = counted.frames
    shown = numbers(frames[index].transpose(2, 0, 1) for index in sorted(frames))
    assert shown == list(range(recipe.num_frames))


@pytest.mark.parametrize("cut", ["whole", "edit-list"])
@pytest.mark.parametrize("order", ["plain", "b"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_mp4_is_looked_up_even_where_an_edit_list_shifts_its_times(
    codec: str, order: str, cut: Cut, tmp_path: Path
) -> None:
    path = make_file(Recipe(codec, "mp4", 12, order, "variable", cut), tmp_path)
    found = read(path, lambda timeline: chosen(timeline, 8, PARTS[0]), seek=None)
    assert isinstance(found, Reading)
    assert not found.is_counted
