"""Frames of a video weighted by how well they fit a label, instead of all alike.

    w_t = softmax_t(s max_c log p_t(c)),   v = sum_t w_t norm(video_t)

with p_t the softmax over the labels of frame t alone. A frame that fits no label better than the
others, as between two poses, counts less. `benchmarks/free_gains.py` measured what it is worth.
"""

from __future__ import annotations

from typing import Final

import torch.nn.functional as F
from torch import Tensor

SHARPNESS: Final = 4.0
"""s; 0 is the plain mean. Between 2 and 16 it matters little."""


def agreement(video: Tensor, logits: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """One embedding a clip: the weighted mean of its frames.

    video:    [N, T, D], un-normalised
    logits:   [N, T, C], of each frame alone
    returns:  [N, 1, D]
    """
    fit = logits.float().log_softmax(-1).amax(-1)  # [N, T]
    weights = (sharpness * fit).softmax(-1)
    return (weights[..., None] * F.normalize(video.float(), dim=-1)).sum(1, keepdim=True)
