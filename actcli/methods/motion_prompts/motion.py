"""Frames to a video vector and motion tokens: what differs between frames, at two scales.

Shape letters: N clips, T frames, G cells of a frame (1 where frames are read whole), D embedding
dimension, r width of the motion stream (D / 4).
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actcli.methods.motion_prompts.config import MotionPromptsConfig

HEADS: Final = 4
_SLOTS: Final = 32
_NEVER: Final = float("inf")
_BEYOND: Final = 1.25


def differences(frames: Tensor) -> tuple[Tensor, Tensor]:
    """What changes to the next frame, and over half of the clip.

        short(t) = x(t+1) - x(t), 0 for the last        long(t) = x(min(t+k, T)) - x(t), k = T // 2

    Both change sign when the clip runs backwards; a difference to the clip's mean would not.

    frames:   [N, T, ..., D]
    returns:  two of that shape
    """
    length = frames.shape[1]
    places = torch.arange(length, device=frames.device)
    after = frames[:, (places + 1).clamp_max(length - 1)]
    later = frames[:, (places + max(1, length // 2)).clamp_max(length - 1)]
    return after - frames, later - frames


def drop_cuts(short: Tensor, long: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """Zeros where a shot ends: in the short difference there, in every long one across it.

    short, long:  [N, T, ..., D]
    threshold:    scalar; a short difference that is longer is a cut
    """
    is_cut = short.norm(dim=-1) > threshold  # [N, T, ...]
    length = short.shape[1]
    span = max(1, length // 2)
    # cuts(t) counts cuts before frame t: those in [t, t + span) lie across the long difference.
    cuts = F.pad(is_cut.int().cumsum(1).movedim(1, -1), (1, 0)).movedim(-1, 1)  # [N, T + 1, ...]
    places = torch.arange(length, device=short.device)
    crosses = cuts[:, (places + span).clamp_max(length)] > cuts[:, places]
    return short.masked_fill(is_cut[..., None], 0), long.masked_fill(crosses[..., None], 0)


def slots(length: int) -> Tensor:
    """The place of each frame in a table of 32, so that one table serves clips of any length."""
    if length == 1:
        return torch.zeros(1, dtype=torch.long)
    return ((_SLOTS - 1) * torch.arange(length) / (length - 1)).round().long()


class MotionBlock(nn.Module):
    """Motion beside appearance.

        a = GELU(conv3(Down_s(LN(short)) + pos))      b = Down_l(LN(long)) + pos, b += MHSA(LN(b))
        m_t = Up_s(a) + Up_l(b)                       s = sum_t alpha_t x_t
        v = norm(s + motion * gamma * mean_t m_t)

    `Up` starts at zero and `alpha` uniform: an untrained block is the mean frame.
    """

    cut_threshold: Tensor

    def __init__(self, dim: int, config: MotionPromptsConfig) -> None:
        super().__init__()
        width = dim // 4
        self.config = config
        self.short_norm, self.long_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.short_down, self.long_down = nn.Linear(dim, width), nn.Linear(dim, width)
        self.short_place = nn.Parameter(torch.zeros(_SLOTS, width))
        self.long_place = nn.Parameter(torch.zeros(_SLOTS, width))
        self.short_conv = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.long_attention_norm = nn.LayerNorm(width)
        self.long_attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.short_up, self.long_up = nn.Linear(width, dim), nn.Linear(width, dim)
        self.pool_norm, self.pool = nn.LayerNorm(dim), nn.Linear(dim, 1)
        self.gain = nn.Parameter(torch.ones(dim))
        cells = config.grid**2
        self.cell_place = nn.Parameter(torch.zeros(cells, width)) if cells else None
        self.register_buffer("cut_threshold", torch.tensor(_NEVER))
        for layer in (self.short_up, self.long_up, self.pool):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for place in (self.short_place, self.long_place, self.cell_place):
            if place is not None:
                nn.init.normal_(place, std=0.02)

    def forward(self, frames: Tensor, cells: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The video vector and the motion tokens.

        frames:   [N, T, D], of length 1
        cells:    [N, T, G, D], of length 1, where motion is read from a grid
        returns:  [N, D] of length 1, and [N, T, D]
        """
        alpha = self.pool(self.pool_norm(frames)).softmax(1)  # [N, T, 1]
        appearance = (alpha * frames).sum(1)
        if frames.shape[1] == 1 or self.config.scales == "off":
            return F.normalize(frames.mean(1) if self.config.scales == "off" else appearance,
                               dim=-1), torch.zeros_like(frames)  # fmt: skip
        motion = self.motion(frames[:, :, None] if cells is None else cells)
        moved = appearance + self.config.motion * self.gain * motion.mean(1)
        return F.normalize(moved, dim=-1), motion

    def motion(self, cells: Tensor) -> Tensor:
        """Motion tokens, averaged over cells: [N, T, G, D] -> [N, T, D]."""
        short, long = differences(cells)
        if self.config.cut_guard:
            short, long = drop_cuts(short, long, self.cut_threshold)
        tokens = torch.zeros_like(cells[:, :, 0])
        if self.config.scales in ("both", "short"):
            tokens = tokens + self.short_up(self._short(short))
        if self.config.scales in ("both", "long"):
            tokens = tokens + self.long_up(self._long(long))
        return tokens

    def _short(self, short: Tensor) -> Tensor:
        """Local motion: [N, T, G, D] -> [N, T, r]."""
        a = self._placed(self.short_down(self.short_norm(short)), self.short_place)
        by_cell = a.permute(0, 2, 3, 1)  # [N, G, r, T]
        local: Tensor = F.gelu(self.short_conv(by_cell.flatten(0, 1))).reshape(by_cell.shape)
        return local.mean(1).transpose(1, 2)

    def _long(self, long: Tensor) -> Tensor:
        """Motion of the whole clip: [N, T, G, D] -> [N, T, r]."""
        b = self._placed(self.long_down(self.long_norm(long)), self.long_place)
        flat = b.flatten(1, 2)  # [N, T * G, r]
        u = self.long_attention_norm(flat)
        whole: Tensor = flat + self.long_attention(u, u, u, need_weights=False)[0]
        return whole.reshape(b.shape).mean(2)

    def _placed(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Tokens [N, T, G, r] with where they are in time, and in the frame."""
        tokens = tokens + places[slots(tokens.shape[1]).to(tokens.device)][:, None]
        return tokens if self.cell_place is None else tokens + self.cell_place

    @torch.no_grad()
    def learn_cuts(self, frames: Tensor) -> None:
        """Take for a cut what is a quarter beyond 99 % of the short differences of a training set.

        The percentile itself also takes the fastest movements for cuts: on the demo's clips, which
        have none, order pairs then lose a point with few clips.

        frames:  [N, T, ..., D], of length 1
        """
        if frames.shape[1] > 1:
            lengths = differences(frames)[0][:, :-1].norm(dim=-1).flatten().sort().values
            self.cut_threshold.copy_(_BEYOND * lengths[int(0.99 * (len(lengths) - 1))])
