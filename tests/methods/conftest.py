"""A backbone of a few lines: what a method may rely on, and nothing of open_clip."""

import hashlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from actcli.types import ScoreKind

D = 8


class FakeBackbone(nn.Module):
    """Frames and prompts become points in 8 dimensions, the same on every machine."""

    def __init__(self, score_kind: ScoreKind = "softmax") -> None:
        super().__init__()
        self.embed_dim, self.input_size, self.score_kind = D, 4, score_kind
        self.digest = "fake"
        self.image_tower_is_original = True
        self.text_tower_is_original = True
        self.register_buffer("logit_scale", torch.tensor(4.0))
        self.logit_bias = torch.tensor(-10.0) if score_kind == "sigmoid" else None
        generator = torch.Generator().manual_seed(0)
        self.image_tower = nn.Linear(3 * 4 * 4, D, bias=False)
        nn.init.normal_(self.image_tower.weight, generator=generator)
        self.requires_grad_(False)

    def encode_frames(self, frames: Tensor) -> Tensor:
        embeddings: Tensor = self.image_tower(frames.flatten(1).float())
        return embeddings

    def encode_text(self, prompts: list[str]) -> Tensor:
        digests = [hashlib.sha256(prompt.encode()).digest()[:D] for prompt in prompts]
        return torch.tensor([list(digest) for digest in digests]).float() - 128


@pytest.fixture
def fake_backbone() -> Any:
    return FakeBackbone()


@pytest.fixture
def fake_sigmoid_backbone() -> Any:
    return FakeBackbone("sigmoid")
