"""Numbers about classified videos: how often right, over all and class by class, and how sure.

Shape letters: N videos, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_confusion_matrix,
    multilabel_average_precision,
)

from actcli.metrics import Share

BINS: Final = 15
"""Of the expected calibration error, of equal width."""
_TOP: Final = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one video of known class."""

    input: str
    target: int
    guess: int
    rank: int | None
    """Place of the target among all classes, from 0; None where it is not known."""
    score: float
    """Of the guess."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Numbers of one part of an evaluation."""

    top1: Share
    top5: Share | None
    """None where there are no more than five classes, or ranks are not known."""
    mean_class: float | None = None
    """Mean of the accuracies of the classes that have videos."""
    per_class: tuple[Share, ...] = ()
    """[C]; empty where videos may have several labels"""
    confused: tuple[tuple[int, int, int], ...] = ()
    """(true class, predicted class, how often), mistakes only, the most frequent first"""
    ece: float | None = None
    """Expected calibration error of the best label's score, 15 bins."""
    mean_ap: float | None = None
    """Mean average precision, where videos may have several labels."""


def measure(outcomes: Sequence[Outcome], num_classes: int) -> Measures:
    """All numbers of classified videos, at least one."""
    targets = torch.tensor([one.target for one in outcomes])
    guesses = torch.tensor([one.guess for one in outcomes])
    matrix = confusion_matrix(targets, guesses, num_classes)
    right, totals = matrix.diagonal(), matrix.sum(1)
    per_class = tuple(map(Share, right.tolist(), totals.tolist()))
    seen = [share.value for share in per_class if share.total]
    ranks = [one.rank for one in outcomes]
    knows_top5 = num_classes > _TOP and all(rank is not None for rank in ranks)
    top5 = sum(rank is not None and rank < _TOP for rank in ranks)
    return Measures(
        top1=Share(int(right.sum()), len(outcomes)),
        top5=Share(top5, len(outcomes)) if knows_top5 else None,
        mean_class=math.fsum(seen) / len(seen),
        per_class=per_class,
        confused=_confused(matrix),
        ece=calibration_error(torch.tensor([one.score for one in outcomes]), guesses == targets),
    )


def measure_several(scores: Tensor, truth: Tensor) -> Measures:
    """Numbers of videos that may have several labels: float [N, C], bool [N, C].

    Top-1 is the share of videos whose best label is one of theirs.
    """
    best = scores.argmax(1)
    right = truth.gather(1, best[:, None]).sum()
    precision = mean_average_precision(scores, truth)
    return Measures(Share(int(right), len(truth)), None, mean_ap=precision)


def confusion_matrix(targets: Tensor, guesses: Tensor, num_classes: int) -> Tensor:
    """How often each class was taken for each: int64 [N], [N] -> [C, C], rows are true classes."""
    if num_classes == 1:
        return torch.tensor([[len(targets)]])
    return multiclass_confusion_matrix(guesses, targets, num_classes)


def calibration_error(scores: Tensor, right: Tensor) -> float:
    """Expected calibration error of the best label's score.

        sum_b n_b / N |mean score of bin b - share of right ones in it|     Guo et al. 2017, eq. 3

    scores float [N] in [0, 1], right bool [N]
    """
    return float(binary_calibration_error(scores.clamp(0, 1), right.long(), n_bins=BINS))


def mean_average_precision(scores: Tensor, truth: Tensor) -> float:
    """Mean over labels of the area under precision and recall, labels without videos left out.

    scores float [N, C], truth bool [N, C]; NaN where no label has a video
    """
    has_videos = truth.any(0)
    if not bool(has_videos.any()):
        return math.nan
    scores, truth = scores[:, has_videos], truth[:, has_videos].long()
    if truth.shape[1] == 1:
        from torchmetrics.functional.classification import binary_average_precision

        return float(binary_average_precision(scores[:, 0], truth[:, 0]))
    return float(multilabel_average_precision(scores, truth, truth.shape[1], average="macro"))


def _confused(matrix: Tensor) -> tuple[tuple[int, int, int], ...]:
    wrong = matrix.clone().fill_diagonal_(0)
    cells = [(true, guess, int(wrong[true, guess])) for true, guess in wrong.nonzero().tolist()]
    return tuple(sorted(cells, key=lambda cell: (-cell[2], cell[:2])))
