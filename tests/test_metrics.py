"""Shares with their intervals, and counts of mistakes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.metrics import Share, confusions, mean_interval


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_a_share(counts: tuple[int, int]) -> None:
    share = Share(*counts)
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634),
     (81, 263, 0.2553, 0.3662)],
)  # fmt: skip
def test_the_interval_is_wilsons(count: int, total: int, low: float, high: float) -> None:
    found = Share(count, total).interval
    assert found == pytest.approx((low, high), abs=1e-4)


def test_nothing_tried_tells_nothing() -> None:
    assert math.isnan(Share(0, 0).value)
    assert Share(0, 0).interval == (0.0, 1.0)


def test_more_trials_make_the_interval_narrow() -> None:
    widths = [high - low for low, high in (Share(n // 2, n).interval for n in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)


def test_a_mean_has_the_interval_of_its_spread() -> None:
    mean, half = mean_interval([0.0, 1.0, 0.0, 1.0])
    assert mean == 0.5
    assert half == pytest.approx(1.959964 * math.sqrt(1 / 3) / 2)
    assert mean_interval([0.3])[1] == math.inf


def test_mistakes_are_counted_the_most_frequent_first() -> None:
    found = confusions([0, 0, 1, 1, 2, 2], [0, 1, 2, 2, 0, 2])
    assert found == [(1, 2, 2), (0, 1, 1), (2, 0, 1)]
