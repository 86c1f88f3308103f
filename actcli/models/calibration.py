"""Temperatures and thresholds from labelled clips: what makes a score mean what it says.

A temperature divides logits before their softmax, which keeps the order of the labels of a video
(Guo et al., ICML 2017, arXiv 1706.04599); one for a model carries over to other clips (LeVine et
al. 2023, arXiv 2303.12748; Tu et al., ICML 2024, arXiv 2402.07417). Sigmoids have a bias besides
(Platt 1999). Both by the likelihood of the true labels. Shape letters: N videos, V views, C
classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.types import ScoreKind

_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_WIDEST: Final = 100.0
"""Temperatures are sought from its inverse up to it."""
_STEPS: Final = 60
_TINY: Final = 1e-12


def tempered(logits: Tensor, temperature: float, bias: float = 0.0) -> Tensor:
    """l / T + b: [...] -> [...]; temperature 1 and bias 0 change nothing."""
    return logits if temperature == 1.0 and bias == 0.0 else logits / temperature + bias


def scores_of_views(logits: Tensor, kind: ScoreKind) -> Tensor:
    """Scores averaged over views: [N, V, C] -> float64 [N, C]."""
    exact = logits.double()
    return (exact.sigmoid() if kind == "sigmoid" else exact.softmax(-1)).mean(1)


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature under which the true labels are likeliest, by golden section.

    As Platt has it, a true label counts (N + 1) / (N + 2) and the others share the rest: where all
    are right, N videos can't tell a score of 1 from one of that much.

    logits [N, V, C], targets int64 [N]; 1 where nothing can be told (one label, or no video)
    """
    count = logits.shape[-1]
    if not len(targets) or count < 2:
        return 1.0
    rest = 1 / (len(targets) + 2)

    def loss(log_temperature: float) -> float:
        scores = scores_of_views(logits / math.exp(log_temperature), "softmax")
        logs = scores.clamp_min(_TINY).log()
        true = logs.gather(1, targets[:, None])[:, 0]
        others = (logs.sum(1) - true) / (count - 1)
        return -float(((1 - rest) * true + rest * others).mean())

    return math.exp(minimum(loss, -math.log(_WIDEST), math.log(_WIDEST)))


def minimum(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is lowest between two points, by golden section."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2


def fit_sigmoid(logits: Tensor, truth: Tensor) -> tuple[float, float]:
    """Temperature and bias of sigmoids under which the true labels are likeliest, by LBFGS.

    Logits are averaged over views for it. The temperature is above 0, so the order stays. Targets
    are Platt's: (P + 1) / (P + 2) for P labels that hold, 1 / (M + 2) for M that don't.

    logits [N, V, C], truth bool [N, C]; (1, 0) where all or none of the labels hold
    """
    if not len(truth) or bool(truth.all()) or not bool(truth.any()):
        return 1.0, 0.0
    holding = int(truth.sum())
    high, low = (holding + 1) / (holding + 2), 1 / (truth.numel() - holding + 2)
    values, wanted = logits.double().mean(1), torch.where(truth, high, low).double()
    spread = float(values.std()) or 1.0
    with torch.inference_mode(False), torch.enable_grad():
        values, wanted = values.clone(), wanted.clone()
        log_scale = torch.tensor(-math.log(spread), dtype=torch.float64, requires_grad=True)
        bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS([log_scale, bias], max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            search.zero_grad()
            scaled = values * log_scale.clamp(-math.log(_WIDEST), math.log(_WIDEST)).exp() + bias
            loss = F.binary_cross_entropy_with_logits(scaled, wanted)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        search.step(closure)  # type: ignore[no-untyped-call]
    limited = min(max(float(log_scale.detach()), -math.log(_WIDEST)), math.log(_WIDEST))
    return math.exp(-limited), float(bias.detach())


def best_threshold(scores: Tensor, truth: Tensor) -> float:
    """The threshold of the highest F1 of one label, in the middle between two scores.

    scores float [N], truth bool [N]; 0.5 where no video has the label
    """
    if not bool(truth.any()):
        return 0.5
    order = torch.sort(scores.double(), descending=True, stable=True)
    hits = truth[order.indices].double().cumsum(0)
    taken = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    quality = 2 * hits / (taken + truth.sum())
    values = order.values
    is_edge = torch.ones(len(values), dtype=torch.bool)
    is_edge[:-1] = values[:-1] > values[1:]  # equal scores are taken together
    place = int(torch.where(is_edge, quality, torch.tensor(-1.0, dtype=torch.float64)).argmax())
    below = float(values[place + 1]) if place + 1 < len(values) else 0.0
    return (float(values[place]) + below) / 2
