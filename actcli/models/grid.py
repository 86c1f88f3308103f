"""A coarse map of a frame in the joint space: what is where, for motion that whole frames hide.

Each cell is the mean of what the tower knows at its places, taken to the joint space as the tower
takes its own summary there. Shape letters: M images, X input side, G cells, D embedding dimension.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.errors import ModelError


def grid_embeddings(tower: Any, images: Tensor, side: int) -> Tensor:
    """Whole image and cells, row by row from the top left: [M, 3, X, X] -> [M, 1 + side^2, D].

    Raises ModelError for an image tower whose places can't be read: open_clip's own vision
    transformers and ResNets can.
    """
    if hasattr(tower, "attnpool"):
        whole, places = _resnet(tower, images)
    elif hasattr(tower, "output_tokens") and hasattr(tower, "proj") and tower.proj is not None:
        whole, places = _transformer(tower, images)
    else:
        raise ModelError(
            f"the image tower has no map of its frames to read ({type(tower).__name__})",
            hint="leave the grid out: --set grid=0",
        )
    cells = F.adaptive_avg_pool2d(places, side).flatten(2).transpose(1, 2)  # [M, G, D]
    return torch.cat([whole[:, None], cells], 1)


def _resnet(tower: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """The attention pool's own value path at each place, instead of one query for all."""
    x = tower.stem(images)
    for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
        x = layer(x)
    pool = tower.attnpool
    places = pool.c_proj(pool.v_proj(x.flatten(2).transpose(1, 2)))  # [M, h * w, D]
    return pool(x), places.transpose(1, 2).unflatten(2, x.shape[2:])


def _transformer(tower: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Patch tokens through the projection of the class token."""
    before, tower.output_tokens = tower.output_tokens, True
    try:
        whole, tokens = tower(images)
    finally:
        tower.output_tokens = before
    places = tokens @ tower.proj  # [M, h * w, D]
    return whole, places.transpose(1, 2).unflatten(2, tower.grid_size)
