"""The things that figures hold, sit on and climb, in the figure's own coordinates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from actcli.demo.actions import RELEASE
from actcli.demo.play import Play
from actcli.demo.skeleton import HANDS, INDEX, Curve, Points

Pose: TypeAlias = Callable[[Curve], Points]


@dataclass(frozen=True, slots=True)
class Shape:
    """Part of a prop, in body units.

    points:  [T, n, 2]; one point is a disc of diameter `width`, more are a stroke of that width,
             or a filled outline if the width is 0
    """

    points: Points
    width: float = 0.0
    is_in_front: bool = False


def ball(pose: Pose, when: Curve, play: Play) -> list[Shape]:
    """A ball that is in the right hand until it is let go, then flies off."""
    p = play.turns(when) % 1.0
    hand = pose(when)[:, INDEX["right hand"]]
    let_go = pose(np.array([(RELEASE - play.phase) / play.cycles]))[0, INDEX["right hand"]]
    after = p - RELEASE
    flight = let_go + np.stack((2.4 * after, 0.5 * after - 2.2 * after**2), axis=-1)
    flight[:, 1] = np.maximum(flight[:, 1], 0.05)
    centre = np.where((after < 0.0)[:, None], hand, flight)
    return [Shape(centre[:, None], 0.11, is_in_front=True)]


def chair(pose: Pose, when: Curve, play: Play) -> list[Shape]:
    """A chair where the figure is going to sit."""
    x, y = pose(np.array([1.0]))[0, INDEX["pelvis"]]
    top, back, front = max(y - 0.035, 0.1), x - 0.13, x + 0.1
    strokes = (
        ((back, top), (front, top)),
        ((back, 0.0), (back, top + 0.32)),
        ((front, 0.0), (front, top)),
    )
    return [Shape(_still(stroke, when), 0.04) for stroke in strokes]


def box(pose: Pose, when: Curve, play: Play) -> list[Shape]:
    """A box on the floor that comes along once the hands have reached it."""
    half = 0.07 + 0.03 * play.dice[2]
    grip = pose(np.array([(play.start + play.stop) / 2.0]))[:, HANDS].mean(axis=1)
    offset = np.array([0.03, half]) - grip * np.array([0.0, 1.0])
    hands = pose(when)[:, HANDS].mean(axis=1)
    is_held = play.progress(when) >= 0.5
    centre = np.where(is_held[:, None], hands, grip) + offset
    corners = half * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    return [Shape(centre[:, None] + corners, is_in_front=True)]


def ladder(pose: Pose, when: Curve, play: Play) -> list[Shape]:
    """A ladder behind the figure."""
    strokes = [((side, 0.0), (side, 1.4)) for side in (-0.17, 0.17)]
    strokes += [((-0.17, y), (0.17, y)) for y in np.arange(0.1, 1.4, 0.16)]
    return [Shape(_still(stroke, when), 0.025) for stroke in strokes]


def barbell(pose: Pose, when: Curve, play: Play) -> list[Shape]:
    """A barbell in both hands."""
    hands = pose(when)[:, HANDS].mean(axis=1)
    ends = hands[:, None] + np.array([[-0.42, 0.0], [0.42, 0.0]])
    plates = [Shape(ends[:, [place]], 0.16, is_in_front=True) for place in (0, 1)]
    return [Shape(ends, 0.03, is_in_front=True), *plates]


def _still(points: tuple[tuple[float, float], ...], when: Curve) -> Points:
    """The same points at all times."""
    return np.broadcast_to(np.array(points, dtype=np.float64), (len(when), len(points), 2))


PROPS = {
    "throw": ball,
    "sit down": chair,
    "pick up": box,
    "climb": ladder,
    "overhead press": barbell,
}
