"""Embeddings to logits, logits to scores, scores to ranks: in float32 and float64 throughout.

Shape letters: N clips, T frames, C classes, P prompts per class, D embedding dimension, B videos,
V views.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.errors import ModelError
from actcli.types import ScoredLabel, ScoreKind


def cosine_logits(
    video: Tensor, text: Tensor, logit_scale: Tensor, logit_bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Zero-shot CLIP: scaled cosine between the pooled video and the averaged prompts.

        v = norm(mean_t norm(video_t))        c = norm(mean_p norm(text_p))
        logit = exp(logit_scale) * cos(v, c) + logit_bias

    video:        [N, T, D], un-normalised
    text:         [C, P, D], un-normalised
    logit_scale:  scalar, the log of the scale as stored
    logit_bias:   scalar, of sigmoid models
    returns:      logits [N, C] and the cosines [N, C], on the video's device; in float64, so that
        no digit that is written depends on how many videos are compared at once
    """
    similarity = cosines(video, pooled(text.to(video.device)))
    return scaled(similarity, logit_scale, logit_bias), similarity


def cosines(video: Tensor, directions: Tensor) -> Tensor:
    """Cosines of pooled videos [N, T, D] with labels as `pooled` gives them [C, D]: [N, C]."""
    return pooled(exact(video)) @ exact(directions).T


def scaled(similarity: Tensor, logit_scale: Tensor, logit_bias: Tensor | None = None) -> Tensor:
    """Cosines as logits, by a scale as it is stored and a bias."""
    logits = similarity * logit_scale.to(similarity).exp().reshape(())
    return logits if logit_bias is None else logits + logit_bias.to(similarity).reshape(())


def exact(values: Tensor) -> Tensor:
    """In float64, where the device has it: Apple's has not."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def pooled(embeddings: Tensor) -> Tensor:
    """The direction that embeddings share: [N, T, D] -> [N, D], of length 1."""
    values = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    return F.normalize(F.normalize(values, dim=-1).mean(1), dim=-1)


def scores_from_logits(logits: Tensor, score_kind: ScoreKind) -> Tensor:
    """Scores in [0, 1]; those of one softmax row sum to 1.

        softmax:  exp(l_c) / sum_k exp(l_k)        sigmoid:  1 / (1 + exp(-l_c))

    logits:   [..., C]
    returns:  float64 [..., C] on the CPU: not every device has float64
    """
    values = logits.cpu().double()
    return values.sigmoid() if score_kind == "sigmoid" else values.softmax(-1)


def average_views(scores: Tensor) -> Tensor:
    """Mean over the views of each video: [B, V, C] -> [B, C]."""
    return scores.mean(1)


def rank(
    scores: Tensor, similarity: Tensor | None, labels: Sequence[str], top: int
) -> tuple[ScoredLabel, ...]:
    """The `top` best labels of one video, best first; equal scores keep the order of the classes.

    scores:      [C]
    similarity:  [C], or None where the method has none

    Raises ModelError as `order_of`.
    """
    best = order_of(scores)[:top].tolist()
    return tuple(
        ScoredLabel(
            labels[c], float(scores[c]), None if similarity is None else float(similarity[c])
        )
        for c in best
    )


def order_of(scores: Tensor) -> Tensor:
    """The classes from the best to the worst, equal ones in their order: [C] -> int64 [C].

    Raises ModelError if a score is no number, as weights that overflow give.
    """
    if not bool(torch.isfinite(scores).all()):
        raise ModelError(
            "the model computed scores that are not numbers", hint="use --precision fp32"
        )
    return torch.sort(scores, descending=True, stable=True).indices
