"""Temperatures, sigmoids and thresholds fitted to labelled videos."""

import pytest
import torch

from actcli.models.calibration import (
    best_threshold,
    fit_sigmoid,
    fit_temperature,
    minimum,
    scores_of_views,
    tempered,
)


def drawn(count: int = 3000, factor: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [N, 1, 4] times a factor, and classes drawn by the softmax of those without it."""
    draw = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(count, 4, generator=draw)
    targets = torch.multinomial(logits.softmax(-1), 1, generator=draw)[:, 0]
    return factor * logits[:, None], targets


def test_temperature_1_changes_nothing() -> None:
    logits = torch.randn(3, 2, 5)
    assert tempered(logits, 1.0) is logits


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_the_temperature_undoes_a_factor_of_the_logits(factor: float) -> None:
    assert fit_temperature(*drawn(factor=factor)) == pytest.approx(factor, rel=0.06)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 30.0])
def test_a_temperature_keeps_the_order_of_labels(temperature: float) -> None:
    logits = torch.randn(50, 1, 6, dtype=torch.float64)
    before, after = (
        scores_of_views(tempered(logits, t), "softmax").argsort(-1) for t in (1.0, temperature)
    )
    assert torch.equal(before, after)


def test_where_all_are_right_the_temperature_stays_finite_and_scores_below_1() -> None:
    logits, targets = 3 * torch.eye(4)[:, None].repeat(5, 1, 1), torch.arange(4).repeat(5)
    scores = scores_of_views(tempered(logits, fit_temperature(logits, targets)), "softmax")
    assert scores.amax(-1).mean().item() == pytest.approx(21 / 22, abs=1e-4)


def test_one_label_and_no_videos_have_the_temperature_1() -> None:
    assert fit_temperature(torch.zeros(3, 1, 1), torch.zeros(3, dtype=torch.long)) == 1.0
    assert fit_temperature(torch.zeros(0, 1, 4), torch.zeros(0, dtype=torch.long)) == 1.0


def test_sigmoids_find_the_scale_and_the_bias_behind_their_labels() -> None:
    draw = torch.Generator().manual_seed(2)
    values = 3 * torch.randn(4000, 1, 2, generator=draw)
    chances = (values[:, 0] / 2 - 1.5).sigmoid()
    truth = torch.rand(chances.shape, generator=draw) < chances
    temperature, bias = fit_sigmoid(values, truth)
    assert temperature == pytest.approx(2.0, rel=0.1)
    assert bias == pytest.approx(-1.5, abs=0.15)


def test_sigmoids_of_labels_that_always_hold_are_left_alone() -> None:
    assert fit_sigmoid(torch.randn(4, 1, 2), torch.ones(4, 2, dtype=torch.bool)) == (1.0, 0.0)


def test_sigmoids_that_separate_stay_finite() -> None:
    values = torch.tensor([-2.0, -1.0, 1.0, 2.0])[:, None, None]
    temperature, bias = fit_sigmoid(values, values[:, 0] > 0)
    assert 0.01 < temperature < 100
    assert abs(bias) < 0.5


def test_the_threshold_lies_between_the_scores_that_it_parts() -> None:
    scores, truth = torch.tensor([0.9, 0.7, 0.3, 0.1]), torch.tensor([True, True, False, False])
    assert best_threshold(scores, truth) == pytest.approx(0.5)


def test_the_threshold_of_a_label_that_no_video_has_is_a_half() -> None:
    assert best_threshold(torch.tensor([0.9, 0.1]), torch.tensor([False, False])) == 0.5


def test_no_other_threshold_has_a_higher_f1() -> None:
    draw = torch.Generator().manual_seed(3)
    scores = torch.rand(60, generator=draw).round(decimals=1).double()
    truth = torch.rand(60, generator=draw) < scores

    def quality(least: float) -> float:
        held = scores >= least
        return float(2 * (held & truth).sum() / (held.sum() + truth.sum()))

    own = quality(best_threshold(scores, truth))
    assert own == max(quality(least) for least in scores.unique().tolist())


def test_the_minimum_of_a_valley_is_found() -> None:
    assert minimum(lambda x: (x - 1.25) ** 2, -4.0, 4.0) == pytest.approx(1.25, abs=1e-6)
