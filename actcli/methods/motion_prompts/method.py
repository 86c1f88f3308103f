"""Motion-prompt adaptation as a method: frozen towers, a small head, prompts that motion drives.

Shape letters: N clips, T frames, T' embeddings per clip (T, or T (1 + G) with a grid), C classes, S
classes that are scored in a training step, K learned prompts, D embedding dimension.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.labelled import LabelledEmbeddings
from actcli.methods.base import Compare, Encode, Method, Recall
from actcli.methods.motion_prompts.config import MotionPromptsConfig
from actcli.methods.motion_prompts.exchange import CrossAttention
from actcli.methods.motion_prompts.losses import Match, Start, matching_terms
from actcli.methods.motion_prompts.motion import MotionBlock
from actcli.methods.motion_prompts.prompts import LabelTokens, PromptBank, PromptWriter
from actcli.methods.nearest_prototype import MethodConfig
from actcli.models.backbone import Backbone
from actcli.models.scores import cosine_logits, scaled
from actcli.types import Text

# Wrong labels that a training step with `exact` scores beside the right one.
_NEAREST, _RANDOM = 11, 4


class MotionPrompts(Method):
    """Motion between frames drives learned prompts, on frozen towers (Seeing in Flowing)."""

    name = "motion-prompts"
    Config: ClassVar[type[MethodConfig]] = MotionPromptsConfig
    trains_on = "clips"
    config: MotionPromptsConfig

    def __init__(self, backbone: Backbone, config: MethodConfig | None = None) -> None:
        super().__init__(backbone, config)
        dim, kind = backbone.embed_dim, self.config.prompts
        self.block = MotionBlock(dim, self.config)
        self.bank = PromptBank(backbone, self.config) if kind == "mix" else None
        self.writer = PromptWriter(backbone, self.config) if kind == "exact" else None

        def ask() -> CrossAttention:
            return CrossAttention(dim, dim, dim // 4)

        self.text_asks = ask() if self.config.exchange != "off" else None
        self.video_asks = ask() if self.config.exchange == "both" else None
        self._tokens: tuple[tuple[str, ...], LabelTokens] | None = None

    def embed(self, frames: Tensor) -> Tensor:
        """Each frame through the image tower, and its cells where there is a grid.

        uint8 [N, T, 3, X, X] -> [N, T', D], un-normalised; of each frame the whole comes first
        """
        if not self.config.grid:
            return super().embed(frames)
        values = self.backbone.encode_grid(frames.flatten(0, 1), self.config.grid)  # [N*T, 1+G, D]
        return values.reshape(len(frames), -1, values.shape[-1])

    @property
    def embeds_by_frame(self) -> bool:
        """Whether frames are embedded one by one, as zero-shot CLIP does it: without a grid."""
        return not self.config.grid

    def cache_key(self) -> str:
        """That of zero-shot CLIP, for the towers are the same; with a grid, one for each size."""
        if not self.backbone.image_tower_is_original:
            return super().cache_key()
        if not self.config.grid:
            return self.backbone.digest
        about = f"{self.backbone.digest} grid {self.config.grid}"
        return hashlib.sha256(about.encode()).hexdigest()

    def frames_and_cells(self, video: Tensor) -> tuple[Tensor, Tensor | None]:
        """Whole frames [N, T, D] and cells [N, T, G, D], of length 1: from [N, T', D]."""
        values = F.normalize(video.float(), dim=-1)
        if not self.config.grid:
            return values, None
        split = self._by_frame(values)
        return split[:, :, 0], split[:, :, 1:]

    def whole_frames(self, video: Tensor) -> Tensor:
        """The whole frames, without their cells: [N, T', D] -> [N, T, D]."""
        return self._by_frame(video)[:, :, 0]

    def _by_frame(self, values: Tensor) -> Tensor:
        """[N, T', D] -> [N, T, 1 + G, D]: of each frame the whole, then its cells."""
        return values.reshape(len(values), -1, 1 + self.config.grid**2, values.shape[-1])

    def embed_text(
        self,
        labels: Sequence[str],
        prompts: Sequence[Sequence[str]],
        *,
        encode: Encode | None = None,
        recall: Recall | None = None,
    ) -> Text:
        """The ensemble of hand-written prompts, then the learned ones: values [C, 1 + K, D]."""
        hand = super().embed_text(labels, prompts, encode=encode, recall=recall)
        values = self._ensemble(hand)[:, None]  # [C, 1, D]
        if self.bank is not None:
            values = torch.cat([values, self._learned(labels, recall).to(values)], 1)
        return Text(hand.labels, hand.prompts, values)

    def _learned(self, labels: Sequence[str], recall: Recall | None) -> Tensor:
        bank = self.bank
        assert bank is not None, "asked for with `mix` only"

        def encode(names: list[str]) -> Tensor:
            return bank.encode(self.backbone, self._label_tokens(tuple(names)))

        if recall is None:
            return encode(list(labels))
        key = hashlib.sha256(self.backbone.digest.encode())
        key.update(bank.prompts().detach().cpu().contiguous().numpy().data)
        return recall(key.hexdigest(), list(labels), encode)

    @staticmethod
    def _ensemble(text: Text) -> Tensor:
        """u_0: the direction that hand-written prompts share, [C, P, D] -> [C, D] of length 1."""
        return F.normalize(F.normalize(text.values.float(), dim=-1).mean(1), dim=-1)

    def _label_tokens(self, labels: tuple[str, ...]) -> LabelTokens:
        """The words of the labels, embedded once for as long as the labels stay the same."""
        if self._tokens is None or self._tokens[0] != labels:
            count = self.config.num_prompt_tokens
            self._tokens = (labels, LabelTokens(self.backbone, labels, count))
        return self._tokens[1]

    def comparison(self, text: Text) -> Compare:
        """Cosines after the exchange, and them scaled.

        With `exact` the cosines are those of hand-written prompts; with `rerank` besides the logits
        are log-probabilities.
        """
        hand = F.normalize(text.values[:, 0].float(), dim=-1)  # [C, D]

        def compare(video: Tensor) -> tuple[Tensor, Tensor]:
            cosines = self._match(video, hand, text.values[:, 1:])[0].after
            if self.writer is None:
                return self._scaled(cosines), cosines
            return self._exact_logits(video, hand, text.labels), cosines

        return compare

    def _scaled(self, cosines: Tensor) -> Tensor:
        return scaled(cosines, self.backbone.logit_scale, self.backbone.logit_bias)

    def _match(self, video: Tensor, hand: Tensor, learned: Tensor) -> tuple[Match, Tensor]:
        """Videos and texts brought together, and the shares of the bank [N, K].

        video [N, T', D], hand [C, D], learned [C, K, D], K = 0 without a bank
        """
        vector, motion = self.block(*self.frames_and_cells(video))
        shares = vector.new_zeros(len(vector), 0)
        texts = hand.expand(len(vector), -1, -1)  # [N, C, D]
        if self.bank is not None:
            shares = self.bank.mix(motion)
            texts = self.bank.blend(
                hand, F.normalize(learned.float(), dim=-1), shares, self.config.learned_prompts
            )
        return self._exchange(vector, motion, texts), shares

    def _exchange(self, vector: Tensor, motion: Tensor, texts: Tensor) -> Match:
        """What a video and its texts become: vector [N, D], motion [N, T, D], texts [N, C, D]."""
        asked, answered = texts, vector
        if self.text_asks is not None:
            tokens = torch.cat([vector[:, None], motion], 1)  # [N, 1 + T, D]
            asked = F.normalize(texts + self.text_asks(texts, tokens), dim=-1)
        if self.video_asks is not None:
            answer = self.video_asks(vector[:, None], texts)[:, 0]
            answered = F.normalize(vector + answer, dim=-1)
        return Match(vector, texts, answered, asked)

    def _exact_logits(self, video: Tensor, hand: Tensor, labels: tuple[str, ...]) -> Tensor:
        """All labels with written prompts; or the best few, within their own share of the scores.

        The k best by hand-written prompts keep their joint probability and share it anew; the
        others, and the order among them, stay.
        """
        vector, motion = self.block(*self.frames_and_cells(video))
        count = len(labels) if self.config.rerank is None else self.config.rerank
        if count >= len(labels):
            every = torch.arange(len(labels), device=hand.device).expand(len(vector), -1)
            return self._scaled(self._written(vector, motion, every, labels).after)
        base = self._scaled(vector @ hand.T).log_softmax(-1)  # [N, C]
        best = base.topk(count, -1).indices  # [N, k]
        exact = self._scaled(self._written(vector, motion, best, labels).after).log_softmax(-1)
        mass = base.gather(-1, best).logsumexp(-1, keepdim=True)
        return base.scatter(-1, best, mass + exact)

    def _written(
        self, vector: Tensor, motion: Tensor, classes: Tensor, labels: tuple[str, ...]
    ) -> Match:
        """Videos and texts of prompts written for each of them.

        classes:  int64 [N, k], which labels to write for
        """
        assert self.writer is not None, "asked for with `exact` only"
        tokens = self._label_tokens(labels)
        prompts = self.writer.prompts(motion).to(tokens.words)  # [N, P, W]
        prefix = torch.cat([tokens.start.expand(len(prompts), -1, -1), prompts], 1)
        texts = self.backbone.encode_after_prefix(
            prefix, tokens.words[classes], tokens.end[classes]
        )  # [N, k, D]
        return self._exchange(vector, motion, F.normalize(texts.float(), dim=-1))

    def loss(self, batch: LabelledEmbeddings) -> dict[str, Tensor]:
        """Matching, pre-matching, the ties to frozen CLIP, and the balance of the bank.

        See `matching_terms`; with w_b K sum_j mean(pi_j)^2 for the bank.
        """
        video, targets, hand = self._drop_frames(batch), batch.targets, self._ensemble(batch.text)
        shares = None
        if self.writer is None:
            classes = batch.classes.expand(len(video), -1)  # [N, S]
            targets = torch.searchsorted(batch.classes, targets)
            few = hand[batch.classes]
            learned = few[:, None][:, :0] if self.bank is None else self._learned_for(batch)
            match, shares = self._match(video, few, learned)
        else:
            classes = self._confusable(self._frozen_logits(video, hand), batch)
            targets = torch.zeros_like(targets)
            vector, motion = self.block(*self.frames_and_cells(video))
            match = self._written(vector, motion, classes, batch.text.labels)
        frames, _ = self.frames_and_cells(video)
        start = Start(F.normalize(frames.mean(1), dim=-1), hand[classes])
        terms, right = matching_terms(match, start, targets, self._scaled, self.config)
        self.accuracy = right
        if self.bank is not None and shares is not None:
            mean = self.gather(shares).mean(0)
            terms["balance"] = self.config.balance_weight * len(mean) * mean.square().sum()
        return terms

    def _drop_frames(self, batch: LabelledEmbeddings) -> Tensor:
        """Some frames replaced by the one before: [N, T', D], the first one always kept."""
        if not self.training:
            return batch.values
        video = self._by_frame(batch.values)
        keep = batch.noise[:, : video.shape[1]] >= self.config.frame_dropout
        keep[:, 0] = True
        places = torch.arange(video.shape[1], device=video.device)
        source = torch.where(keep, places, 0).cummax(1).values  # [N, T]
        rows = torch.arange(len(video), device=video.device)[:, None]
        return video[rows, source].flatten(1, 2)

    def _frozen_logits(self, video: Tensor, hand: Tensor) -> Tensor:
        frames, _ = self.frames_and_cells(video)
        scale, bias = self.backbone.logit_scale, self.backbone.logit_bias
        return cosine_logits(frames, hand[:, None], scale, bias)[0]

    def _learned_for(self, batch: LabelledEmbeddings) -> Tensor:
        """Learned prompts of the classes of this step, their text passes with gradients."""
        assert self.bank is not None, "asked for with `mix` only"
        tokens = self._label_tokens(batch.text.labels)
        if len(batch.classes) < len(batch.text.labels):
            tokens = tokens.only(batch.classes)
        return self.bank.encode(self.backbone, tokens)

    def _confusable(self, frozen: Tensor, batch: LabelledEmbeddings) -> Tensor:
        """The right label, those that frozen CLIP takes it for, and some others: int64 [N, S]."""
        right = batch.targets[:, None]
        others = frozen.scatter(-1, right, float("-inf")).argsort(-1, descending=True)[:, :-1]
        if others.shape[1] <= _NEAREST + _RANDOM:
            return torch.cat([right, others], 1)
        order = batch.class_noise[others[:, _NEAREST:]].argsort(-1)
        rest = others[:, _NEAREST:].gather(-1, order)[:, :_RANDOM]
        return torch.cat([right, others[:, :_NEAREST], rest], 1)

    @property
    def classes_per_step(self) -> int | None:
        """How many labels the batches of training are to name."""
        return self.config.classes_per_step if self.config.prompts == "mix" else None

    def observe(self, values: Tensor) -> None:
        """Learn from the training set what difference between frames is a cut: [N, T', D]."""
        frames, cells = self.frames_and_cells(values)
        self.block.learn_cuts(frames if cells is None else cells)

    def param_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Weights; then all that is no matrix, without decay; then prompts, at twice the rate."""
        off = ("backbone.", "block.") if self.config.scales == "off" else ("backbone.",)
        learning = [(n, p) for n, p in self.named_parameters() if not n.startswith(off)]
        prompts = [p for name, p in learning if name.endswith((".base", ".bank"))]
        named = [(name, p) for name, p in learning if not name.endswith((".base", ".bank"))]
        decayed = [p for name, p in named if p.ndim > 1 and not name.endswith("_place")]
        plain = [p for name, p in named if p.ndim < 2 or name.endswith("_place")]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "lr": learning_rate},
            {"params": plain, "lr": learning_rate, "weight_decay": 0.0},
        ]
        if prompts:
            groups.append({"params": prompts, "lr": 2 * learning_rate, "weight_decay": 0.0})
        return groups
