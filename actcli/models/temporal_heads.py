"""Heads over time, as ActionCLIP has them: the frame embeddings of a clip to one embedding.

Wang, Xing, Liu, "ActionCLIP: A New Paradigm for Video Action Recognition" (arXiv 2109.08472), by
its authors' code, which calls them fusion modules. Parameters have the published names, less the
position table of heads that never read it. Parity:
tests/parity/test_actionclip_against_reference.py.

Shape letters: N clips, T frames, D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import torch
from torch import Tensor, nn

HeadName = Literal["meanP", "Conv_1D", "LSTM", "Transf", "Transf_cls"]

_POSITIONS: Final = 77
"""Rows of the position table: CLIP's text context, of which the first T are read."""
_DEPTH: Final = 6
_STD: Final = 0.02


class MeanHead(nn.Module):
    """meanP: y = mean_t x."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, D]."""
        return x.mean(1)


class ConvHead(nn.Module):
    """Conv_1D: y = mean_t (conv(u) + x), a convolution of three frames, each channel on its own.

    It begins as a shift of a quarter of the channels from the frame before, and one from the next.

    is_mixed: read the memory of [T, D] as [D, T], as the published code does, so that "time" runs
        over neighbouring channels; else u is x transposed
    """

    def __init__(self, dim: int, *, is_mixed: bool) -> None:
        super().__init__()
        self._is_mixed = is_mixed
        self.shift = nn.Conv1d(dim, dim, 3, padding=1, groups=dim, bias=False)
        with torch.no_grad():
            self.shift.weight.zero_()
            self.shift.weight[: dim // 4, 0, 0] = 1
            self.shift.weight[dim // 4 : dim // 4 + dim // 2, 0, 1] = 1
            self.shift.weight[-(dim // 4) :, 0, 2] = 1

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, D]."""
        u = x.reshape(len(x), x.shape[2], x.shape[1]) if self._is_mixed else x.mT  # [N, D, T]
        y: Tensor = (self.shift(u).mT + x).mean(1)
        return y


class LstmHead(nn.Module):
    """LSTM: y = mean_t (h_t + x_t), one layer, forwards in time."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lstm_visual = nn.LSTM(dim, dim, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, D]."""
        y: Tensor = (self.lstm_visual(x)[0] + x).mean(1)
        return y


class _Norm(nn.LayerNorm):
    """The published layer norm, whose epsilon is far smaller than torch's."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, eps=1e-12)


class _Block(nn.Module):
    """z += Attn(LN z); z += MLP(LN z), with QuickGELU."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ln_1, self.ln_2 = _Norm(dim), _Norm(dim)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(dim, 4 * dim), "c_proj": nn.Linear(4 * dim, dim)}
        )

    def forward(self, z: Tensor) -> Tensor:
        """[N, T, D] -> [N, T, D]."""
        u = self.ln_1(z)
        z = z + self.attn(u, u, u, need_weights=False)[0]
        wide = self.mlp["c_fc"](self.ln_2(z))
        narrow: Tensor = self.mlp["c_proj"](wide * torch.sigmoid(1.702 * wide))
        return z + narrow


class TransfHead(nn.Module):
    """Transf: y = mean_t (Blocks(x + p) + x), p the first T rows of a table of positions."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.frame_position_embeddings = nn.Embedding(_POSITIONS, dim)
        blocks = nn.Sequential(*(_Block(dim, heads) for _ in range(_DEPTH)))
        self.transformer = nn.ModuleDict({"resblocks": blocks})
        self.apply(_draw)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, D]."""
        z = x + self.frame_position_embeddings.weight[: x.shape[1]]
        y: Tensor = (self.transformer["resblocks"](z) + x).mean(1)
        return y


class _ClassTokenEncoder(nn.Module):
    def __init__(self, dim: int, heads: int, num_frames: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(_cut_normal(1, 1, dim))
        self.pos_embed = nn.Parameter(_cut_normal(1, num_frames + 1, dim))
        layer = nn.TransformerEncoderLayer(dim, heads, 2048, dropout=0.1, batch_first=True)
        self.transformer_enc = nn.TransformerEncoder(
            layer, _DEPTH, norm=nn.LayerNorm(dim), enable_nested_tensor=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, D]."""
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        y: Tensor = self.transformer_enc(tokens)[:, 0]
        return y


class TransfClsHead(nn.Module):
    """Transf_cls: what a learned token makes of the frames, in torch's own post-norm encoder.

    num_frames: T, which the table of positions is made for
    """

    def __init__(self, dim: int, heads: int, num_frames: int) -> None:
        super().__init__()
        self.transformer = _ClassTokenEncoder(dim, heads, num_frames)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
                module.weight.data.copy_(_cut_normal(*module.weight.shape))

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, D]."""
        y: Tensor = self.transformer(x)
        return y


def make_head(
    name: HeadName, dim: int, *, heads: int, num_frames: int, is_mixed: bool
) -> nn.Module:
    """The head of a published name.

    heads:     of attention, where there is some
    is_mixed:  see `ConvHead`
    """
    makers: Mapping[HeadName, Callable[[], nn.Module]] = {
        "meanP": MeanHead,
        "Conv_1D": lambda: ConvHead(dim, is_mixed=is_mixed),
        "LSTM": lambda: LstmHead(dim),
        "Transf": lambda: TransfHead(dim, heads),
        "Transf_cls": lambda: TransfClsHead(dim, heads, num_frames),
    }
    return makers[name]()


def _draw(module: nn.Module) -> None:
    """The published start of Transf: N(0, 0.02), biases 0; inputs of attention as torch's."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=_STD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _cut_normal(*shape: int) -> Tensor:
    """N(0, 0.02), its tails folded back at two deviations as the published code does."""
    return torch.fmod(torch.randn(*shape), 2) * _STD
