"""Time inside an image tower: channels shifted between frames, or all frames' patches attended.

ActionCLIP's in-network and pre-network prompts (arXiv 2109.08472), by its authors' code; joint
space-time as that code would be, were it not broken. The shift is that of Lin, Gan, Han, "TSM"
(ICCV 2019). The tower stays as it is: what is added hangs on it for one pass.

Shape letters: N clips, T frames, L tokens of a frame, W their width, D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from actcli.errors import ModelError

_FOLD: Final = 8
"""One channel in so many comes from the next frame, and one from the frame before."""


def shift_tokens(tokens: Tensor, num_frames: int, num_prefix: int = 1) -> Tensor:
    """Channels of patch tokens from the frames beside, nothing from beyond the clip.

    tokens:      [N * T, L, W], frame fastest
    num_prefix:  tokens before the patches, which stay as they are
    """
    clips = tokens.reshape(-1, num_frames, *tokens.shape[1:])  # [N, T, L, W]
    patches = clips[:, :, num_prefix:]
    fold = tokens.shape[-1] // _FOLD
    shifted = patches.clone()
    shifted[:, :-1, :, :fold] = patches[:, 1:, :, :fold]
    shifted[:, -1, :, :fold] = 0
    shifted[:, 1:, :, fold : 2 * fold] = patches[:, :-1, :, fold : 2 * fold]
    shifted[:, 0, :, fold : 2 * fold] = 0
    return torch.cat([tokens[:, :num_prefix], shifted.flatten(0, 1)], 1)


@contextmanager
def shifted_blocks(tower: nn.Module, num_frames: int) -> Iterator[None]:
    """While this lasts the tower's blocks get shifted tokens; it reads [N * T, 3, X, X].

    Raises ModelError for a tower that is no Transformer over patches.
    """
    blocks, num_prefix, is_batch_first = _blocks(tower)

    def shift(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens = args[0] if is_batch_first else args[0].transpose(0, 1)
        tokens = shift_tokens(tokens, num_frames, num_prefix)
        return (tokens if is_batch_first else tokens.transpose(0, 1), *args[1:])

    with _hooked(blocks, shift):
        yield


@contextmanager
def joint_frames(tower: nn.Module, time_embedding: Tensor) -> Iterator[None]:
    """While this lasts the tower makes one embedding of all frames: [N * T, 3, X, X] -> [N, D].

    One class token is kept, and the patches of all frames follow it, those of one place together.

    time_embedding: [T, W], added to each frame's patches

    Raises ModelError for a tower that is not open_clip's own Transformer over patches.
    """
    check_joint(tower)
    num_frames = len(time_embedding)

    def join(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens = args[0].reshape(-1, num_frames, *args[0].shape[1:])  # [N, T, 1 + L, W]
        patches = tokens[:, :, 1:] + time_embedding[:, None].to(tokens.dtype)
        together = patches.transpose(1, 2).flatten(1, 2)  # [N, L * T, W]
        return (torch.cat([tokens[:, 0, :1], together], 1), *args[1:])

    with _hooked([tower.get_submodule("ln_pre")], join):
        yield


def check_shift(tower: nn.Module) -> None:
    """Raise ModelError for a tower that `shifted_blocks` can't shift."""
    _blocks(tower)


def check_joint(tower: nn.Module) -> None:
    """Raise ModelError for a tower that `joint_frames` can't join."""
    if getattr(tower, "class_embedding", None) is None or not hasattr(tower, "ln_pre"):
        raise ModelError(
            f"joint: needs an image tower with a class token (got {type(tower).__name__})",
            hint="--model ViT-B-16/openai",
        )


def _blocks(tower: nn.Module) -> tuple[Sequence[nn.Module], int, bool]:
    """The blocks of a tower, the tokens before its patches, and whether clips come first."""
    own: Any = getattr(tower, "transformer", None)
    if own is not None and hasattr(own, "resblocks"):
        return list(own.resblocks), 1, bool(own.batch_first)
    trunk: Any = getattr(tower, "trunk", None)
    if trunk is not None and hasattr(trunk, "blocks") and hasattr(trunk, "num_prefix_tokens"):
        return list(trunk.blocks), int(trunk.num_prefix_tokens), True
    raise ModelError(
        f"token_shift: needs an image tower of Transformer blocks (got {type(tower).__name__})",
        hint="--model ViT-B-16/openai",
    )


@contextmanager
def _hooked(modules: Sequence[nn.Module], before: Callable[..., Any]) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(before) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
