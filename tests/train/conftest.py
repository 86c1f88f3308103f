"""A small method on made-up embeddings: the loop is tested without towers or videos."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actcli.labelled import LabelledEmbeddings
from actcli.methods.base import Method
from actcli.methods.nearest_prototype import MethodConfig
from actcli.train.source import EmbeddingBatches, TrainingSet
from actcli.types import Text
from tests.methods.conftest import FakeBackbone

D, T, C = 8, 4, 3


class SmallConfig(MethodConfig):
    """What the tests turn."""

    dropout: float = 0.0
    spread_weight: float = 0.0


class Small(Method):
    """A linear head on mean frames, with a loss term of the whole batch if asked for."""

    name = "small"
    Config: ClassVar[type[MethodConfig]] = SmallConfig
    trains_on = "clips"
    config: SmallConfig

    def __init__(self, backbone: Any, config: MethodConfig | None = None) -> None:
        super().__init__(backbone, config)
        self.head = nn.Linear(D, C)
        self.drop = nn.Dropout(self.config.dropout)

    def logits(self, video: Tensor, text: Text) -> Tensor:
        out: Tensor = self.head(self.drop(video.mean(1)))
        return out

    def loss(self, batch: LabelledEmbeddings) -> dict[str, Tensor]:
        logits = self.logits(batch.values * (batch.noise > 0.2)[..., None], batch.text)
        self.accuracy = (logits.argmax(-1) == batch.targets).float().mean().detach()
        terms = {"match": F.cross_entropy(logits, batch.targets)}
        if self.config.spread_weight:
            mean = self.gather(logits.softmax(-1)).mean(0)
            terms["spread"] = self.config.spread_weight * mean.square().sum()
        return terms


def small(**config: Any) -> Small:
    torch.manual_seed(0)
    backbone: Any = FakeBackbone()
    backbone.device = torch.device("cpu")
    return Small(backbone, SmallConfig(**config))


def training_set(clips: int = 20, views: int = 1, counts: list[int] | None = None) -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(clips) % C
    if counts is not None:
        targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    values = torch.randn(len(targets), views, T, D, generator=generator)
    values[..., :C] += 2 * F.one_hot(targets, C)[:, None, None]
    names = tuple("abc"[:C])
    text = Text(names, tuple((name,) for name in names), torch.eye(D)[:C, None])
    return TrainingSet(values, targets, text)


def batches(data: TrainingSet | None = None, **options: Any) -> EmbeddingBatches:
    given = {"batch_size": 6, "seed": 0} | options
    return EmbeddingBatches(data or training_set(), **given)


@pytest.fixture
def method() -> Small:
    return small()
