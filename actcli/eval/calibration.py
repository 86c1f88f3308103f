"""Fits a calibration on one half of labelled videos, and measures it on the other.

Shape letters: N videos, V views, C classes, K phrases of the bank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from actcli.eval.metrics import BINS, calibration_error, mean_average_precision
from actcli.models.calibrated import MOST_KEPT
from actcli.models.calibration import (
    best_threshold,
    fit_sigmoid,
    fit_temperature,
    scores_of_views,
    tempered,
)
from actcli.models.rejection import auroc, confidence, false_accept, threshold_for
from actcli.types import ScoreKind

TARGET: Final = 0.05
_RESAMPLES: Final = 400
ENOUGH_UNKNOWN: Final = 20
"""Videos of none of the labels from which they are enough to go by."""
_NO_WORSE: Final = 0.002
"""AUROC by which a rule must be better than one that is preferred to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a model says of labelled videos.

    logits [N, V, C]; similarity [N, V, C] and bank [N, V, K] where there are some; truth bool
    [N, C], all False for a video of none of the labels
    """

    logits: Tensor
    similarity: Tensor | None
    bank: Tensor | None
    truth: Tensor
    score_kind: ScoreKind
    is_few_shot: bool = False
    has_unknown: bool = False
    """Whether videos of none of the labels are enough to go by; else labels are left out."""

    def only(self, kept: Tensor) -> Evidence:
        """Some of the videos: bool or int64 [n]."""
        return replace(
            self,
            logits=self.logits[kept],
            similarity=None if self.similarity is None else self.similarity[kept],
            bank=None if self.bank is None else self.bank[kept],
            truth=self.truth[kept],
        )

    def without(self, label: int) -> Evidence:
        """The same with one label left out, as if nobody had named it."""
        kept = [c for c in range(self.logits.shape[-1]) if c != label]
        similarity = None if self.similarity is None else self.similarity[..., kept]
        return replace(self, logits=self.logits[..., kept], similarity=similarity)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of `--reject` that can be told, the one to prefer first."""
        found = [] if self.bank is None else ["bank"]
        found += [] if self.is_few_shot else ["energy"]
        found += [] if self.similarity is None else ["cosine"]
        return (*found, "softmax")

    def confidences(self, rule: str) -> Tensor:
        """[N], averaged over views; the temperature has no part in them."""
        return confidence(rule, self.logits, self.similarity, self.bank).mean(-1)


@dataclass(frozen=True, slots=True)
class Fit:
    """What was fitted: fields of `actcli.models.calibrated.Calibration`."""

    temperature: float = 1.0
    bias: float = 0.0
    rule: str | None = None
    known: Mapping[str, tuple[float, ...]] | None = None
    unknown: Mapping[str, tuple[float, ...]] | None = None
    label_thresholds: tuple[float, ...] | None = None


def halves(truth: Tensor, seed: int) -> Tensor:
    """Which videos to fit on, bool [N]: half of each class, and of those of none, by chance.

    Of an odd number the larger part; the first label of a video decides its class.
    """
    known = truth.any(1)
    group = torch.where(known, truth.long().argmax(1), truth.shape[1])
    chosen = torch.zeros(len(truth), dtype=torch.bool)
    draw = torch.Generator().manual_seed(seed)
    for one in torch.unique(group).tolist():
        members = (group == one).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=draw)
        chosen[members[order[: math.ceil(len(members) / 2)]]] = True
    return chosen


def fit(evidence: Evidence, *, several: bool) -> Fit:
    """Everything that one half of the videos tells.

    A temperature that leaves the calibration error of that half as large as it was is not used.
    several: each label on its own
    """
    known = evidence.only(evidence.truth.any(1))
    kind = evidence.score_kind
    if several or kind == "sigmoid":
        temperature, bias = fit_sigmoid(evidence.logits, evidence.truth)
    else:
        temperature, bias = fit_temperature(known.logits, known.truth.long().argmax(1)), 0.0
    before, after = (
        calibration_error(*_judged(evidence if several else known, t, b, several))
        for t, b in ((1.0, 0.0), (temperature, bias))
    )
    if not after < before:
        temperature, bias = 1.0, 0.0
    if several:
        scores = scores_of_views(tempered(evidence.logits, temperature, bias), kind)
        columns = zip(scores.T, evidence.truth.T, strict=True)
        return Fit(temperature, bias, label_thresholds=tuple(best_threshold(*c) for c in columns))
    sure = {rule: known.confidences(rule) for rule in evidence.rules}
    unsure = {rule: unknown_confidences(evidence, rule) for rule in evidence.rules}
    if not len(unsure["softmax"]) or not len(sure["softmax"]):
        return Fit(temperature, bias)
    areas = {rule: auroc(sure[rule], unsure[rule]) for rule in evidence.rules}
    least = max(areas.values()) - _NO_WORSE
    best = next(rule for rule in evidence.rules if areas[rule] >= least)
    return Fit(temperature, bias, best, _kept(sure), _kept(unsure))


def unknown_confidences(evidence: Evidence, rule: str) -> Tensor:
    """How sure the model is of videos of none of the labels: [M].

    Where too few were given, each class's videos are scored without its own label instead.
    """
    if evidence.has_unknown:
        return evidence.only(~evidence.truth.any(1)).confidences(rule)
    if evidence.truth.shape[1] < 2:
        return torch.zeros(0, dtype=torch.float64)
    target = torch.where(evidence.truth.any(1), evidence.truth.long().argmax(1), -1)
    found = [
        evidence.only(target == c).without(c).confidences(rule)
        for c in torch.unique(target).tolist()
        if c >= 0
    ]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


def measure(evidence: Evidence, found: Fit, *, several: bool, seed: int = 0) -> dict[str, Any]:
    """What a fit is worth on the videos of `evidence`, before and after: plain values."""
    known = evidence if several else evidence.only(evidence.truth.any(1))
    stages = {"before": (1.0, 0.0), "after": (found.temperature, found.bias)}
    result: dict[str, Any] = {"videos": len(known.truth), "unknown": len(evidence.truth)}
    result["unknown"] -= int(evidence.truth.any(1).sum())
    for stage, scale in stages.items():
        scores, right = _judged(known, *scale, several)
        result[stage] = {
            "ece": calibration_error(scores, right),
            "interval": _interval(scores, right, seed),
            "bins": reliability_bins(scores, right),
        }
    if several:
        return result | _measure_labels(known, found)
    result["accuracy"] = float(right.double().mean())
    if found.rule is not None:
        result["unknown_are"] = "others" if evidence.has_unknown else "left out"
        result["rules"] = {rule: _measure_rule(evidence, found, rule) for rule in evidence.rules}
    return result


def _measure_rule(evidence: Evidence, found: Fit, rule: str) -> dict[str, float]:
    known = evidence.only(evidence.truth.any(1)).confidences(rule)
    unknown = unknown_confidences(evidence, rule)
    assert found.unknown is not None, "a fit with a rule"
    threshold = threshold_for(torch.tensor(found.unknown[rule], dtype=torch.float64), TARGET)
    return {
        "auroc": auroc(known, unknown),
        "false_accept_at_95_recall": false_accept(known, unknown),
        "threshold": threshold,
        "false_accept": float((unknown >= threshold).double().mean()),
        "recall": float((known >= threshold).double().mean()),
    }


def _measure_labels(evidence: Evidence, found: Fit) -> dict[str, Any]:
    raw = scores_of_views(evidence.logits, evidence.score_kind)
    fitted = tempered(evidence.logits, found.temperature, found.bias)
    scores = scores_of_views(fitted, evidence.score_kind)
    least = torch.tensor(found.label_thresholds, dtype=torch.float64)
    return {
        "map": mean_average_precision(scores, evidence.truth),
        "f1_before": _f1(raw >= 0.5, evidence.truth),
        "f1_after": _f1(scores >= least, evidence.truth),
    }


def _f1(held: Tensor, truth: Tensor) -> float:
    both, either = int((held & truth).sum()), int(held.sum() + truth.sum())
    return 2 * both / either if either else math.nan


def _judged(
    evidence: Evidence, temperature: float, bias: float, several: bool
) -> tuple[Tensor, Tensor]:
    """Scores and whether they were right: of the best label, or of every label of every video."""
    scores = scores_of_views(tempered(evidence.logits, temperature, bias), evidence.score_kind)
    if several:
        return scores.flatten(), evidence.truth.flatten()
    best = scores.max(1)
    return best.values, evidence.truth.gather(1, best.indices[:, None])[:, 0]


def _interval(scores: Tensor, right: Tensor, seed: int) -> tuple[float, float]:
    """95 % of the calibration errors of videos drawn again with replacement, about the estimate.

    Such draws have larger errors than what they are drawn from, so only their spread is taken.
    """
    draw = torch.Generator().manual_seed(seed)
    errors = []
    for _ in range(_RESAMPLES):
        picked = torch.randint(len(scores), (len(scores),), generator=draw)
        errors.append(calibration_error(scores[picked], right[picked]))
    found = torch.tensor(errors)
    low, middle, high = found.quantile(torch.tensor([0.025, 0.5, 0.975])).tolist()
    error = calibration_error(scores, right)
    return max(0.0, error + low - middle), min(1.0, error + high - middle)


def reliability_bins(scores: Tensor, right: Tensor) -> list[tuple[float, float, int, float, float]]:
    """(from, to, how many, mean score, share of right ones) of each bin that has some."""
    place = (scores * BINS).long().clamp(0, BINS - 1)
    found = []
    for b in torch.unique(place).tolist():
        own = place == b
        shares = float(scores[own].mean()), float(right[own].double().mean())
        found.append((b / BINS, (b + 1) / BINS, int(own.sum()), *shares))
    return found


def _kept(confidences: Mapping[str, Tensor]) -> dict[str, tuple[float, ...]]:
    """Rising, and of very many some that are spread evenly."""
    return {rule: spread(values.sort().values.tolist()) for rule, values in confidences.items()}


def spread(values: Sequence[float], most: int = MOST_KEPT) -> tuple[float, ...]:
    """At most so many of rising values, the first and the last among them."""
    if len(values) <= most:
        return tuple(values)
    places = [round(i * (len(values) - 1) / (most - 1)) for i in range(most)]
    return tuple(values[place] for place in places)
