"""Several labels at once with a model that was trained to choose one.

A softmax shares 1 among the labels, so two that both fit get a half each. Here each label has a
contest of its own, against what else the video may show:

    p(c) = sigmoid(l_c - mean of the logits of all other labels and of a bank of other phrases)

Of several backgrounds this one was chosen by `benchmarks/multi_label.py`; docs/scores.md has the
numbers. Negations ("a video without running") came out at chance, as CLIP is known not to
understand them (Alhamoud et al., CVPR 2025, arXiv 2501.09425). Sigmoid models (SigLIP) were trained
to judge each label alone and need none of this.

Shape letters: N clips, C classes, K phrases of the bank.
"""

from __future__ import annotations

from torch import Tensor


def against_rest(logits: Tensor, bank: Tensor) -> Tensor:
    """Logits whose sigmoid is the score of each label alone: [N, C], [N, K] -> [N, C].

    bank: at least one phrase, so that a single label has a background too
    """
    count = logits.shape[-1] + bank.shape[-1] - 1
    total = logits.sum(-1, keepdim=True) + bank.to(logits).sum(-1, keepdim=True)
    return logits - (total - logits) / count
