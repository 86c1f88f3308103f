"""Drawn figures: seeded, reversible in pairs, and visible on their background."""

import numpy as np
import pytest

from actcli.demo.figures import (
    NOVEL_PAIRS,
    PAIRS,
    SINGLES,
    demo_labels,
    draw_scene,
    pair_of,
)
from actcli.demo.look import MIN_CHANNEL_SUM, MIN_LUMINANCE_STEP, paint_background
from actcli.demo.play import Play
from actcli.demo.skeleton import INDEX, Body, Motion, solve

WHEN = (np.arange(9) + 0.5) / 9
SIZE = (96, 72)
EVERY_LABEL = demo_labels("all")
EVERY_PAIR = PAIRS + NOVEL_PAIRS
AVERAGE = Body(0.3, 0.03, 0.07, 0.16, 0.15, 0.23, 0.24, 0.08, 0.05, 0.0, (0.0,) * 8)


def test_the_sets_have_the_promised_labels():
    assert len(SINGLES) == 14
    assert len(demo_labels("pairs")) == 10
    assert len(demo_labels("novel")) == 8
    assert len(set(EVERY_LABEL)) == 32
    assert [pair_of(label) for label in ("run", "push-up")] == [None, None]


@pytest.mark.parametrize("label", EVERY_LABEL)
def test_the_same_seed_draws_the_same_pixels(label):
    first, second = (draw_scene(label, 5).frames(WHEN, SIZE) for _ in range(2))
    assert first.shape == (9, 72, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)


def test_other_seeds_draw_other_scenes():
    scenes = [draw_scene("run", seed) for seed in range(20)]
    assert len({scene.size for scene in scenes}) == 20
    assert len({scene.look.ink_name for scene in scenes}) > 3
    assert {scene.facing for scene in scenes} == {-1.0, 1.0}


def test_a_frame_does_not_depend_on_the_frames_drawn_with_it():
    scene = draw_scene("throw", 8)
    together = scene.frames(WHEN, SIZE)
    assert np.array_equal(scene.frames(WHEN[3:4], SIZE)[0], together[3])


@pytest.mark.parametrize("pair", EVERY_PAIR, ids=lambda pair: pair.name)
@pytest.mark.parametrize("seed", range(5))
def test_the_second_member_of_a_pair_is_the_first_one_backwards(pair, seed):
    forward, backward = draw_scene(pair.first, seed), draw_scene(pair.second, seed)
    joints = forward.joints(WHEN)
    assert np.allclose(joints, backward.joints(1.0 - WHEN), atol=1e-12)
    assert np.abs(joints - backward.joints(WHEN)).max() > 0.05
    assert forward.look == backward.look
    assert forward.camera == backward.camera


@pytest.mark.parametrize("pair", EVERY_PAIR, ids=lambda pair: pair.name)
def test_props_run_backwards_with_the_figure(pair):
    forward, backward = draw_scene(pair.first, 3), draw_scene(pair.second, 3)
    still = {"start": (0.0, 0.0), "stop": (0.0, 0.0), "zoom": (1.0, 1.0), "shake": 0.0}
    pictures = []
    for scene, when in ((forward, WHEN), (backward, 1.0 - WHEN)):
        camera = type(scene.camera)(**still, shake_waves=((1.0, 0.0), (1.0, 0.0)))
        fields = {name: getattr(scene, name) for name in scene.__dataclass_fields__}
        pictures.append(type(scene)(**fields | {"camera": camera}).frames(when, SIZE))
    # Rounding of 1 - (1 - t) may move an edge by a pixel.
    assert np.mean(pictures[0] != pictures[1]) < 0.005


def test_a_walker_faces_either_way_whichever_way_it_goes():
    for label, direction in (("walk left", -1.0), ("walk right", 1.0)):
        scenes = [draw_scene(label, seed) for seed in range(60)]
        for scene in scenes:
            x = scene.joints(np.array([0.0, 1.0]))[:, INDEX["pelvis"], 0]
            assert np.sign(x[1] - x[0]) == direction
        assert 0.25 < np.mean([scene.facing > 0 for scene in scenes]) < 0.75


def test_pauses_before_and_after_a_transition_are_alike():
    plays = [draw_scene("sit down", seed).play for seed in range(400)]
    before, after = (
        np.array(v) for v in zip(*[(p.start, 1.0 - p.stop) for p in plays], strict=True)
    )
    assert abs(before.mean() - after.mean()) < 0.03
    assert min(before.min(), after.min()) > 0.03


@pytest.mark.parametrize("seed", range(60))
def test_figure_and_props_stand_out_from_every_pixel_behind_them(seed):
    scene = draw_scene(EVERY_LABEL[seed % len(EVERY_LABEL)], 1000 + seed)
    pixels = np.asarray(paint_background(scene.look, SIZE, scene.ground), dtype=np.float64)
    weights = np.array([0.299, 0.587, 0.114])
    for ink in (scene.look.ink, scene.look.prop_ink):
        step = np.abs((pixels - np.array(ink)) @ weights)
        assert step.min() > MIN_LUMINANCE_STEP
        assert np.abs(pixels - np.array(ink)).sum(axis=-1).min() > MIN_CHANNEL_SUM


@pytest.mark.parametrize("label", EVERY_LABEL)
def test_the_figure_is_drawn_in_its_ink(label):
    scene = draw_scene(label, 2)
    frames = scene.frames(WHEN, (160, 120))
    is_ink = (frames == np.array(scene.look.ink)).all(axis=-1)
    assert (is_ink.mean(axis=(1, 2)) > 0.003).all()


# A spinning figure is foreshortened.
@pytest.mark.parametrize("label", [label for label in EVERY_LABEL if label != "spin"])
def test_bones_keep_their_length(label):
    scene = draw_scene(label, 4)
    joints = scene.joints(WHEN)
    shin = joints[:, INDEX["right foot"]] - joints[:, INDEX["right knee"]]
    assert np.allclose(np.hypot(*shin.T), scene.size * scene.body.shin)


def test_a_hanging_figure_stands_on_the_floor_and_is_about_one_high():
    joints = solve(AVERAGE, Motion(), 1)[0]
    assert joints[INDEX["right foot"]] == pytest.approx((0.012, 0.0))
    assert joints[INDEX["pelvis"]] == pytest.approx((0.0, 0.47))
    assert joints[INDEX["head"]] == pytest.approx((0.0, 0.87))


def test_a_rotated_figure_stands_on_its_hands():
    arm = (170.0, 170.0)
    motion = Motion(arm, (-170.0, -170.0), rotation=180.0, is_front=True)
    joints = solve(AVERAGE, motion, 1)[0]
    assert joints[[INDEX["right hand"], INDEX["left hand"]], 1] == pytest.approx((0.0, 0.0))
    assert joints[INDEX["right foot"], 1] > joints[INDEX["pelvis"], 1] > 0.4


def test_progress_starts_at_zero_and_ends_at_one():
    play = Play(1.0, 0.0, 1.0, 0.2, 0.8, (0.0,) * 6)
    progress = play.progress(np.array([0.0, 0.2, 0.5, 0.8, 1.0]))
    assert progress == pytest.approx((0.0, 0.0, 0.5, 1.0, 1.0))
