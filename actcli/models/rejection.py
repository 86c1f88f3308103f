"""Is it any of the labels? How sure a model may be of that, by several rules, and how good each is.

A rule gives each clip a confidence that it shows one of the labels; below a threshold it is said to
show none of them. What the rules come from:

    max_softmax     Hendrycks and Gimpel, ICLR 2017 (arXiv 1610.02136); over words it is the maximum
                    concept matching of Ming et al., NeurIPS 2022 (arXiv 2211.13445)
    energy          Liu et al., NeurIPS 2020 (arXiv 2010.03759), its sign turned
    max_with_bank   softmax over the labels and a bank of other words, as in NegLabel, Jiang et al.,
                    ICLR 2024 (arXiv 2403.20078), here with a small bank chosen by hand

Which one `--reject` uses was measured by `benchmarks/rejection.py`; docs/scores.md has
the numbers.
Shape letters: N clips, C classes, K words of the bank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def max_softmax(logits: Tensor) -> Tensor:
    """The best label's share of the softmax over the labels: [N, C] -> [N] in (0, 1]."""
    return logits.double().softmax(-1).amax(-1)


def energy(logits: Tensor) -> Tensor:
    """log sum_c exp(l_c), high where any label fits: [N, C] -> [N]."""
    return logits.double().logsumexp(-1)


def max_with_bank(logits: Tensor, bank: Tensor) -> Tensor:
    """The best label's share of the softmax over labels and bank: in (0, 1).

    logits [N, C], bank [N, K], logits too -> [N]
    """
    both = torch.cat((logits, bank.to(logits)), -1).double()
    return (logits.double().amax(-1) - both.logsumexp(-1)).exp()


def confidence(rule: str, logits: Tensor, similarity: Tensor | None, bank: Tensor | None) -> Tensor:
    """The confidence by a rule of `--reject`: [..., C] logits, [..., C] cosines -> [...].

    bank: [..., K], logits of the bank, which the rule "bank" needs; "cosine" needs cosines
    """
    if rule == "bank":
        assert bank is not None, "the rule needs the bank"
        return max_with_bank(logits, bank)
    if rule == "cosine":
        assert similarity is not None, "the rule needs cosines"
        return similarity.double().amax(-1)
    return energy(logits) if rule == "energy" else max_softmax(logits)


def auroc(known: Tensor, unknown: Tensor) -> float:
    """The chance that a known clip is trusted more than an unknown one, ties counting half.

    known [N], unknown [M], confidences; NaN where one is empty
    """
    if not len(known) or not len(unknown):
        return math.nan
    ordered = torch.sort(unknown.double()).values
    below = torch.searchsorted(ordered, known.double())
    up_to = torch.searchsorted(ordered, known.double(), right=True)
    return float((below + up_to).double().mean() / (2 * len(unknown)))


def false_accept(known: Tensor, unknown: Tensor, recall: float = 0.95) -> float:
    """The share of unknown clips accepted where `recall` of the known ones are.

    known [N], unknown [M], confidences; NaN where one is empty
    """
    if not len(known) or not len(unknown):
        return math.nan
    return float((unknown.double() >= threshold_at(known, recall)).double().mean())


def threshold_at(known: Tensor, recall: float = 0.95) -> float:
    """The highest threshold that still accepts a share `recall` of known clips: [N], not empty."""
    place = len(known) - math.ceil(recall * len(known))
    return float(torch.sort(known.double()).values[place])


def threshold_for(unknown: Tensor, target: float) -> float:
    """A threshold that lets no more than a share `target` of unknown clips pass.

    With k of M above it, a new clip like these passes with a chance of (k + 1) / (M + 1); k is the
    largest for which that is no more than the target, as split conformal prediction has it
    (Angelopoulos and Bates 2021, arXiv 2107.07511). A clip passes at the threshold itself too.

    unknown: [M], at least one
    """
    return threshold_of_sorted(sorted(unknown.double().tolist()), target)


def threshold_of_sorted(unknown: Sequence[float], target: float) -> float:
    """As `threshold_for`, of rising confidences."""
    allowed = max(0, math.floor(target * (len(unknown) + 1) + 1e-9) - 1)
    if allowed >= len(unknown):
        return unknown[0]
    return math.nextafter(unknown[-1 - allowed], math.inf)
