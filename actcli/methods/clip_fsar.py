"""CLIP-FSAR: few-shot recognition with prototypes that the class's words modulate.

Wang, Zhang, Cen, Gao, Zhang, Zhao, Sang, "CLIP-guided Prototype Modulating for Few-shot Action
Recognition", IJCV 2023 (arXiv 2303.02982). Where paper and published code differ the code is
followed: no softmax temperature, the video-text loss weighted instead of the few-shot loss, the
literal 8 in the merge with words. Not followed: episodes that all ranks share, and choosing a
checkpoint on test classes. Parity: tests/parity/test_clip_fsar_against_reference.py.

Shape letters: M sequences, L tokens, T frames, D embedding dimension, Q queries, C classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from actcli.errors import ModelError, shorten_list
from actcli.labelled import TrainingEpisode
from actcli.methods.base import Compare, Method
from actcli.methods.nearest_prototype import MethodConfig, mix_in_text
from actcli.models.align import frame_distance, otam_both_ways, otam_cost
from actcli.models.backbone import Backbone, Part
from actcli.types import Text

_EPS: Final = 0.01
"""In the denominator of cosines of prototypes and of the video-text loss."""
_COST_SCALE: Final = 8.0
"""What costs are divided by where they meet the words' scores; not the number of frames."""


class ClipFsarConfig(MethodConfig):
    """The switches of the published configs."""

    matcher: Literal["otam"] = "otam"
    text_weight: float | None = Field(0.0, ge=0.0, le=1.0)
    """TEXT_COFF where COMBINE is on; 0 is the default mode, 1 is EVAL_TEXT."""
    merge_before: bool = True
    """Average the clips of a class before the Transformer (MERGE_BEFORE), or after."""
    single_direction: bool = False
    """Scan the query's frames only (SINGLE_DIRECT)."""
    depth: int = Field(1, ge=1, le=12)
    heads: int = Field(8, ge=1, le=64)
    mlp_dim: int = Field(2048, ge=1)
    attention_dropout: float = Field(0.2, ge=0.0, lt=1.0)
    mlp_dropout: float = Field(0.05, ge=0.0, lt=1.0)
    class_loss_weight: float = Field(1.5, ge=0.0)
    """Of the video-text loss (USE_CLASSIFICATION_VALUE): 1.2 for HMDB51, 1.5 for UCF101 and
    Kinetics, 3.0 for SSv2."""
    text_token: bool = True
    """Show supports the words of their class; off for labels that are no words. Not published."""
    way: int = Field(5, ge=2, le=100)
    """Classes of a training episode."""
    shot: int = Field(1, ge=1, le=100)
    """Supports of each class: 1 as published, whatever the test has."""
    queries: int = Field(5, ge=1, le=100)
    """Queries of each class."""
    pair_share: float = Field(0.5, ge=0.0, le=1.0)
    """Of the training episodes, those that hold two labels which differ in the order of time
    alone, where there are such; 0 as published."""
    learn: Literal["head", "image"] = "image"
    """What training changes: the Transformer alone, or the image tower too, as published."""


class TemporalLayer(nn.Module):
    """Attention over the tokens of one sequence, then a feed-forward that has no norm of its own.

    u = LN(x);  y = x + Drop(W_o Attn(u W_q, u W_k, u W_v) + b);  y + FFN(y)
    """

    def __init__(self, dim: int, config: ClipFsarConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = nn.LayerNorm(dim)
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.to_out = nn.Linear(dim, dim)
        self.widen = nn.Linear(dim, config.mlp_dim)
        self.narrow = nn.Linear(config.mlp_dim, dim)
        self.attention_dropout = nn.Dropout(config.attention_dropout)
        self.mlp_dropout = nn.Dropout(config.mlp_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[M, L, D] -> [M, L, D]."""
        u = self.norm(x)
        q, k, v = (
            layer(u).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [M, heads, L, D / heads]
            for layer in (self.to_q, self.to_k, self.to_v)
        )
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        y: Tensor = x + self.attention_dropout(self.to_out(attended))
        wide = self.mlp_dropout(F.gelu(self.widen(y)))
        z: Tensor = y + self.mlp_dropout(self.narrow(wide))
        return z


class ClipFsar(Method):
    """Few-shot by prototypes that the class's words modulate (CLIP-FSAR)."""

    name = "clip-fsar"
    Config: ClassVar[type[MethodConfig]] = ClipFsarConfig
    trains_on = "episodes"
    config: ClipFsarConfig

    def __init__(self, backbone: Backbone, config: MethodConfig | None = None) -> None:
        super().__init__(backbone, config)
        dim = backbone.embed_dim
        if dim % self.config.heads:
            raise ModelError(
                f"{self.name}: {self.config.heads} heads do not divide the embedding (got {dim})"
            )
        self.temporal = nn.Sequential(
            *(TemporalLayer(dim, self.config) for _ in range(self.config.depth))
        )
        self.text_scale = nn.Parameter(torch.ones(1))
        """Multiplies cosines with words; learned, and not CLIP's."""

    @classmethod
    def training_defaults(cls, config: MethodConfig) -> Mapping[str, Any]:
        """The published optimiser settings of HMDB51; for a head alone what was measured."""
        if isinstance(config, ClipFsarConfig) and config.learn == "head":
            return {"learning_rate": 3e-4, "weight_decay": 1e-3}
        return {
            "learning_rate": 1e-5, "weight_decay": 1e-3, "clip_norm": None, "accumulate": 4,
            "schedule": "multistep", "warm_up": 0.14, "milestones": (0.28, 0.42),
            "augment": "crop", "flip": "off",
        }  # fmt: skip

    @property
    def learning_parts(self) -> tuple[Part, ...]:
        """The parts of the backbone that training changes."""
        return ("image",) if self.config.learn == "image" else ()

    @property
    def merges_before(self) -> bool:
        """MERGE_BEFORE."""
        return self.config.merge_before

    def modulate(self, frames: Tensor, words: Tensor) -> Tensor:
        """Frames after the Transformer saw them with the class's words as one more, last token.

        frames [M, T, D], words [M, D] -> [M, T, D]
        """
        if not self.config.text_token:
            return self.query_frames(frames)
        tokens = torch.cat([frames, words[:, None].to(frames)], 1)  # [M, T + 1, D]
        modulated: Tensor = self.temporal(tokens)
        return modulated[:, :-1]

    def query_frames(self, query: Tensor) -> Tensor:
        """Query frames after the Transformer, without words: [Q, T, D] -> [Q, T, D]."""
        frames: Tensor = self.temporal(query.float())
        return frames

    def distance(self, frames: Tensor, prototypes: Tensor) -> Tensor:
        """Soft OTAM cost, both ways: [..., Q, T, D], [..., C, T, D] -> [..., Q, C]."""
        distance = frame_distance(frames, prototypes, eps=_EPS)
        return otam_cost(distance) if self.config.single_direction else otam_both_ways(distance)

    def distance_logits(self, distance: Tensor, query: Tensor, text: Text, weight: float) -> Tensor:
        """The negative cost; merged with the words' scores where they have a weight.

            l = -cost,  or  w log p(c | words) + (1 - w) log softmax(-cost / 8)_c

        distance [Q, C], query [Q, T, D] -> [Q, C]
        """
        if weight == 0.0:
            return -distance
        seen = (-distance / _COST_SCALE).log_softmax(-1)
        return mix_in_text(seen, self.logits(query, text), weight)

    def comparison(self, text: Text) -> Compare:
        """By words alone: the cosine of the mean *raw* frame and the label's text, and it times the
        learned scale."""
        words = F.normalize(text.values.float().mean(1), dim=-1)  # [C, D]

        def compare(video: Tensor) -> tuple[Tensor, Tensor]:
            similarity = F.normalize(video.float().mean(1), dim=-1) @ words.T
            return self.text_scale * similarity, similarity

        return compare

    def loss(self, batch: TrainingEpisode) -> dict[str, Tensor]:
        """Few-shot cross entropy of the queries, and video-text cross entropy of all clips.

        The second compares the mean raw frame of each clip with the text of *all* training
        classes, by text_scale * x . t / (|x| |t| + 0.01).
        """
        episode = batch.episode
        assert episode.query_targets is not None, "training episodes know their targets"
        prototypes = self.prototypes(episode.support, episode.text)
        costs = self.distance(self.query_frames(episode.query), prototypes.values)
        class_logits = self.class_logits(batch)
        targets = torch.cat([batch.support_classes, batch.query_classes])
        self.accuracy = (costs.argmin(-1) == episode.query_targets).float().mean()
        return {
            "few-shot": F.cross_entropy(-costs, episode.query_targets),
            "class": self.config.class_loss_weight * F.cross_entropy(class_logits, targets),
        }

    def class_logits(self, batch: TrainingEpisode) -> Tensor:
        """Every clip against every training class, supports first: [S + Q, C_train]."""
        episode = batch.episode
        frames = torch.cat([episode.support.values, episode.query]).float().mean(1)  # [S + Q, D]
        words = batch.all_text.values.float().mean(1)  # [C_train, D]
        distance = frame_distance(frames[:, None], words[:, None], eps=_EPS)  # [S + Q, C, 1, 1]
        return self.text_scale * (1 - distance[..., 0, 0])

    @classmethod
    def from_reference(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published names as ours: `head.…` of a `model_state` -> our `state_dict`'s.

        Raises ModelError naming keys that the published layout does not have.
        """
        renamed = {rename(name): value for name, value in state.items()}
        if None in renamed:
            odd = [name for name in state if rename(name) is None]
            raise ModelError(f"not CLIP-FSAR's layout: unknown keys {shorten_list(odd)}")
        return {str(name): value for name, value in renamed.items()}

    @staticmethod
    def to_reference(name: str) -> str:
        """One of our names as the published layout has it."""
        if name == "text_scale":
            return "head.scale"
        if name.startswith(_OUR_BACKBONE):
            return _BACKBONE + name.removeprefix(_OUR_BACKBONE)
        _, layer, part, kind = name.split(".")
        (theirs,) = (theirs for theirs, ours in _PARTS.items() if ours == part)
        return f"head.context2.layers.{layer}.{theirs}.{kind}"


_LAYER = re.compile(r"head\.context2\.layers\.(\d+)\.(.+)\.(weight|bias)")
_PARTS: Final = {
    "0.norm": "norm",
    "0.fn.to_q": "to_q",
    "0.fn.to_k": "to_k",
    "0.fn.to_v": "to_v",
    "0.fn.to_out.0": "to_out",
    "1.net.0": "widen",
    "1.net.3": "narrow",
}
_BACKBONE: Final = "head.backbone."
_OUR_BACKBONE: Final = "backbone.model.visual."


def rename(name: str) -> str | None:
    """One published key as ours, or None if the layout has no such key."""
    if name == "head.scale":
        return "text_scale"
    if name.startswith(_BACKBONE):
        return _OUR_BACKBONE + name.removeprefix(_BACKBONE)
    match = _LAYER.fullmatch(name)
    if match is None or match[2] not in _PARTS:
        return None
    return f"temporal.{match[1]}.{_PARTS[match[2]]}.{match[3]}"


def reference_config(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> ClipFsarConfig:
    """The config that published weights need.

    settings:  the TRAIN section of the published config, its switches; absent ones are off
    """
    layers = {match[1] for name in state if (match := _LAYER.fullmatch(name))}
    widths = [value.shape[0] for name, value in state.items() if name.endswith("1.net.0.weight")]
    weight = 1.0 if settings.get("EVAL_TEXT") else 0.0
    if settings.get("COMBINE") and not weight:
        weight = float(settings.get("TEXT_COFF") or 0.9)
    return ClipFsarConfig(
        depth=max(1, len(layers)),
        mlp_dim=widths[0] if widths else 2048,
        merge_before=bool(settings.get("MERGE_BEFORE")),
        single_direction=bool(settings.get("SINGLE_DIRECT")),
        text_weight=weight,
        class_loss_weight=float(settings.get("USE_CLASSIFICATION_VALUE") or 1.0),
    )
