"""A bank of what else a video may show: the words that `--reject` and `--multi-label` compare with.

Everyday scenes, states and deeds, chosen by hand without looking at any benchmark's classes. As in
NegLabel (arXiv 2403.20078) a video of none of the labels tends to lie nearer to some of these.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

BANK: Final[tuple[str, ...]] = (
    "a person", "a figure", "a human", "a background", "a dark background", "a picture",
    "an empty room", "a landscape", "a street", "a building", "the sky", "a crowd of people",
    "an animal", "a car", "a chair", "a ball", "food on a table", "text on a screen", "a logo",
    "a blank picture", "doing nothing", "standing", "standing still", "standing on the floor",
    "sitting", "sitting on a chair", "lying", "lying on the floor", "looking around", "waiting",
    "sleeping", "resting", "walking", "walking around", "strolling", "sitting down", "standing up",
    "lying down", "getting up", "going forward", "turning around", "raising both arms",
    "lowering both arms", "picking up a ball", "putting down a ball", "holding something",
    "carrying something", "opening something", "reading", "writing", "talking", "listening",
    "eating", "drinking", "cooking", "cleaning", "driving", "using a phone", "typing on a keyboard",
    "watching television", "playing music", "playing with a child", "working in a garden",
    "repairing something",
)  # fmt: skip
_LEAST: Final = 4
"""Letters by which two words count as forms of one."""
_SMALL: Final = frozenset(
    "a an the of on in with at by to up down and something both around".split()  # noqa: SIM905
)


def negatives_for(labels: Iterable[str], *, known: Collection[str] | None = None) -> list[str]:
    """The phrases of the bank that share no word with the labels or their prompts, in their order.

    Forms of a word count as that word: "walking" is left out beside the label "walk".

    known: words that a model was trained on, in lower case; phrases with others are left out
    """
    taken = {word for label in labels for word in _words(label)}
    return [
        phrase
        for phrase in BANK
        if not any(_is_form(word, other) for word in _words(phrase) for other in taken)
        and (known is None or set(phrase.split()) <= set(known))
    ]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", text.lower())) - _SMALL


def _is_form(one: str, other: str) -> bool:
    """Whether the shorter word, or its first letters, begin the longer one."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short[: max(_LEAST, len(short) - 2)] if len(short) > _LEAST else short)
