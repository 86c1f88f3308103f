"""What nobody reads is not computed, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from actcli.models.last_block import _last_block, pooled_token_only
from actcli.models.open_clip import OpenClipBackbone
from tests.models.tiny_models import CONFIGS

Open = Callable[..., OpenClipBackbone]


def passes(tower: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Tokens that each feed-forward layer of the tower saw."""
    seen: list[torch.Tensor] = []
    hooks = [block.mlp.register_forward_hook(lambda _, args, __: seen.append(args[0]))
             for block in tower.transformer.resblocks]  # fmt: skip
    tower(x)
    for hook in hooks:
        hook.remove()
    return seen


@torch.no_grad()
def test_the_last_feed_forward_sees_one_token(open_backbone: Open) -> None:
    tower: Any = open_backbone("vit").image_tower
    x = torch.rand(3, 3, 32, 32)
    before = tower(x)
    with pooled_token_only(tower):
        after = tower(x)
        lengths = [tokens.shape[1] for tokens in passes(tower, x)]
    assert lengths == [17, 1]
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)
    assert [tokens.shape[1] for tokens in passes(tower, x)] == [17, 17]  # as it was


def test_gradients_are_the_same(open_backbone: Open) -> None:
    tower: Any = open_backbone("vit").image_tower
    tower.requires_grad_(True)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    grads = []
    for cut in (False, True):
        tower.zero_grad()
        if cut:
            with pooled_token_only(tower):
                tower(x).square().sum().backward()
        else:
            tower(x).square().sum().backward()
        grads.append({name: p.grad.clone() for name, p in tower.named_parameters()})
    for name, grad in grads[0].items():
        atol = 1e-5 * float(grad.abs().max())
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-4, atol=atol, msg=name)


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_towers_that_pool_otherwise_stay_as_they_are(open_backbone: Open, family: str) -> None:
    tower = open_backbone(family).image_tower
    is_cut = _last_block(tower) is not None
    pools_one = type(tower).__name__ == "VisionTransformer" and family not in ("clipa", "coca")
    assert is_cut == pools_one
