"""What is minimised: the right label, and as little change to frozen CLIP as that allows.

Shape letters: N clips, S labels that are scored, D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.methods.motion_prompts.config import MotionPromptsConfig

_SOFTEN: Final = 2.0
"""Logits are divided by it where distributions are tied to those of frozen CLIP."""


@dataclass(frozen=True, slots=True)
class Match:
    """Videos [N, D] and texts [N, S, D], of length 1, before and after they asked each other."""

    vector_before: Tensor
    texts_before: Tensor
    vector: Tensor
    texts: Tensor

    @property
    def before(self) -> Tensor:
        """Cosines before the exchange, [N, S]."""
        return cosines(self.vector_before, self.texts_before)

    @property
    def after(self) -> Tensor:
        """Cosines after it, [N, S]."""
        return cosines(self.vector, self.texts)


@dataclass(frozen=True, slots=True)
class Start:
    """The same of frozen CLIP: mean frames [N, D] and hand-written texts [N, S, D]."""

    vector: Tensor
    texts: Tensor

    @property
    def cosines(self) -> Tensor:
        """[N, S]."""
        return cosines(self.vector, self.texts)


def cosines(vectors: Tensor, texts: Tensor) -> Tensor:
    """[N, D] and [N, S, D] of length 1 -> [N, S], in float32 whatever else is computed in."""
    with torch.autocast(vectors.device.type, enabled=False):
        return torch.einsum("nd,ncd->nc", vectors.float(), texts.float())


def matching_terms(
    match: Match,
    start: Start,
    targets: Tensor,
    scaled: Callable[[Tensor], Tensor],
    config: MotionPromptsConfig,
) -> tuple[dict[str, Tensor], Tensor]:
    """The terms that every variant has, and the share of right labels.

        CE(z, y) + w_0 CE(z_0, y) + w_f KL(softmax(z_frozen / 2) || softmax(z / 2))
        + w_v k |v - v_frozen|^2 + w_t k mean_c |t_c - u_c|^2          k = (scale / 2)^2 / 2D

    Over the training labels alone a head may turn videos any way that other labels would notice.
    k |v - v_frozen|^2 is what the KL term would be, on average, for labels in random directions:
    it keeps those known that training never names. (Ours; the published method is not known to
    have it. Without it, labels that were held out lose 2 to 5 points on the demo's clips.)

    targets:  int64 [N], in 0..S-1
    scaled:   cosines to logits
    """
    z, z_before = scaled(match.after), scaled(match.before)
    frozen = scaled(start.cosines).detach()
    kl = F.kl_div(
        (z / _SOFTEN).log_softmax(-1), (frozen / _SOFTEN).log_softmax(-1),
        reduction="batchmean", log_target=True,
    )  # fmt: skip
    scale = scaled(torch.ones_like(z[:1, 0])) - scaled(torch.zeros_like(z[:1, 0]))
    k = (scale / _SOFTEN).square().squeeze() / (2 * match.vector.shape[-1])
    moved = (match.vector - start.vector).square().sum(-1).mean()
    renamed = (match.texts - start.texts).square().sum(-1).mean()
    terms = {
        "match": F.cross_entropy(z, targets),
        "prematch": config.prematch_weight * F.cross_entropy(z_before, targets),
        "frozen": config.frozen_weight * kl,
        "tie": k * (config.tie_weight * moved + config.text_tie_weight * renamed),
    }
    return terms, (z.argmax(-1) == targets).float().mean().detach()
