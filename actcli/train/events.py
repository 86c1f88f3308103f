"""What a training run tells while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from actcli.types import Failure


@dataclass(frozen=True, slots=True)
class Embedding:
    """How many of a set's videos are embedded."""

    what: str
    done: int
    total: int
    num_failed: int


@dataclass(frozen=True, slots=True)
class Validation:
    """How good the model is on videos that it is not trained on."""

    top1: float
    loss: float
    clips: int

    def beats(self, other: Validation | None) -> bool:
        """More right; as many right and a lower loss."""
        return other is None or (-self.top1, self.loss) < (-other.top1, other.loss)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What training begins with."""

    clips: int
    classes: int
    val_clips: int
    smallest: int
    largest: int
    """clips of a class"""
    is_balanced: bool
    """whether every class is drawn equally often, whatever its clips"""
    learning: int
    frozen: int
    """parameters"""
    steps: int
    device: str
    amp: str
    failures: tuple[Failure, ...]
    baseline: Validation | None
    """the backbone as it was on the same validation videos"""
    baseline_name: str = "zero-shot"
    continued_from: int = 0
    """steps done before"""


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One optimiser step."""

    step: int
    """1-based: steps done"""
    num_steps: int
    epoch: int
    """1-based"""
    losses: Mapping[str, float]
    """by name, means over the step; their sum is what was minimised"""
    learning_rate: float
    accuracy: float | None
    clips_per_s: float

    @property
    def loss(self) -> float:
        """What was minimised."""
        return sum(self.losses.values())


@dataclass(frozen=True, slots=True)
class EpochEvent:
    """The end of an epoch: everything is saved when this is told."""

    epoch: int
    num_epochs: int
    step: int
    validation: Validation | None
    is_best: bool
    stops: bool = False
    """Validation has not improved for as many epochs as `--patience` allows."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run."""

    folder: Path
    best: Validation | None
    baseline: Validation | None
    seconds: float
    baseline_name: str = "zero-shot"
    next_command: str = "classify VIDEO"
    """what uses the result, but for its --model"""
