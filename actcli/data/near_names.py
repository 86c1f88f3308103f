"""Names that are nearly the same by their letters: endings, joining, word order, a slip."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Final

from actcli.data.opposites import word_stems
from actcli.wording import match_key

_ARTICLES: Final = frozenset({"a", "an", "the"})
_MIN_SLIP_LETTERS: Final = 6
_PUNCTUATION = re.compile(r"[\W_]+")


def near_names(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """(one, other, what they differ in) of names that are nearly the same, each pair once.

    A slip is one letter more, less, other or swapped, in one word of six letters or more that
    is no other word of the list's.
    """
    found: dict[tuple[str, str], str] = {}
    for why, key in (
        ("capitals, joining or punctuation", _letters),
        ("endings or articles", _bare_stems),
        ("the order of words", _sorted_stems),
    ):
        for pair in _pairs_by(names, key):
            found.setdefault(pair, why)
    for pair in _slips(names):
        found.setdefault(pair, "one letter")
    place = {name: index for index, name in enumerate(names)}
    order = sorted(found, key=lambda pair: (place[pair[0]], place[pair[1]]))
    return [(one, other, found[one, other]) for one, other in order]


def contained_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """(shorter, longer) where all words of one name stand in the other, in their order."""
    stems = [(name, _bare_stems(name)) for name in names]
    by_word: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for name, words in stems:
        for word in set(words):
            by_word[word].append((name, words))
    found = []
    for name, words in stems:
        if not words:
            continue
        rarest = min((by_word[word] for word in words), key=len)
        for other, more in rarest:
            if len(more) > len(words) and _is_within(words, more):
                found.append((name, other))
    return found


def _is_within(words: tuple[str, ...], more: tuple[str, ...]) -> bool:
    rest = iter(more)
    return all(word in rest for word in words)


def _letters(name: str) -> str:
    return _PUNCTUATION.sub("", match_key(name))


def _bare_stems(name: str) -> tuple[str, ...]:
    words = word_stems(name)
    return tuple(word for word in words if word not in _ARTICLES) or words


def _sorted_stems(name: str) -> tuple[str, ...]:
    return tuple(sorted(_bare_stems(name)))


def _pairs_by(names: Sequence[str], key: object) -> Iterator[tuple[str, str]]:
    assert callable(key)
    groups: dict[object, list[str]] = defaultdict(list)
    for name in names:
        if value := key(name):
            groups[value].append(name)
    for group in groups.values():
        yield from combinations(group, 2)


def _slips(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs with equal words but one, which is one slip away from the other's."""
    stems = {name: _bare_stems(name) for name in names}
    used = _counts(word for words in stems.values() for word in set(words))
    by_rest: dict[object, list[tuple[str, str]]] = defaultdict(list)
    for name, words in stems.items():
        for i, word in enumerate(words):
            if len(word) >= _MIN_SLIP_LETTERS - 1:
                by_rest[(i, len(words), *words[:i], *words[i + 1 :])].append((name, word))
    for group in by_rest.values():
        for (one, word), (other, changed) in combinations(group, 2):
            longest = max(len(word), len(changed))
            is_rare = min(used[word], used[changed]) == 1
            if is_rare and longest >= _MIN_SLIP_LETTERS and is_slip(word, changed):
                yield one, other


def _counts(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for word in words:
        counts[word] += 1
    return counts


def is_slip(one: str, other: str) -> bool:
    """Whether two words differ by one letter added, left out, changed, or swapped with the next."""
    short, long = sorted((one, other), key=len)
    if short == long or len(long) - len(short) > 1:
        return False
    i = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(long) > len(short):
        return short[i:] == long[i + 1 :]
    if short[i + 1 :] == long[i + 1 :]:
        return True
    swapped = short[:i] + short[i + 1 : i + 2] + short[i] + short[i + 2 :]
    return swapped == long
