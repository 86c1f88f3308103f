"""Finds pairs of labels that only the order of frames, or a single word of state, tells apart.

Averaging over frames forgets their order, so "left to right" and "right to left" get the same
score. Two labels are such a pair if one becomes the other by swapping opposite words. "Full" and
"empty" are states: one frame may show them, but they are one word among many for a text tower.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from actcli.wording import clean_label

_Swaps: TypeAlias = "dict[tuple[str, ...], list[tuple[str, ...]]]"

_MAX_SWAPS = 6
"""Opposites that are swapped in one label at once."""
_MAX_STEPS = 5000
_MAX_WORDS = 100
"""What is said in more words is not compared: a label may hold "left" a thousand times."""

# Each alone makes a pair: nothing in a single frame says which of the two it is.
_OPPOSITES = """
left/right, up/down, upward/downward, upstairs/downstairs, uphill/downhill, in/out, on/off,
into/out of, onto/off of, onto/off, toward/away from, to/away from, closer to/away from,
forward/backward, forward/back, clockwise/counterclockwise, east/west, north/south,
open/close, open/shut, enter/exit, enter/leave, arrive/leave, arrive/depart, push/pull,
raise/lower, lift/lower, ascend/descend, rise/sink, rise/set, appear/disappear, insert/remove,
approach/move away from, advance/retreat, attach/detach, connect/disconnect,
assemble/disassemble, inflate/deflate, expand/contract, expand/shrink, grow/shrink,
extend/retract, tighten/loosen, start/stop, accelerate/brake, accelerate/decelerate,
inhale/exhale, fill/empty, freeze/thaw, speed up/slow down, pick up/drop, take off/land,
wake up/fall asleep, kneel down/rise from knee, kneel/rise,
load/unload, fold/unfold, wrap/unwrap, cover/uncover, pack/unpack, lock/unlock, tie/untie,
zip/unzip, plug/unplug, screw/unscrew, dress/undress, buckle/unbuckle, button/unbutton,
roll/unroll, wind/unwind, stack/unstack, hook/unhook, fasten/unfasten, mount/dismount
"""

# These count only beside one of the above: sitting and standing differ in every frame, but
# "sit down" and "stand up" pass through the same postures.
_COMPANIONS = """
sit/stand, sit/get, lie/get, lie/stand, lie/sit, crouch/stand, squat/stand, kneel/stand,
kneel/get, bend/stand, pick/put, pick/set, take/put, lift/put, lift/set, raise/put, fall/get,
climb/jump
"""

_STATES = """
full/empty, clean/dirty, wet/dry, hot/cold, lit/unlit, lit/dark, intact/broken, whole/broken,
with/without, awake/asleep, alive/dead, fast/slow, fast/slowly, quickly/slowly, hard/soft,
heavy/light, loud/quiet, safe/unsafe, correct/incorrect, correctly/incorrectly, right/wrong,
successful/unsuccessful, success/failure, succeed/fail, normal/abnormal, good/bad, new/worn,
moving/still, moving/stationary, running/idle, tight/loose, present/absent, visible/hidden,
one/two, single/double, first/last, before/after, straight/bent, sharp/blunt
"""

_SAME_WORD = {
    "lying": "lie",
    "laying": "lie",
    "downwards": "downward",
    "upwards": "upward",
    "forwards": "forward",
    "backwards": "backward",
    "towards": "toward",
    "anticlockwise": "counterclockwise",
}
# A thumb, palm or face that points up or down is seen in one frame.
_POSE_STEMS = frozenset({"thumb", "palm", "fac", "upsid", "hand"})


def order_pairs(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of labels that frame averaging can't tell apart, each once, in label order."""
    return _pairs(list(labels), ((_STRONG, True), (_WEAK, False)))


def state_pairs(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of labels that differ in a word of state, manner or number, each once, in order."""
    return _pairs(list(labels), ((_STATE, True),))


def _pairs(names: list[str], tables: tuple[tuple[_Swaps, bool], ...]) -> list[tuple[str, str]]:
    by_words: dict[tuple[str, ...], int] = {}
    for index, name in enumerate(names):
        by_words.setdefault(word_stems(name), index)
    found = set()
    for words, index in by_words.items():
        for variant in _swapped(words, tables):
            other = by_words.get(variant)
            if other is not None and other != index:
                found.add((min(index, other), max(index, other)))
    return [(names[a], names[b]) for a, b in sorted(found)]


def word_stems(text: str) -> tuple[str, ...]:
    """The words without their endings, so that "closing" meets "close" and "closed"."""
    text = re.sub(r"\b(counter|anti)[- ]clockwise\b", "counterclockwise", clean_label(text).lower())
    return tuple(_stem(word) for word in re.findall(r"\w+", text))


def _stem(word: str) -> str:
    word = _SAME_WORD.get(word, word)
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) >= len(ending) + 2:
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2]:
        return word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def _parse(table: str) -> _Swaps:
    """Both directions of a table "a/b, c d/e": stems of a phrase -> stems of its opposites."""
    swaps: _Swaps = {}
    for pair in table.replace("\n", " ").split(","):
        left, right = (word_stems(side) for side in pair.split("/"))
        swaps.setdefault(left, []).append(right)
        swaps.setdefault(right, []).append(left)
    return swaps


_STRONG = _parse(_OPPOSITES)
_WEAK = _parse(_COMPANIONS)
_STATE = _parse(_STATES)


def _swapped(
    words: tuple[str, ...], tables: tuple[tuple[_Swaps, bool], ...]
) -> Iterator[tuple[str, ...]]:
    """Every way to swap opposites in `words`, with at least one that makes a pair by itself.

    tables: opposites, and whether one of them makes a pair by itself
    """
    # (words done, next position, swaps so far, one of them is strong)
    pending: list[tuple[tuple[str, ...], int, int, bool]] = [((), 0, 0, False)]
    left = _MAX_STEPS if len(words) <= _MAX_WORDS else 0
    while pending and left:
        left -= 1
        done, i, swaps, strong = pending.pop()
        if i == len(words):
            if strong:
                yield done
            continue
        pending.append(((*done, words[i]), i + 1, swaps, strong))
        if swaps == _MAX_SWAPS:
            continue
        for length in (1, 2, 3):
            phrase = words[i : i + length]
            if len(phrase) < length or not _is_movement(words, i, length):
                continue
            for table, is_strong in tables:
                for opposite in table.get(phrase, ()):
                    pending.append(((*done, *opposite), i + length, swaps + 1, strong or is_strong))


def _is_movement(words: tuple[str, ...], i: int, length: int) -> bool:
    """False where the opposite is part of a name: push-ups and pull-ups, thumbs up and down."""
    after = words[i + length : i + length + 1]
    if words[i] in {"push", "pul"} and after == ("up",):
        return False
    return not (words[i] in {"up", "down"} and i > 0 and words[i - 1] in _POSE_STEMS)
