"""Rules that tell videos of none of the labels, and the numbers that compare them."""

import pytest
import torch

from actcli.models import rejection as rule

NOISE = torch.Generator().manual_seed(0)


def test_a_perfect_separation_has_an_area_of_1_and_its_reverse_0() -> None:
    high, low = torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0, 1.5])
    assert rule.auroc(high, low) == 1.0
    assert rule.auroc(low, high) == 0.0


def test_noise_has_an_area_of_about_a_half_and_equal_values_of_exactly_that() -> None:
    one, two = torch.randn(2, 4000, generator=NOISE)
    assert rule.auroc(one, two) == pytest.approx(0.5, abs=0.03)
    assert rule.auroc(torch.ones(3), torch.ones(5)) == 0.5


def test_the_area_counts_pairs() -> None:
    known, unknown = torch.randn(30, generator=NOISE).round(decimals=1), torch.randn(20).round()
    pairs = [(k > u) + 0.5 * (k == u) for k in known.tolist() for u in unknown.tolist()]
    assert rule.auroc(known, unknown) == pytest.approx(sum(pairs) / len(pairs))


def test_false_accepts_are_counted_where_so_many_known_ones_pass() -> None:
    known, unknown = torch.arange(100.0), torch.tensor([4.0, 5.0, 50.0, -1.0])
    assert rule.false_accept(known, unknown, recall=0.95) == 0.5  # from 5 on
    assert rule.false_accept(known, unknown, recall=1.0) == 0.75


@pytest.mark.parametrize("target", [0.0, 0.05, 0.1, 0.5])
def test_a_threshold_reaches_its_target_on_what_it_was_fitted_on(target: float) -> None:
    unknown = torch.randn(997, generator=NOISE, dtype=torch.float64)
    threshold = rule.threshold_for(unknown, target)
    share = (unknown >= threshold).double().mean()
    assert target - 2 / 997 <= share <= target


def test_a_threshold_keeps_its_target_on_new_clips_on_average() -> None:
    draws = torch.rand(400, 2, 60, generator=NOISE, dtype=torch.float64)
    shares = [(new >= rule.threshold_for(old, 0.1)).double().mean() for old, new in draws]
    assert 0.08 < float(torch.stack(shares).mean()) < 0.11


def test_equal_confidences_are_never_accepted_beyond_the_target() -> None:
    threshold = rule.threshold_for(torch.tensor([0.5] * 10), 0.3)
    assert threshold > 0.5


def test_a_target_of_all_accepts_all() -> None:
    assert rule.threshold_for(torch.tensor([0.2, 0.9]), 1.0) == pytest.approx(0.2)


def test_a_bank_far_away_leaves_the_softmax_and_a_near_one_takes_its_share() -> None:
    logits = torch.tensor([[4.0, 1.0, 0.0]])
    far, same = torch.full((1, 5), -60.0), torch.tensor([[4.0]])
    assert rule.max_with_bank(logits, far).item() == pytest.approx(
        rule.max_softmax(logits).item(), abs=1e-6
    )
    assert rule.max_with_bank(logits, same).item() < 0.5


def test_energy_falls_where_all_logits_do_and_the_softmax_does_not() -> None:
    logits = torch.tensor([[4.0, 1.0]])
    assert rule.energy(logits - 3).item() == pytest.approx(rule.energy(logits).item() - 3)
    assert rule.max_softmax(logits - 3).item() == pytest.approx(rule.max_softmax(logits).item())


@pytest.mark.parametrize("name", ["bank", "energy", "cosine", "softmax"])
def test_every_rule_trusts_a_clip_more_that_fits_a_label_better(name: str) -> None:
    logits = torch.tensor([[9.0, 1.0], [3.0, 1.0]])
    sure, unsure = rule.confidence(name, logits, logits / 10, torch.ones(2, 3)).tolist()
    assert sure > unsure
