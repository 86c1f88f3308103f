"""Names of actions as words: what a text tower should read, and what counts as the same name."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

# "ApplyEyeMakeup" between y and E; "BMXRiding" between X and Ri.
_CAMEL_BREAK = re.compile(r"(?<=[^\W\d_])(?=[^\W\d_])")
_SLUG = re.compile(r"[^\W\d_]{2,}(-[^\W\d_]{2,})+")
_SEPARATORS = re.compile(r"[\s_-]+")


def clean_label(name: str) -> str:
    """The words of a label as a text tower should read them.

    Underscores become spaces, words joined by hyphens or capitals come apart, and runs of spaces
    shrink: "playing_guitar", "playing-guitar" and "PlayingGuitar" all read "playing guitar". A
    name that has spaces already keeps its hyphens and capitals ("T-shirt folding").
    """
    words = " ".join(name.replace("_", " ").split())
    if " " in words:
        return words
    if _SLUG.fullmatch(words):
        return words.replace("-", " ")
    return _split_capitals(words) or name


def _split_capitals(word: str) -> str:
    """ "CleanAndJerk" as "clean and jerk"; acronyms stay, as does "iPhone"."""
    breaks = [m.start() for m in _CAMEL_BREAK.finditer(word) if _is_break(word, m.start())]
    if not breaks or (breaks[0] == 1 and word[0].islower()):
        return word
    edges = [0, *breaks, len(word)]
    parts = [word[a:b] for a, b in pairwise(edges)]
    return " ".join(part if len(part) > 1 and part.isupper() else part.lower() for part in parts)


def _is_break(word: str, i: int) -> bool:
    before, after = word[i - 1], word[i]
    if not after.isupper():
        return False
    return before.islower() or (i + 1 < len(word) and word[i + 1].islower())


def same_label_key(name: str) -> str:
    """Equal for two labels that would read the same to a model: case and joining don't count."""
    return unicodedata.normalize("NFC", clean_label(name)).casefold()


def match_key(name: str) -> str:
    """Equal for two spellings of one class: "ShotPut", "shot put", "shot_put" and "Shotput"."""
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", name).casefold())
