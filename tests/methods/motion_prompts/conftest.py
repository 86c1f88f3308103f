"""The demo model's towers and made-up embeddings: what the parts of the method are tested on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from actcli.labelled import LabelledEmbeddings
from actcli.methods.motion_prompts.config import MotionPromptsConfig
from actcli.methods.motion_prompts.method import MotionPrompts
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.types import Text

LABELS = ("run", "jump", "sit down", "wave")
PROMPTS = tuple((f"a video of {label}", f"a person {label}") for label in LABELS)


@pytest.fixture(scope="session")
def towers() -> OpenClipBackbone:
    return OpenClipBackbone(find_backbone("demo"))


@pytest.fixture
def make(towers: OpenClipBackbone) -> Callable[..., MotionPrompts]:
    """make(**config): a method in eval mode, its random start always the same."""

    def build(**config: Any) -> MotionPrompts:
        torch.manual_seed(0)
        return MotionPrompts(towers, MotionPromptsConfig(**config)).eval()

    return build


def frames(clips: int, length: int = 8, seed: int = 0) -> Tensor:
    """Un-normalised embeddings [clips, length, 128] in which neighbours are alike."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(clips, length, 128, generator=generator)
    return 3 * torch.randn(clips, 1, 128, generator=generator) + steps.cumsum(1)


def disturb(method: MotionPrompts, seed: int = 1) -> MotionPrompts:
    """The method as training might leave it: nothing is zero that began as zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            if not name.startswith("backbone."):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return method


def batch_of(method: MotionPrompts, clips: int = 6, length: int = 8) -> LabelledEmbeddings:
    """A training batch of the four labels."""
    hand = super(MotionPrompts, method).embed_text(LABELS, PROMPTS)
    generator = torch.Generator().manual_seed(5)
    return LabelledEmbeddings(
        values=frames(clips, length), targets=torch.arange(clips) % len(LABELS),
        text=Text(hand.labels, hand.prompts, hand.values.detach()),
        classes=torch.arange(len(LABELS)),
        noise=torch.rand(clips, length, generator=generator),
        class_noise=torch.rand(len(LABELS), generator=generator), clips=torch.arange(clips),
    )  # fmt: skip
