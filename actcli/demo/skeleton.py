"""A jointed stick figure: limb lengths, angle curves, and the joints they lead to.

Lengths are in body units (a figure is about 1 high), y points up, x where the figure faces (side
view) or to the right of the picture (front view). Angles are absolute and in degrees: 0 hangs
straight down, 90 points along x, 180 straight up. The torso alone leans from the vertical.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Curve: TypeAlias = npt.NDArray[np.float64]  # [T]
Points: TypeAlias = npt.NDArray[np.float64]  # [T, J, 2]
Angle: TypeAlias = "Curve | float"
Limb: TypeAlias = "tuple[Angle, Angle]"  # upper arm and forearm, or thigh and shin

JOINTS = (
    "head", "neck", "pelvis",
    "right elbow", "left elbow", "right hand", "left hand",
    "right knee", "left knee", "right foot", "left foot",
    "right shoulder", "left shoulder", "right hip", "left hip",
)  # fmt: skip
INDEX = {name: place for place, name in enumerate(JOINTS)}
# The joints that carry the pose; shoulders and hips follow from them.
NUM_POSE_JOINTS = 11
HANDS = (INDEX["right hand"], INDEX["left hand"])
FEET = (INDEX["right foot"], INDEX["left foot"])

# Mean length and its relative standard deviation.
_LENGTHS = {
    "torso": (0.30, 0.07),
    "neck": (0.03, 0.10),
    "head": (0.072, 0.12),
    "upper_arm": (0.165, 0.07),
    "forearm": (0.155, 0.07),
    "thigh": (0.235, 0.06),
    "shin": (0.235, 0.06),
    "half_shoulder": (0.085, 0.15),
    "half_hip": (0.05, 0.15),
}
_SIDE_HALF_WIDTH = 0.012
_LIMB_SD_DEG, _TORSO_SD_DEG = 4.0, 2.5


@dataclass(frozen=True, slots=True)
class Body:
    """One figure's lengths in body units, and the habits of its joints in degrees."""

    torso: float
    neck: float
    head: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    half_shoulder: float
    half_hip: float
    torso_habit: float
    # Upper arm, forearm, thigh and shin of the right side, then of the left.
    limb_habits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Motion:
    """The angle curves of one action, and where the figure goes.

    `head` bends the head further than the torso leans; `turn` scales all limbs in x, as if the
    figure turned about its axis; `rotation` turns the whole body about the pelvis,
    counter-clockwise; `lift` is the height of the lowest joint above the floor in body units.
    """

    right_arm: Limb = (0.0, 0.0)
    left_arm: Limb = (0.0, 0.0)
    right_leg: Limb = (0.0, 0.0)
    left_leg: Limb = (0.0, 0.0)
    torso: Angle = 0.0
    head: Angle = 0.0
    turn: Angle = 1.0
    rotation: Angle = 0.0
    lift: Angle = 0.0
    is_front: bool = False


def draw_body(rng: np.random.Generator) -> Body:
    """Draw a figure; every deviation is cut at two standard deviations."""

    def deviation() -> float:
        return float(np.clip(rng.standard_normal(), -2.0, 2.0))

    lengths = {name: mean * (1.0 + sd * deviation()) for name, (mean, sd) in _LENGTHS.items()}
    return Body(
        **lengths,
        torso_habit=_TORSO_SD_DEG * deviation(),
        limb_habits=tuple(_LIMB_SD_DEG * deviation() for _ in range(8)),
    )


def solve(body: Body, motion: Motion, num_times: int) -> Points:
    """Joints of a figure that stands on the floor y = 0 with its pelvis at x = 0.

    The lowest joint carries the figure, so squats, rolls and handstands need no height curve.

    returns:  [T, 15, 2], the joints in the order of `JOINTS`
    """

    def curve(angle: Angle) -> Curve:
        return np.broadcast_to(np.asarray(angle, dtype=np.float64), (num_times,))

    lean = curve(motion.torso) + body.torso_habit
    turn = curve(motion.turn)
    shoulder = body.half_shoulder if motion.is_front else _SIDE_HALF_WIDTH
    hip = body.half_hip if motion.is_front else _SIDE_HALF_WIDTH
    points = np.zeros((num_times, len(JOINTS), 2))
    neck = body.torso * _direction(180.0 - lean)
    points[:, INDEX["neck"]] = neck
    nod = 180.0 - (0.7 * lean + curve(motion.head))
    points[:, INDEX["head"]] = neck + (body.neck + body.head) * _direction(nod)
    limbs = (motion.right_arm, motion.right_leg, motion.left_arm, motion.left_leg)
    for place, (upper, lower) in enumerate(limbs):
        sign, side = (1.0, "right") if place < 2 else (-1.0, "left")
        is_arm = place % 2 == 0
        names = ("shoulder", "elbow", "hand") if is_arm else ("hip", "knee", "foot")
        sizes = (body.upper_arm, body.forearm) if is_arm else (body.thigh, body.shin)
        half = sign * (shoulder if is_arm else hip)
        across = half * _direction(90.0 - lean * is_arm)
        first = sizes[0] * _direction(curve(upper) + body.limb_habits[2 * place])
        second = sizes[1] * _direction(curve(lower) + body.limb_habits[2 * place + 1])
        for offset in (across, first, second):
            offset[:, 0] *= turn
        root = (neck if is_arm else 0.0) + across
        for name, point in zip(names, (root, root + first, root + first + second), strict=True):
            points[:, INDEX[f"{side} {name}"]] = point
    points = _rotate(points, curve(motion.rotation))
    points[:, :, 1] -= _lowest(points, body.head)[:, None]
    points[:, :, 1] += curve(motion.lift)[:, None]
    return points


def _direction(angle_deg: Curve) -> npt.NDArray[np.float64]:
    """Unit vectors [T, 2] of absolute angles."""
    radians = np.deg2rad(angle_deg)
    return np.stack((np.sin(radians), -np.cos(radians)), axis=-1)


def _rotate(points: Points, angle_deg: Curve) -> Points:
    """Turn all joints about the pelvis, which is the origin."""
    cos, sin = np.cos(np.deg2rad(angle_deg))[:, None], np.sin(np.deg2rad(angle_deg))[:, None]
    x, y = points[:, :, 0], points[:, :, 1]
    return np.stack((cos * x - sin * y, sin * x + cos * y), axis=-1)


def _lowest(points: Points, head_radius: float) -> Curve:
    """Height [T] of the lowest part of the body."""
    heights = points[:, :, 1].copy()
    heights[:, INDEX["head"]] -= head_radius
    lowest: Curve = heights.min(axis=1)
    return lowest
