"""Charts: from numbers to paths and ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.render.report import charts
from actcli.render.report.charts import Series


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 47, [0, 10, 20, 30, 40]), (3, 3, [3]),
     (-1, 1, [-1, -0.5, 0, 0.5, 1]), (0.513, 0.596, [0.52, 0.54, 0.56, 0.58])],
)  # fmt: skip
def test_ticks_are_round_numbers_inside_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(0.2, 0.2, "0.2"), (1500, 500, "1,500"), (-0.0, 1, "0"), (-0.05, 0.05, "\u22120.05")],
)
def test_a_tick_has_as_many_decimals_as_its_step(value: float, step: float, text: str) -> None:
    assert charts.tick_text(value, step) == text


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(5, 8))
def test_there_are_two_ticks_at_least_and_no_more_than_asked_for(
    low: float, width: float, most: int
) -> None:
    found = charts.ticks(low, low + width, most)
    assert 2 <= len(found) <= most
    slack = 1e-6 * width + 1e-9 * abs(low)
    assert low - slack <= found[0] < found[-1] <= low + width + slack


def test_more_is_drawn_further_up_and_a_missing_value_breaks_the_line() -> None:
    x, y = charts.scale(0, 4), charts.scale(0, 1)
    path = charts.line_path([(0, 0.0), (1, 1.0), (2, None), (3, 0.5), (4, 0.5)], x, y)
    assert path == "M0.00 100.00L25.00 0.00M75.00 50.00L100.00 50.00"


def test_a_value_that_is_no_number_breaks_the_line_too() -> None:
    same = charts.scale(0, 100)
    assert charts.line_path([(0, 1), (1, float("nan"))], same, same).count("M") == 1


def test_overlapping_windows_meet_half_way_between_their_middles() -> None:
    found = charts.cells([(0, 4), (1, 5), (2, 6)], 0, 6)
    assert [side for cell in found for side in cell] == pytest.approx(
        [0, 100 * 2.5 / 6, 100 * 2.5 / 6, 100 * 3.5 / 6, 100 * 3.5 / 6, 100]
    )


def test_segments_apart_keep_the_gap_between_them() -> None:
    assert charts.cells([(0, 2), (5, 10)], 0, 10) == [(0, 20), (50, 100)]


def test_a_step_area_is_as_high_as_each_value_and_empty_where_there_is_none() -> None:
    path = charts.step_area([0.25, None, 1.0], [(0, 10), (10, 20), (20, 30)])
    assert path == "M0.00 100V75.0H10.00V100zM20.00 100V0.0H30.00V100z"


def test_a_long_line_keeps_its_mean_when_it_is_thinned() -> None:
    points = [(float(i), float(i % 2)) for i in range(10_000)]
    thin = charts.thinned(points, most=100)
    assert len(thin) == 100
    assert {y for _, y in thin} == {0.5}


def test_a_plot_says_in_words_what_it_shows() -> None:
    plot = charts.line_plot("Loss", [Series("val", [(1, 0.5), (2, 0.25)])], x_name="step")
    assert plot is not None
    assert plot.summary == "val: from 0.500 to 0.250, lowest 0.250, highest 0.500."


def test_there_is_no_plot_without_points() -> None:
    assert charts.line_plot("Loss", [Series("val", [(1, None)])], x_name="step") is None
