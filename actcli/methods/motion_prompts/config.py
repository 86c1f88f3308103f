"""What can be switched in motion-prompt adaptation, each part by itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from actcli.methods.nearest_prototype import MethodConfig


class MotionPromptsConfig(MethodConfig):
    """Defaults are what measures best on the demo's clips; everything can be turned off."""

    scales: Literal["both", "short", "long", "off"] = "both"
    """Differences between neighbours, over half of the clip, or both; off is plain averaging."""
    prompts: Literal["mix", "exact", "off"] = "mix"
    """mix: a bank of learned prompts, blended by motion after the text tower. exact: prompts
    written for each video, a text pass for each video and label. off: hand-written ones."""
    exchange: Literal["off", "text", "both"] = "off"
    """Whether texts ask the motion tokens before matching, and the video the texts as well: with
    both, a label's score depends on which others there are. On the demo's clips it gained nothing
    on trained labels and cost those that were held out."""
    grid: int = Field(0, ge=0, le=7)
    """Cells a side of the map of each frame whose differences are read; 0 reads whole frames."""
    num_prompt_tokens: int = Field(8, ge=1, le=32)
    """P, tokens that are parameters instead of words."""
    bank_size: int = Field(8, ge=1, le=64)
    """K, learned prompts that `mix` blends."""
    cut_guard: bool = True
    """Read no motion across a difference far larger than 99 % of those in the training set."""
    rerank: int | None = Field(16, ge=1)
    """With `exact`: labels whose prompts are written for a video, the best by hand-written ones;
    None is all."""
    classes_per_step: int = Field(128, ge=2)
    """Labels that a training step with `mix` scores: those of its clips, others drawn at random."""
    frame_dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of frames that training replaces by the one before."""
    prematch_weight: float = Field(0.5, ge=0.0)
    frozen_weight: float = Field(1.0, ge=0.0)
    """Of the tie to frozen CLIP's scores on the training labels."""
    tie_weight: float = Field(3.0, ge=0.0)
    """Of the tie to frozen CLIP's video vectors, which keeps labels known that were never
    trained. 0 for labels that will always be the trained ones."""
    text_tie_weight: float = Field(1.0, ge=0.0)
    """The same for texts."""
    balance_weight: float = Field(0.01, ge=0.0)
    """Keeps the whole bank in use."""
    motion: float = Field(1.0, ge=0.0, le=1.0)
    """Dial at test time: share of motion in the video vector."""
    learned_prompts: float | None = Field(None, ge=0.0, le=1.0)
    """Dial at test time: share of learned prompts in the text; None is what was learned."""
