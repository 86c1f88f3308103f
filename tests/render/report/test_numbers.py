"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from actcli.render.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.23, "4.2\u202fs"), (59.96, "1:00.0"), (64.25, "1:04.2"), (3661.0, "1:01:01"), (None, "–"),
     (0.0, "0.0\u202fs"), (3599.99, "1:00:00")],
)  # fmt: skip
def test_seconds_are_told_as_players_do(value: float | None, text: str) -> None:
    assert numbers.seconds(value) == text


def test_percents_are_rounded_and_a_dash_stands_for_none() -> None:
    assert numbers.percent(0.83125, 2) == "83.12\u202f%"
    assert numbers.percent(None) == numbers.percent(math.nan) == "–"


def test_one_is_not_several() -> None:
    assert numbers.count(1, "class", "classes") == "1 class"
    assert numbers.count(2000, "video") == "2,000 videos"
