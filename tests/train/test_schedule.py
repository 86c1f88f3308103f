"""Learning rates over a run."""

from itertools import pairwise

import pytest

from actcli.train.schedule import ClipFsarSchedule, multistep, warm_cosine


def test_the_rate_rises_to_the_full_one_and_falls_to_the_floor() -> None:
    rates = [warm_cosine(step, 100, warm_up=10, floor=0.01) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_half_of_the_way_down_is_half_of_the_rate() -> None:
    assert warm_cosine(50, 100, warm_up=0) == pytest.approx(0.5)


def test_a_run_shorter_than_its_warm_up_only_rises() -> None:
    rates = [warm_cosine(step, 3, warm_up=5) for step in range(3)]
    assert rates == pytest.approx([0.2, 0.4, 0.6])


def test_milestones_divide_the_rate() -> None:
    rates = [multistep(step, warm_up=2, milestones=(4, 6)) for step in range(8)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_the_published_schedule_counts_epochs_twice() -> None:
    schedule = ClipFsarSchedule(1e-5, 5e-6, 250, (0, 6, 9))
    drops = [i for i in range(1, 2500) if schedule.rate(i) < 0.5 * schedule.rate(i - 1)]
    assert drops == [750, 1250]
    assert schedule.rate(0) == pytest.approx(5e-6)
    assert schedule.rate(249) < 1e-5 <= schedule.rate(250)
