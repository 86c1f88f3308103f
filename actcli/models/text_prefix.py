"""Prompts that share a beginning, through a causal text tower: the beginning is computed once.

No token of a causal tower sees those after it, so keys and values of a common prefix are the same
whatever follows. The towers are open_clip's: residual blocks of torch's own attention.

Shape letters: N prefixes, k prompts for each, Lp and Ls tokens of prefix and suffix, W width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def can_share_prefix(tower: Any) -> bool:
    """Whether a text tower is built of blocks that we can run in two parts."""
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", ())
    return bool(blocks) and all(isinstance(block.attn, nn.MultiheadAttention) for block in blocks)


def run_after_prefix(tower: Any, prefix: Tensor, suffix: Tensor, end: Tensor) -> Tensor:
    """The text tower's last layer at one token of each prompt, before its projection.

    prefix:   [N, Lp, W], without positions
    suffix:   [N, k, Ls, W], without positions
    end:      int64 [N, k], in 0..Ls-1
    returns:  [N, k, W]
    """
    length, total = prefix.shape[1], prefix.shape[1] + suffix.shape[2]
    places = tower.positional_embedding
    x = prefix + places[:length]
    y = (suffix + places[length:total]).flatten(0, 1)  # [N * k, Ls, W]
    for block in tower.transformer.resblocks:
        q, k, v = _heads(block, block.ln_1(x))  # [N, heads, Lp, W / heads]
        p, own_k, own_v = _heads(block, block.ln_1(y))  # [N * k, heads, Ls, W / heads]
        x = _rest(block, x, F.scaled_dot_product_attention(q, k, v, is_causal=True))
        repeats = suffix.shape[1]
        keys = torch.cat([k.repeat_interleave(repeats, 0), own_k], 2)
        values = torch.cat([v.repeat_interleave(repeats, 0), own_v], 2)
        sees = torch.ones(y.shape[1], total, dtype=torch.bool, device=y.device).tril(length)
        y = _rest(block, y, F.scaled_dot_product_attention(p, keys, values, attn_mask=sees))
    y = tower.ln_final(y)
    pooled: Tensor = y[torch.arange(len(y), device=y.device), end.flatten()]
    return pooled.reshape(*suffix.shape[:2], -1)


def _heads(block: Any, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values by head: [M, L, W] -> three of [M, heads, L, W / heads]."""
    attention = block.attn
    together = F.linear(h, attention.in_proj_weight, attention.in_proj_bias)
    split = together.reshape(*h.shape[:2], 3, attention.num_heads, -1)
    q, k, v = split.permute(2, 0, 3, 1, 4)
    return q, k, v


def _rest(block: Any, x: Tensor, attended: Tensor) -> Tensor:
    """What a block does once its attention is known: [M, L, W] -> [M, L, W]."""
    x = x + block.ls_1(block.attn.out_proj(attended.transpose(1, 2).flatten(2)))
    out: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return out
