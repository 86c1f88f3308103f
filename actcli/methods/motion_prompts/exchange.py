"""Attention from one modality to the other, through a bottleneck, starting as nothing."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from actcli.methods.motion_prompts.motion import HEADS


class CrossAttention(nn.Module):
    """What queries find among tokens: Wo Attn(Wq LN(q), Wk LN(z), Wv LN(z)), Wo zero at first.

    dim:    width of queries and of what is found
    other:  width of the tokens
    width:  r, of the bottleneck
    """

    def __init__(self, dim: int, other: int, width: int) -> None:
        super().__init__()
        self.query_norm, self.token_norm = nn.LayerNorm(dim), nn.LayerNorm(other)
        self.to_query = nn.Linear(dim, width)
        self.to_key, self.to_value = nn.Linear(other, width), nn.Linear(other, width)
        self.to_out = nn.Linear(width, dim)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """queries [N, A, dim], tokens [N, B, other] -> [N, A, dim]."""
        z = self.token_norm(tokens)
        q, k, v = (
            x.unflatten(-1, (HEADS, -1)).transpose(1, 2)  # [N, heads, A or B, r / heads]
            for x in (self.to_query(self.query_norm(queries)), self.to_key(z), self.to_value(z))
        )
        found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.to_out(found)
        return out
