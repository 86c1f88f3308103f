"""Prompts whose first tokens are parameters: a bank that motion mixes, or one it writes to.

A prompt is [start] p_1 .. p_P [words of the label] "." [end], shared by all labels.

Shape letters: N clips, T frames, C classes, K learned prompts, P prompt tokens, L tokens, D
embedding dimension, W width of the text tower.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from actcli.methods.motion_prompts.config import MotionPromptsConfig
from actcli.methods.motion_prompts.exchange import CrossAttention
from actcli.models.backbone import Backbone
from actcli.wording import clean_label

log = logging.getLogger("actcli.methods.motion_prompts")

_START_WORDS: Final = "a video of a person"
_NOISE: Final = 0.02
_MOST_KEPT: Final = 256
"""Prompts whose passes through the text tower are kept for their gradients; of more only one
learned prompt's at a time, computed again."""


def starting_tokens(backbone: Backbone, count: int) -> Tensor:
    """Token embeddings of a neutral phrase, with a little noise in the places that it leaves.

    returns:  [P, W]
    """
    with torch.no_grad():
        tokens, end = backbone.token_embeddings([_START_WORDS])
    words = tokens[0, backbone.prompt_start : int(end[0])].float().cpu()[:count]
    noise = _NOISE * torch.randn(count - len(words), words.shape[1])
    return torch.cat([words, noise])


class LabelTokens:
    """The embedded words of labels, ready to have prompt tokens put before them.

    backbone:  whose tower reads them
    room:      P, tokens that will be put in

    Words that do not fit beside them are cut at the end, with a warning.
    """

    def __init__(self, backbone: Backbone, labels: Sequence[str], room: int) -> None:
        with torch.no_grad():
            tokens, end = backbone.token_embeddings([f"{clean_label(name)}." for name in labels])
        most = backbone.context_length - room
        if int(end.max()) >= most:
            cut = [name for name, place in zip(labels, end.tolist(), strict=True) if place >= most]
            log.warning("no room for all words of %d labels (%s)", len(cut), ", ".join(cut[:5]))
            rows = torch.arange(len(labels), device=end.device)
            short = end.clamp_max(most - 1)
            tokens = tokens.clone()
            tokens[rows, short] = tokens[rows, end]
            end = short
        keep = int(end.max()) + 1 if backbone.text_is_causal else most
        at = backbone.prompt_start
        self.start = tokens[:1, :at]  # [1, at, W]
        self.words = tokens[:, at:keep]  # [C, L - at, W]
        self.end = end - at  # [C], within the words

    def only(self, classes: Tensor) -> LabelTokens:
        """The tokens of some of the labels, int64 [S]."""
        few = copy(self)
        few.words, few.end = self.words[classes], self.end[classes]
        return few

    def with_prompt(self, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Whole prompts: prompt tokens [P, W] or [C, P, W] -> [C, L + P, W], and their ends [C]."""
        count = len(self.words)
        start = self.start.expand(count, -1, -1)
        tokens = torch.cat([start, prompt.expand(count, -1, -1).to(start), self.words], 1)
        return tokens, self.end + start.shape[1] + prompt.shape[-2]


class PromptBank(nn.Module):
    """K learned prompts, and the router that blends them by motion.

        pi = softmax(Router(LN(mean_t m_t)))        t_c = norm((1 - rho) u_0c + rho sum_j pi_j u_jc)

    u_0c is the hand-written prompt ensemble, u_jc the text of learned prompt j; all of length 1.
    rho = sigmoid(h) starts at 0.018.
    """

    def __init__(self, backbone: Backbone, config: MotionPromptsConfig) -> None:
        super().__init__()
        count, width = config.num_prompt_tokens, backbone.embed_dim // 4
        self.base = nn.Parameter(starting_tokens(backbone, count))  # [P, W]
        self.bank = nn.Parameter(_NOISE * torch.randn(config.bank_size, *self.base.shape))
        self.norm = nn.LayerNorm(backbone.embed_dim)
        self.router = nn.Sequential(
            nn.Linear(backbone.embed_dim, width), nn.GELU(), nn.Linear(width, config.bank_size)
        )
        self.share = nn.Parameter(torch.tensor(-4.0))

    def prompts(self) -> Tensor:
        """The learned prompt tokens, [K, P, W]."""
        return self.base + self.bank

    def encode(self, backbone: Backbone, tokens: LabelTokens) -> Tensor:
        """Every learned prompt with every label through the text tower: [C, K, D], of length 1."""
        encode: Any = backbone.encode_tokens
        if torch.is_grad_enabled() and len(self.bank) * len(tokens.end) > _MOST_KEPT:
            encode = partial(checkpoint, encode, use_reentrant=False)
        texts = [encode(*tokens.with_prompt(prompt)) for prompt in self.prompts()]
        return F.normalize(torch.stack(texts, 1).float(), dim=-1)

    def mix(self, motion: Tensor) -> Tensor:
        """Shares of the learned prompts for motion tokens [N, T, D]: [N, K]."""
        shares: Tensor = self.router(self.norm(motion.mean(1))).softmax(-1)
        return shares

    def blend(self, hand: Tensor, learned: Tensor, shares: Tensor, rho: float | None) -> Tensor:
        """The text of each label for each video.

        hand [C, D] and learned [C, K, D] of length 1, shares [N, K] -> [N, C, D] of length 1
        """
        weight = self.share.sigmoid() if rho is None else rho
        mixed = torch.einsum("nk,ckd->ncd", shares, learned)
        return F.normalize((1 - weight) * hand + weight * mixed, dim=-1)


class PromptWriter(nn.Module):
    """Prompt tokens written for each video.

        E(V) = E + tanh(g) * Attn(LN(E), LN(m_1..m_T))

    The attention's output starts at zero: an untrained writer has E for every video.
    """

    def __init__(self, backbone: Backbone, config: MotionPromptsConfig) -> None:
        super().__init__()
        base = starting_tokens(backbone, config.num_prompt_tokens)
        self.base = nn.Parameter(base)  # [P, W]
        self.attention = CrossAttention(base.shape[1], backbone.embed_dim, backbone.embed_dim // 4)
        self.gate = nn.Parameter(torch.ones(len(base)))

    def prompts(self, motion: Tensor) -> Tensor:
        """Prompt tokens for motion tokens [N, T, D]: [N, P, W]."""
        written = self.attention(self.base.expand(len(motion), -1, -1), motion)
        prompts: Tensor = self.base + self.gate.tanh()[:, None] * written
        return prompts
