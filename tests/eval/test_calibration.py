"""Fitting on one half of labelled videos, and measuring on the other."""

from dataclasses import replace

import pytest
import torch

from actcli.eval.calibration import Evidence, Fit, fit, halves, measure, spread, unknown_confidences
from actcli.eval.metrics import calibration_error
from actcli.models.calibration import scores_of_views, tempered


def evidence(count: int = 400, factor: float = 4.0, seed: int = 0) -> Evidence:
    """Videos of three classes whose logits are too large by a factor; a third is of none."""
    draw = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(count, 1, 3, generator=draw)
    target = torch.multinomial(logits[:, 0].softmax(-1), 1, generator=draw)[:, 0]
    truth = torch.nn.functional.one_hot(target, 3).bool()
    truth[::3] = False
    logits[::3] -= 4
    return Evidence(factor * logits, logits / 10, -torch.ones(count, 1, 2), truth, "softmax",
                    has_unknown=True)  # fmt: skip


def right_half(own: Evidence) -> torch.Tensor:
    return halves(own.truth, 0)


def test_each_class_and_none_of_these_is_halved() -> None:
    truth = torch.zeros(17, 3, dtype=torch.bool)
    truth[:10, 0], truth[10:13, 2] = True, True
    chosen = halves(truth, 5)
    assert [int(chosen[part].sum()) for part in (slice(10), slice(10, 13), slice(13, 17))] == [
        5, 2, 2,
    ]  # fmt: skip
    assert not torch.equal(chosen, halves(truth, 6))


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_error_of_the_half_it_was_fitted_on_never_rises(factor: float) -> None:
    own = evidence(factor=factor)
    known = own.only(own.truth.any(1))
    found = fit(own, several=False)

    def error(temperature: float) -> float:
        best = scores_of_views(tempered(known.logits, temperature), "softmax").max(1)
        return calibration_error(best.values, known.truth.gather(1, best.indices[:, None])[:, 0])

    assert error(found.temperature) <= error(1.0)


def test_scores_that_are_too_sure_get_better_on_videos_that_were_not_seen() -> None:
    own = evidence()
    chosen = right_half(own)
    measured = measure(own.only(~chosen), fit(own.only(chosen), several=False), several=False)
    assert measured["after"]["ece"] < measured["before"]["ece"] / 2
    low, high = measured["after"]["interval"]
    assert low <= measured["after"]["ece"] <= high


def test_a_threshold_keeps_its_target_on_the_half_it_was_fitted_on() -> None:
    own = evidence()
    found = fit(own, several=False)
    rules = measure(own, found, several=False)["rules"]
    assert all(rule["false_accept"] <= 0.05 for rule in rules.values())
    assert set(rules) == {"bank", "energy", "cosine", "softmax"}


def test_the_rule_that_tells_unknown_videos_is_chosen() -> None:
    own = evidence()
    found = fit(own, several=False)
    rules = measure(own, found, several=False)["rules"]
    assert rules[found.rule]["auroc"] >= max(rule["auroc"] for rule in rules.values()) - 0.002
    assert rules["energy"]["auroc"] > rules["softmax"]["auroc"]


def test_without_unknown_videos_each_label_is_left_out_in_turn() -> None:
    own = evidence()
    known = replace(own.only(own.truth.any(1)), has_unknown=False)
    found = unknown_confidences(known, "energy")
    own_class = known.truth.long().argmax(1)
    others = [known.logits[i, :, torch.arange(3) != c].logsumexp(-1) for i, c in
              enumerate(own_class.tolist())]  # fmt: skip
    expected = torch.cat(others).double()
    torch.testing.assert_close(found.sort().values, expected.sort().values)


def test_one_label_has_no_rule_without_unknown_videos() -> None:
    truth = torch.ones(6, 1, dtype=torch.bool)
    found = fit(Evidence(torch.randn(6, 1, 1), None, None, truth, "softmax"), several=False)
    assert found == Fit(1.0, 0.0)


def test_several_labels_get_thresholds_of_their_own_that_help() -> None:
    draw = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(300, 1, 2, generator=draw)
    truth = (
        torch.rand(300, 2, generator=draw) < (logits[:, 0] - torch.tensor([3.0, -3.0])).sigmoid()
    )
    own = Evidence(logits, None, None, truth, "sigmoid")
    found = fit(own, several=True)
    assert found.label_thresholds is not None
    assert found.label_thresholds[0] > found.label_thresholds[1]
    measured = measure(own, found, several=True)
    assert measured["f1_after"] > measured["f1_before"]
    assert measured["map"] > 0.8


def test_very_many_values_are_thinned_with_both_ends_kept() -> None:
    thin = spread([i / 9999 for i in range(10000)], most=100)
    assert (len(thin), thin[0], thin[-1]) == (100, 0.0, 1.0)
    assert spread([1.0, 2.0]) == (1.0, 2.0)
