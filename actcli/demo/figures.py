"""Seeded scenes of stick figures, one per label and seed.

`SINGLES` can be told from a few frames. The members of `PAIRS` differ in the order of their
frames only: the second one is the first one with time reversed, all else being equally likely.
`NOVEL` holds actions that the demo model was not trained on.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from actcli.demo import actions, transitions
from actcli.demo.look import draw_look
from actcli.demo.play import Action, draw_play
from actcli.demo.scene import Camera, Scene
from actcli.demo.skeleton import draw_body

Which: TypeAlias = Literal["single", "pairs", "novel", "all"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labels that are each other's reversal in time; `second` is drawn backwards."""

    name: str
    first: str
    second: str


SINGLES = tuple(actions.SINGLES)
PAIRS = (
    Pair("walk", "walk left", "walk right"),
    Pair("sit", "sit down", "stand up"),
    Pair("lie", "lie down", "get up"),
    Pair("arms", "raise arms", "lower arms"),
    Pair("pick", "pick up", "put down"),
)
NOVEL_SINGLES = tuple(transitions.NOVEL_SINGLES)
NOVEL_PAIRS = (Pair("kneel", "kneel down", "rise from knees"),)

_PAIR_LABELS = tuple(label for pair in PAIRS for label in (pair.first, pair.second))
_NOVEL_PAIR_LABELS = tuple(label for pair in NOVEL_PAIRS for label in (pair.first, pair.second))
_LABELS: dict[str, tuple[str, ...]] = {
    "single": SINGLES,
    "pairs": _PAIR_LABELS,
    "novel": NOVEL_SINGLES + _NOVEL_PAIR_LABELS,
}
_PAIR_OF = {label: pair for pair in PAIRS + NOVEL_PAIRS for label in (pair.first, pair.second)}
_ACTIONS: dict[str, Action] = {
    **actions.SINGLES,
    **transitions.TRANSITIONS,
    **transitions.NOVEL_SINGLES,
}


def demo_labels(which: Which) -> tuple[str, ...]:
    """Labels of a set, in a fixed order."""
    if which == "all":
        return tuple(label for labels in _LABELS.values() for label in labels)
    return _LABELS[which]


def pair_of(label: str) -> Pair | None:
    """The pair that a label belongs to."""
    return _PAIR_OF.get(label)


def draw_scene(label: str, seed: int) -> Scene:
    """Draw everything random about one clip.

    Both members of a pair make the same draws from a seed, so the second one's scene shows the
    same figure doing the same thing backwards. Raises KeyError for a label of no set.
    """
    pair = pair_of(label)
    name = label if pair is None else pair.first
    action = _ACTIONS[name]
    rng = np.random.default_rng(seed)
    return Scene(
        name=name,
        action=action,
        is_reversed=label != name,
        body=draw_body(rng),
        play=draw_play(rng, action.cycles),
        look=draw_look(rng),
        camera=_draw_camera(rng),
        facing=1.0 if rng.uniform() < 0.5 else -1.0,
        size=float(rng.uniform(*action.sizes)),
        place=float(rng.uniform(-action.place_jitter, action.place_jitter)),
        ground=float(rng.uniform(0.84, 0.93)),
    )


def _draw_camera(rng: np.random.Generator) -> Camera:
    def spot() -> tuple[float, float]:
        return float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.02, 0.02))

    def shake_wave() -> tuple[float, float]:
        return float(rng.uniform(4.0, 12.0)), float(rng.uniform())

    shakes = rng.uniform() < 0.5
    return Camera(
        start=spot(),
        stop=spot(),
        zoom=(float(rng.uniform(0.97, 1.03)), float(rng.uniform(0.97, 1.03))),
        shake=float(rng.uniform(0.0, 0.006)) if shakes else 0.0,
        shake_waves=(shake_wave(), shake_wave()),
    )
