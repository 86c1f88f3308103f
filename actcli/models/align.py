"""Clips against prototypes: how far a query's frames are from a class's, with or without order.

A prototype is a sequence of frames, the frame-wise mean of a class's support clips. A matcher turns
the distances between two sequences into one number. All work on any number of leading axes, on
sequences of any two lengths, and loop over frames at most: never over queries, classes or cells.

Shape letters: Q queries, C classes, S support clips, T and U frames of query and prototype, D
embedding dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

Matcher = Callable[[Tensor, Tensor], Tensor]
"""query [..., Q, T, D], prototype [..., C, U, D] -> distance [..., Q, C]"""

OTAM_SOFTNESS: Final = 0.5
"""lambda of OTAM's soft minimum, as in the published code."""


def class_means(values: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """The mean of each class: [S, ...] and targets int64 [S] -> [C, ...].

    Classes without a clip come out as NaN: there is no such mean.
    """
    sums, counts = _class_sums(values, targets, num_classes)
    return sums / counts


def means_without_each(
    values: Tensor, targets: Tensor, num_classes: int, groups: Tensor | None = None
) -> Tensor:
    """For each clip the mean of the others of its class: [S, ...] -> [S, ...].

    groups:  int64 [S]; clips of one group show the same and are left out together
    returns: NaN for a clip beside which its class has no other
    """
    sums, counts = _class_sums(values, targets, num_classes)
    if groups is None:
        return (sums[targets] - values) / (counts[targets] - 1)
    # A group within a class, whatever it has elsewhere.
    _, own = torch.unique(torch.stack([targets, groups]), dim=1, return_inverse=True)
    own_sums, own_counts = _class_sums(values, own, int(own.max()) + 1)
    return (sums[targets] - own_sums[own]) / (counts[targets] - own_counts[own])


def _class_sums(values: Tensor, targets: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    sums = values.new_zeros(num_classes, *values.shape[1:]).index_add(0, targets, values)
    counts = torch.bincount(targets, minlength=num_classes).to(values.dtype)
    return sums, counts.reshape(-1, *[1] * (values.ndim - 1))


def frame_distance(query: Tensor, prototype: Tensor, *, eps: float = 0.0) -> Tensor:
    """Cosine distance between every query frame and every prototype frame.

        d(i, j) = 1 - q_i . p_j / (|q_i| |p_j| + eps)

    query:      [..., Q, T, D]
    prototype:  [..., C, U, D]
    eps:        CLIP-FSAR's code has 0.01; with 0 a zero vector is at distance 1 of everything
    returns:    [..., Q, C, T, U], in [0, 2]
    """
    products = torch.einsum("...qtd,...cud->...qctu", query, prototype)
    lengths = torch.einsum("...qt,...cu->...qctu", query.norm(dim=-1), prototype.norm(dim=-1))
    if eps == 0.0:
        lengths = lengths.clamp_min(torch.finfo(lengths.dtype).tiny)
    return 1 - products / (lengths + eps)


def otam_cost(distance: Tensor, *, softness: float = OTAM_SOFTNESS) -> Tensor:
    """Soft cost of the best path through a matrix of frame distances that goes forward in time.

        A(l, m) = d(l, m) + smin(A(l-1, m-1), A(l, m-1))      smin(x...) = -s log sum exp(-x / s)

    with a column of zeros before and after the prototype, in which (and out of which) a path may
    also step down, so that it begins and ends at any query frame. OTAM (Cao et al., CVPR 2020,
    arXiv 1906.11415), as CLIP-FSAR's code evaluates it.

    A row is one scan: with D the running sum of its distances, exp((D - A) / s) is the running sum
    of what comes in from the row above, each term times exp(D / s); in logarithms throughout.

    distance:  [..., T, U]
    softness:  s, called lambda in the paper
    returns:   [...]
    """
    sums = F.pad(distance, (1, 1)).cumsum(-1)  # [..., T, U + 2]
    cost = sums[..., 0, :]
    at_start = torch.zeros_like(cost[..., :1])
    for row in sums[..., 1:, :].unbind(-2):
        above = -cost / softness
        first = torch.logaddexp(above[..., :1], above[..., 1:2])
        last = torch.logaddexp(above[..., -2:-1], above[..., -1:])
        entering = torch.cat([first, above[..., 1:-2], last], -1)  # [..., U + 1]
        terms = torch.cat([at_start, entering + row[..., :-1] / softness], -1)
        cost = row - softness * terms.logcumsumexp(-1)
    return cost[..., -1]


def otam_both_ways(distance: Tensor, *, softness: float = OTAM_SOFTNESS) -> Tensor:
    """OTAM scanning the query's frames plus OTAM scanning the prototype's: [..., T, U] -> [...]."""
    forward = otam_cost(distance, softness=softness)
    return forward + otam_cost(distance.mT, softness=softness)


def match_mean(query: Tensor, prototype: Tensor) -> Tensor:
    """Distance of the two averages: blind to order, and to which frame is which.

    query [..., Q, T, D], prototype [..., C, U, D] -> [..., Q, C], in [0, 2]
    """
    pooled = (F.normalize(F.normalize(x, dim=-1).mean(-2), dim=-1) for x in (query, prototype))
    return 1 - torch.einsum("...qd,...cd->...qc", *pooled)


def match_otam(query: Tensor, prototype: Tensor) -> Tensor:
    """Ordered alignment that may begin and end anywhere, `otam_both_ways`, per frame.

    query [..., Q, T, D], prototype [..., C, U, D] -> [..., Q, C]; the soft minimum can make it
    negative
    """
    distance = frame_distance(query, prototype)
    return otam_both_ways(distance) / sum(distance.shape[-2:])


def match_bimhm(query: Tensor, prototype: Tensor) -> Tensor:
    """Each frame to the nearest of the other sequence, both ways: blind to order.

        1/2 (mean_i min_j d(i, j) + mean_j min_i d(i, j))

    The bidirectional mean Hausdorff metric of HyRSM (Wang et al., CVPR 2022, arXiv 2204.13423),
    halved so that it is a distance per frame.

    query [..., Q, T, D], prototype [..., C, U, D] -> [..., Q, C], in [0, 2]
    """
    distance = frame_distance(query, prototype)
    return (distance.amin(-1).mean(-1) + distance.amin(-2).mean(-1)) / 2


def match_diag(query: Tensor, prototype: Tensor) -> Tensor:
    """Each frame to the one at the same share of the other clip: order and pace both count.

    The "Diag" of OTAM's ablation. Of unequal lengths the longer one decides how many are compared.

    query [..., Q, T, D], prototype [..., C, U, D] -> [..., Q, C], in [0, 2]
    """
    length = max(query.shape[-2], prototype.shape[-2])
    places = torch.arange(length, device=query.device)
    i, j = (places * x.shape[-2] // length for x in (query, prototype))
    q, p = (F.normalize(x, dim=-1) for x in (query[..., i, :], prototype[..., j, :]))
    return 1 - torch.einsum("...qtd,...ctd->...qc", q, p) / length


MATCHERS: Final[Mapping[str, Matcher]] = {
    "mean": match_mean,
    "otam": match_otam,
    "bimhm": match_bimhm,
    "diag": match_diag,
}
