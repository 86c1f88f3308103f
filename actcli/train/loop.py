"""The one training loop: batches in, optimiser steps out, for whatever a method's `loss` is.

It knows neither papers nor videos, and what several processes do together is in `dist`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from actcli.checkpoint import own_tensors
from actcli.config_train import TrainConfig
from actcli.errors import ModelError, ResourceError
from actcli.methods.base import Method
from actcli.models.device import is_out_of_memory
from actcli.train.dist import Ranks
from actcli.train.events import EpochEvent, StepEvent, Validation
from actcli.train.state import Progress, load_state, random_tensors, restore_random, save_state
from actcli.train.updates import Updates

STATE_NAME: Final = "state.safetensors"
_PARTS: Final = ("method", "ema", "optimizer", "scaler", "random")


class Batches(Protocol):
    """Where batches come from: number i is always the same."""

    @property
    def batches_per_epoch(self) -> int:
        """How many batches show every clip once."""

    @property
    def batch_size(self) -> int:
        """Clips of a batch, over all processes."""

    def batch(self, number: int, *, rank: int = 0, num_ranks: int = 1) -> Any:
        """Batch `number`, or the part of it that is one process's; it has `parts`, `clips`."""


class NotANumberError(ModelError):
    """A loss that is no number: training stops before it spoils the weights."""

    def __init__(
        self, message: str, clips: Sequence[int] = (), *, is_certain: bool = False
    ) -> None:
        super().__init__(message)
        self.clips, self.is_certain = clips, is_certain


class Trainer:
    """A method on its way from step to step.

    validate:  how good the method is now; None where there is nothing to validate on
    place:     puts a batch on the device of the method
    folder:    where the state is kept; None keeps none

    Raises ResourceError for a precision that the device can't train in.
    """

    def __init__(
        self,
        method: Method,
        batches: Batches,
        config: TrainConfig,
        *,
        validate: Callable[[Method], Validation] | None = None,
        ranks: Ranks | None = None,
        place: Callable[[Any], Any] = lambda batch: batch,
        folder: Path | None = None,
    ) -> None:
        self.method, self.config = method, config
        self._batches, self._validate = batches, validate
        self._ranks, self._place, self._folder = ranks or Ranks(), place, folder
        method.gather, method.clips_held = self._ranks.gather, config.clips_held
        method.start_learning()
        self._wrapped = self._ranks.wrap(method, method.backbone.device)
        self.updates = Updates(method, config, self.num_steps)
        self.progress = Progress()

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps that show every clip once, the last of fewer batches if need be."""
        return -(-self._batches.batches_per_epoch // self.config.accumulate)

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.config.steps or self.config.epochs * self.steps_per_epoch

    @property
    def num_epochs(self) -> int:
        """Epochs of the whole run, the last one perhaps cut short."""
        return -(-self.num_steps // self.steps_per_epoch)

    def run(self) -> Iterator[StepEvent | EpochEvent]:
        """Train from where the run stands to its end, telling of each step and each epoch.

        The state is saved after an epoch's event was taken: what its taker writes is never older.

        Raises NotANumberError, ResourceError if memory is short or the state can't be written.
        """
        self.method.train()
        while not self.progress.is_done:
            if self._ends_epoch():  # perhaps one that was stopped just before
                yield self._end_epoch()
                self.save()
                continue
            yield self._step(self.progress.step)
            is_due = self.config.save_every and self.progress.step % self.config.save_every == 0
            if is_due and not self._ends_epoch():
                self.save()

    def _ends_epoch(self) -> bool:
        """Whether the steps of an epoch are done, and its end is not."""
        done = self.progress.step
        is_end = done == self.num_steps or done % self.steps_per_epoch == 0
        return is_end and self.progress.epochs < -(-done // self.steps_per_epoch)

    def _step(self, step: int) -> StepEvent:
        """One optimiser step; what it tells is averaged over batches and processes."""
        started = time.perf_counter()
        rate, numbers = self.updates.begin(step), self._numbers(step)
        total: dict[str, float] = {}
        right = 0.0
        for number in numbers:
            is_last = number == numbers[-1]
            with nullcontext() if is_last else self._ranks.unsynchronised(self._wrapped):
                terms = self._backward(number, len(numbers))
            for name, value in terms.items():
                total[name] = total.get(name, 0.0) + value / len(numbers)
            right += float(self.method.accuracy or 0.0) / len(numbers)
        self.updates.apply()
        self.progress = replace(self.progress, step=step + 1)
        losses = {name: self._ranks.mean(value) for name, value in total.items()}
        accuracy = None if self.method.accuracy is None else self._ranks.mean(right)
        clips = self._batches.batch_size * len(numbers)
        speed = clips / (time.perf_counter() - started)
        epoch = 1 + step // self.steps_per_epoch
        return StepEvent(step + 1, self.num_steps, epoch, losses, rate, accuracy, speed)

    def _numbers(self, step: int) -> range:
        """The batches of a step; those of an epoch are never carried into the next one."""
        epoch, place = divmod(step, self.steps_per_epoch)
        per_epoch, size = self._batches.batches_per_epoch, self.config.accumulate
        start = epoch * per_epoch
        return range(start + place * size, start + min((place + 1) * size, per_epoch))

    def _backward(self, number: int, share: int) -> dict[str, float]:
        """Add the gradients of one batch, of which a step has `share`; returns its terms."""
        ranks = self._ranks
        batch = self._place(self._batches.batch(number, rank=ranks.rank, num_ranks=ranks.count))
        try:
            with self.updates.autocast():
                terms: dict[str, Tensor] = self._wrapped(batch)
            loss = torch.stack(list(terms.values())).sum()
            if not bool(torch.isfinite(loss)):
                raise self._not_a_number(number, batch)
            self.updates.backward(loss / share)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            size = self._batches.batch_size
            raise ResourceError(
                f"--batch-size {size}: out of memory in a training step",
                hint=f"--batch-size {max(1, size // 2)} --accumulate {2 * self.config.accumulate} "
                "learns the same from half the memory",
            ) from error
        return {name: float(value.detach()) for name, value in terms.items()}

    def _not_a_number(self, number: int, batch: Any) -> NotANumberError:
        """Which clips of a batch are to blame: those whose embedding is no number, else any."""
        rows = [torch.isfinite(part.flatten(1)).all(1) for part in batch.parts]
        is_bad = ~torch.cat(rows).to(batch.clips.device)
        known = bool(is_bad.any())
        clips = batch.clips[is_bad] if known else batch.clips
        step = self.progress.step + 1
        return NotANumberError(
            f"the loss is not a number at step {step}, batch {number}", clips.tolist(),
            is_certain=known,
        )  # fmt: skip

    def _end_epoch(self) -> EpochEvent:
        before, found = self.progress, None
        epoch = before.epochs + 1
        with self.averaged():
            if self._validate is not None:
                self.method.eval()
                found = self._validate(self.method)
                self.method.train()
            self._check_numbers(epoch, found)
        is_last = before.step == self.num_steps
        is_best = found is None or found.beats(before.best)
        since = 0 if is_best else before.epochs_since_best + 1
        stops = found is not None and 0 < self.config.patience <= since and not is_last
        best = found if is_best and found is not None else before.best
        self.progress = Progress(before.step, best, since, is_last or stops, epoch)
        return EpochEvent(epoch, self.num_epochs, before.step, found, is_best, stops)

    def _check_numbers(self, epoch: int, found: Validation | None) -> None:
        """Raise NotANumberError for weights that nothing can be computed with."""
        values = (p for group in self.updates.groups for p in group["params"])
        is_finite = all(bool(torch.isfinite(value).all()) for value in values)
        if not is_finite or (found is not None and not math.isfinite(found.loss)):
            raise NotANumberError(f"the model gives no numbers after epoch {epoch}")

    def averaged(self) -> AbstractContextManager[None]:
        """The method holds what is to be used of it: the mean of its weights, if one is kept."""
        return self.updates.averaged()

    def save(self) -> None:
        """Write the state of the run; of several processes the main one does.

        Raises ResourceError if it can't be written.
        """
        if self._folder is None or not self._ranks.is_main:
            return
        parts = {
            "method": own_tensors(self.method),
            "random": random_tensors(),
            **self.updates.tensors(),
        }
        tensors = {f"{part}/{n}": v for part, values in parts.items() for n, v in values.items()}
        save_state(self._folder / STATE_NAME, tensors, self.progress)

    def resume(self) -> None:
        """Take up the state that was saved last.

        Raises ModelError if there is none, or it is of another model.
        """
        assert self._folder is not None, "a run that is continued has a folder"
        path = self._folder / STATE_NAME
        tensors, self.progress = load_state(path)
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
        try:
            for name, value in tensors.items():
                part, _, own = name.partition("/")
                parts[part][own] = value
            if parts["method"].keys() != own_tensors(self.method).keys():
                raise ValueError("other tensors")
            self.method.load_state_dict(parts["method"], strict=False)
            self.updates.restore(parts)
            restore_random(parts["random"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: of another model ({error})") from error
