"""Learning rates over a run: pure arithmetic on steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


def warm_cosine(step: int, num_steps: int, *, warm_up: int, floor: float = 0.0) -> float:
    """What a learning rate is multiplied by: rising linearly, then falling as half a cosine.

    step:     0-based; the first step has 1 / warm_up, the last one nearly `floor`
    warm_up:  steps until the full rate
    floor:    share of the full rate that is left at the end
    """
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, num_steps - warm_up)
    return floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def multistep(step: int, *, warm_up: int, milestones: Sequence[int], factor: float = 0.1) -> float:
    """What a learning rate is multiplied by: rising linearly, then `factor` at each milestone."""
    if step < warm_up:
        return (step + 1) / warm_up
    return factor ** sum(step >= milestone for milestone in milestones)


@dataclass(frozen=True, slots=True)
class ActionClipSchedule:
    """The published schedules of ActionCLIP, in whole and part epochs e.

    e < warm-up: e / warm-up, else half a cosine to 0, or `gamma` to the power floor(e / decay).
    Looked up at the first and then every tenth iteration of an epoch only, so that the first nine
    iterations of a run learn nothing.
    """

    num_epochs: int
    steps_per_epoch: int
    warm_up_epochs: int = 5
    kind: Literal["cosine", "multistep"] = "cosine"
    decay_epochs: int = 15
    gamma: float = 0.1

    def factor(self, epoch: int, iteration: int) -> float:
        """What a learning rate is multiplied by in a 0-based iteration of a 0-based epoch."""
        known = 0 if iteration < 9 else iteration - (iteration - 9) % 10
        e = epoch + known / self.steps_per_epoch
        if e < self.warm_up_epochs:
            return e / self.warm_up_epochs
        if self.kind == "multistep":
            power: float = self.gamma ** (e // self.decay_epochs)
            return power
        share = (e - self.warm_up_epochs) / (self.num_epochs - self.warm_up_epochs)
        return (1 + math.cos(math.pi * min(1.0, share))) / 2


@dataclass(frozen=True, slots=True)
class ClipFsarSchedule:
    """The published schedule of CLIP-FSAR, which counts every epoch twice.

    e = floor(i / S) + i / S        lr = line from `start` to `base` for e < 1,
                                         base * rates[k], k = last with steps[k] <= e, after
    """

    base: float
    start: float
    steps_per_epoch: int
    """S"""
    steps: Sequence[float] = (0, 4, 6)
    """in e, not in epochs"""
    rates: Sequence[float] = (1.0, 0.1, 0.01)
    warm_up_epochs: float = 1.0

    def rate(self, iteration: int) -> float:
        """The learning rate of a 0-based iteration."""
        epoch = iteration // self.steps_per_epoch + iteration / self.steps_per_epoch
        if epoch < self.warm_up_epochs:
            return self.start + epoch * (self._stepped(self.warm_up_epochs) - self.start) / (
                self.warm_up_epochs
            )
        return self._stepped(epoch)

    def _stepped(self, epoch: float) -> float:
        passed = [rate for step, rate in zip(self.steps, self.rates, strict=True) if step <= epoch]
        return self.base * passed[-1]
