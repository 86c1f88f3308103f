"""How one performance of an action runs: its rhythm, its strength and its free choices."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from actcli.demo.skeleton import Curve, Limb, Motion

Anchor: TypeAlias = str | None


@dataclass(frozen=True, slots=True)
class Play:
    """The random numbers of one performance.

    `phase` and `cycles` drive what repeats; `start` and `stop` bound what happens once;
    `dice` are uniform in [0, 1) and decide whatever an action leaves open.
    """

    amplitude: float
    phase: float
    cycles: float
    start: float
    stop: float
    dice: tuple[float, ...]

    def turns(self, when: Curve) -> Curve:
        """Cycles [T] done at the given fractions of the clip."""
        return self.phase + self.cycles * when

    def progress(self, when: Curve) -> Curve:
        """Eased share [T] of a transition that is done, from 0 to 1."""
        x = np.clip((when - self.start) / (self.stop - self.start), 0.0, 1.0)
        return x * x * (3.0 - 2.0 * x)


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of movement: curves over the clip, and what a scene must allow for.

    `curves` takes fractions of the clip in [0, 1]; `sizes` is the range of the figure's size in
    frame heights; the mean foot (`feet`), one foot or, with None, the pelvis stays in place;
    `path` moves the whole figure sideways, in frame heights.
    """

    curves: Callable[[Curve, Play], Motion]
    cycles: tuple[float, float] = (1.0, 1.0)
    sizes: tuple[float, float] = (0.52, 0.72)
    anchor: Anchor = "feet"
    place_jitter: float = 0.09
    path: Callable[[Curve, Play], Curve] | None = None


def draw_play(rng: np.random.Generator, cycles: tuple[float, float]) -> Play:
    """Draw a performance; the pauses before and after a transition are alike on average."""
    width = rng.uniform(0.5, 0.8)
    start = rng.uniform(0.04, 0.96 - width)
    return Play(
        amplitude=rng.uniform(0.82, 1.12),
        phase=rng.uniform(),
        cycles=rng.uniform(*cycles),
        start=start,
        stop=start + width,
        dice=tuple(rng.uniform(size=6).tolist()),
    )


def mirrored(limb: Limb) -> Limb:
    """The same limb on the other side of a figure seen from the front."""
    return (-limb[0], -limb[1])


def blend(low: float, high: float, weight: Curve) -> Curve:
    """Go from `low` to `high` as the weight goes from 0 to 1."""
    return low + (high - low) * weight


def keyed(when: Curve, *keys: tuple[float, float]) -> Curve:
    """Pass through (time, value) keys, at rest in each of them."""
    times, values = np.array([key[0] for key in keys]), np.array([key[1] for key in keys])
    place = np.clip(np.searchsorted(times, when, side="right") - 1, 0, len(keys) - 2)
    x = np.clip((when - times[place]) / (times[place + 1] - times[place]), 0.0, 1.0)
    eased = x * x * (3.0 - 2.0 * x)
    result: Curve = values[place] + (values[place + 1] - values[place]) * eased
    return result


def wave(turns: Curve) -> Curve:
    """Sine of a number of full turns."""
    result: Curve = np.sin(2.0 * np.pi * turns)
    return result


def swell(turns: Curve) -> Curve:
    """Rise from 0 to 1 and fall again once a turn."""
    result: Curve = (1.0 - np.cos(2.0 * np.pi * turns)) / 2.0
    return result
