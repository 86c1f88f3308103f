"""The last block of a ViT, computed for the token that is pooled and for no other.

Whatever the patches become in that block, nobody reads it: only their keys and values count. Of a
tower of twelve blocks that leaves out some 7 % of the products, and changes no embedding.

Shape letters: M images, L tokens, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def pooled_token_only(tower: nn.Module) -> Iterator[None]:
    """While this lasts the last block of open_clip's own ViT gives the class token alone.

    Towers that pool otherwise stay as they are.
    """
    block = _last_block(tower)
    if block is None:
        yield
        return
    block.forward = partial(_forward, block)
    try:
        yield
    finally:
        del block.forward  # the one of its class is there again


def _last_block(tower: Any) -> Any:
    """The block, where what follows it reads the first token of [M, L, W] and nothing else."""
    transformer = getattr(tower, "transformer", None)
    reads_one = (
        type(tower).__name__ == "VisionTransformer"
        and getattr(tower, "pool_type", "") == "tok"
        and tower.attn_pool is None
        and not tower.output_tokens
        and getattr(transformer, "batch_first", False)
    )
    if not reads_one:
        return None
    block = tower.transformer.resblocks[-1]
    is_plain = type(block).__name__ == "ResidualAttentionBlock" and not hasattr(block, "ln_1_kv")
    return block if is_plain else None


def _forward(block: Any, x: Tensor, *_: Any, attn_mask: Tensor | None = None, **__: Any) -> Tensor:
    """[M, L, W] -> [M, L, W], of which the first token is right, and others are as they came."""
    assert attn_mask is None, "image towers look everywhere"
    tokens = block.ln_1(x)
    first = x[:, :1]  # [M, 1, W]
    seen = block.attn(tokens[:, :1], tokens, tokens, need_weights=False)[0]
    first = first + block.ls_1(seen)
    first = first + block.ls_2(block.mlp(block.ln_2(first)))
    return torch.cat([first, x[:, 1:]], 1)
