"""What hostile files are made of, and what may become of one: a value, or one plain sentence."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from actcli.errors import ActcliError
from actcli.render.console import printable

T = TypeVar("T")
FACTOR = int(os.environ.get("ACTCLI_FUZZ", "1"))
"""How many times the usual number of examples is tried, and then never the same ones."""
_LONGEST_S = 20
_MOST_BYTES = 1 << 30
"""More address space than before: mapped files and libraries count too."""


class TooSlow(BaseException):
    """Nothing that catches exceptions may catch this."""


def examples(count: int) -> Any:
    """As many examples, the same ones every time unless more were asked for."""
    return settings(
        max_examples=count * FACTOR,
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def bounded(*, more_bytes: int = _MOST_BYTES) -> Iterator[None]:
    """Within, time and memory have an end: TooSlow or MemoryError tell."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + more_bytes, limits[1]))
    signal.alarm(_LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def outcome(call: Callable[[], T], *, codes: tuple[int, ...] = (2, 4)) -> T | ActcliError:
    """What a call gives, or the error of ours that it raises: a sentence of bounded length."""
    with bounded(), warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return call()
        except ActcliError as error:
            found = error
    assert found.exit_code in codes, found
    for text in (found.message, found.hint or ""):
        assert "\n" not in printable(text)
        assert len(text) < 1100
    return found


def is_error(result: object) -> bool:
    """Whether an outcome is one that was refused."""
    return isinstance(result, ActcliError)


odd_text = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(codec=None), max_size=6),  # lone surrogates too
    st.sampled_from(
        ["", " ", "\0", "\ufeff", "a\0b", "\ud800", "..", "/", "a" * 5000, "9" * 5000, "٣", "²",
         "1e999", "nan", "-1", '"', "{}", "=1+1", "a\u2028b", "\x1b[2J", "x\r"]
    ),
)  # fmt: skip
"""Text that a name or a cell should not be."""
odd_number = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([2**63, -(2**63), 2**64, 10**12, 10**400, -1, 0, 1e308, 1e-320]),
)
odd_leaf = st.one_of(st.none(), st.booleans(), odd_number, odd_text)
odd_value = st.recursive(
    odd_leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)
"""Anything that JSON can hold, and NaN and infinities."""


def deep(depth: int, *, opening: str = "[", closing: str = "]") -> str:
    """Brackets in brackets."""
    return opening * depth + closing * depth


DEEP = (deep(900), deep(100_000), '{"a":' * 100_000 + "1" + "}" * 100_000)


@st.composite
def edited(draw: st.DrawFn, content: bytes) -> bytes:
    """A file with a few bytes flipped, cut out, put in, or its end cut off."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(found) - 1)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "remove", "set"]))
        if kind == "flip" and found:
            found[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and found:
            found[place] = draw(st.sampled_from([0, 255, 10, 34, 44, 48, 57, 91, 123]))
        elif kind == "cut":
            del found[place:]
        elif kind == "insert":
            found[place:place] = draw(st.binary(max_size=8))
        else:
            del found[place : place + draw(st.integers(1, 40))]
    return bytes(found)


def changed_json(value: Any) -> st.SearchStrategy[Any]:
    """A JSON value with one of its parts, however deep, replaced by another or left out."""
    return st.sampled_from(list(_places(value))).flatmap(
        lambda place: st.one_of(
            odd_value.map(lambda new: _replaced(value, place, new)),
            st.just(_replaced(value, place, ...)),
        )
    )


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if above:
        yield above
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(inner, (*above, key))


def _replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """... stands for none."""
    copy = json.loads(json.dumps(value))
    target = copy
    for step in place[:-1]:
        target = target[step]
    if new is ...:
        del target[place[-1]]
    else:
        target[place[-1]] = new
    return copy
