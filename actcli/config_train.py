"""Frozen settings of training and of evaluation."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from actcli.config import Config, TaskConfig


class TrainConfig(Config):
    """How a method is trained; what each method itself can switch is in its own config."""

    epochs: int = Field(50, ge=1, le=1_000_000)
    steps: int | None = Field(None, ge=1, le=1_000_000_000)
    """Optimiser steps, instead of epochs."""
    clips_per_step: int = Field(64, ge=1)
    """Clips of one batch, over all processes."""
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are added up before a step."""
    learning_rate: float = Field(5e-4, gt=0, le=10)
    weight_decay: float = Field(0.05, ge=0)
    schedule: Literal["cosine", "multistep", "constant"] = "cosine"
    warm_up: float = Field(0.05, ge=0, le=1)
    """Share of the steps in which the learning rate rises."""
    milestones: tuple[float, ...] = (0.6, 0.85)
    """Shares of the steps at which `multistep` divides the learning rate by ten."""
    clip_norm: float | None = Field(1.0, gt=0)
    """Longest gradient; None clips nothing."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the running mean of the weights, which is then what is saved; None keeps none."""
    patience: int = Field(0, ge=0)
    """Stop after so many epochs in which validation did not improve; 0 never does."""
    amp: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """What training steps compute in; weights and optimiser stay in fp32."""
    balance: Literal["auto", "none", "classes"] = "auto"
    """classes draws every class equally often; auto does where one has three times another."""
    save_every: int = Field(0, ge=0)
    """Steps after which a run can be continued, besides the end of each epoch."""
    augment: Literal["clip", "frame", "crop", "none"] = "clip"
    """What becomes of clips where the image tower learns: crops, colours and RandAugment, drawn for
    each clip or, as ActionCLIP published it, for each frame; crops alone, or nothing."""
    rand_ops: int = Field(2, ge=0, le=8)
    """Operations of RandAugment: as published 2 for Kinetics, 0 for HMDB51 and UCF101."""
    rand_magnitude: int = Field(9, ge=0, le=30)
    flip: Literal["auto", "on", "off"] = "auto"
    """Mirror every second clip; auto does unless labels speak of left and right."""
    moments: Literal["random", "fixed"] = "random"
    """Frames of each clip where the image tower learns: drawn anew each time, or as at test."""
    clips_held: int | None = Field(None, ge=1)
    """Clips whose passes through a tower that learns are kept for gradients at once, the others
    computed again: less memory for more time. None keeps all."""


class FinetuneConfig(TaskConfig):
    """Everything `finetune` needs besides the videos."""

    method: str = "motion-prompts"
    train: TrainConfig = TrainConfig()


class EvalConfig(TaskConfig):
    """Everything `eval` needs besides the videos: how a protocol is run and averaged."""

    protocol: str | None = None
    """None is the one that is usual for the dataset."""
    practice: Literal["honest", "published"] = "honest"
    """published repeats what published code does wrong, and the result says what that is."""
    way: int = Field(5, ge=2, le=1000)
    """Classes of a test episode."""
    shot: int = Field(1, ge=1, le=1000)
    queries: int = Field(1, ge=1, le=1000)
    """Queries of each class of an episode."""
    episodes: int = Field(10_000, ge=1, le=10_000_000)
    part: Literal["train", "val", "test"] = "test"
    """Classes of a few-shot split that episodes are drawn from."""
    shots: tuple[int, ...] = (2, 4, 8, 16)
    """Examples of each class, one number after another, where all classes are told apart."""
    unofficial: bool = False
    """Take lists whose counts are not the published ones."""
    min_coverage: float = Field(0.99, ge=0, le=1)
    """Share of the videos that must be there and readable for a number to be given."""
    allow_missing: bool = False

    @model_validator(mode="after")
    def _shots_rise(self) -> Self:
        if not self.shots or list(self.shots) != sorted({*self.shots}) or self.shots[0] < 1:
            raise ValueError("--shots: not rising numbers from 1 (expected 2,4,8,16)")
        return self
