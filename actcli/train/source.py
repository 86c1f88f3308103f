"""Batches of labelled clips: batch number i is the same whenever and wherever it is asked for.

All that is random in a batch follows from the seed and its number. So a run that is continued draws
what it would have drawn, and processes that share a batch draw their parts of the same one.

Shape letters: N clips, V views of each, T' embeddings per view, D embedding dimension, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from actcli.labelled import LabelledEmbeddings
from actcli.types import Text

Batch = TypeVar("Batch")

_UNEVEN: Final = 3.0
"""How many times the clips of another class one may have before `auto` evens them out."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Embedded videos with their classes."""

    values: Tensor
    """[N, V, T', D], un-normalised, on the CPU; D is 0 where clips come as pixels"""
    targets: Tensor
    """int64 [N]"""
    text: Text
    """of the C classes, by hand-written prompts"""

    @property
    def counts(self) -> Tensor:
        """Clips of each class, int64 [C]."""
        return torch.bincount(self.targets, minlength=len(self.text.labels))


class EmbeddingBatches:
    """The batches of a training set, of equal size: what an epoch lacks at its end is filled up
    from the next shuffle.

    batch_size:        clips of a batch, over all processes
    classes_per_step:  labels that a batch names: those of its clips, and others; None is all
    balance:           none, classes, or auto
    """

    def __init__(
        self,
        data: TrainingSet,
        *,
        batch_size: int,
        seed: int,
        classes_per_step: int | None = None,
        balance: str = "none",
    ) -> None:
        self.data = data
        self.batch_size = min(batch_size, len(data.targets))
        self._seed, self._classes = seed, classes_per_step
        counts = data.counts[data.counts > 0]
        uneven = float(counts.max()) > _UNEVEN * float(counts.min())
        self.is_balanced = balance == "classes" or (balance == "auto" and uneven)
        self._shuffled: tuple[int, Tensor] | None = None

    @property
    def batches_per_epoch(self) -> int:
        """How many batches show every clip once."""
        return math.ceil(len(self.data.targets) / self.batch_size)

    def clips(self, number: int) -> Tensor:
        """Which clips batch `number` holds, over all processes: int64 [B]."""
        epoch, place = divmod(number, self.batches_per_epoch)
        start = place * self.batch_size
        taken = self._shuffle(epoch)[start : start + self.batch_size]
        missing = self.batch_size - len(taken)
        return torch.cat([taken, self._draw(epoch, 1)[:missing]]) if missing else taken

    def batch(self, number: int, *, rank: int = 0, num_ranks: int = 1) -> LabelledEmbeddings:
        """Batch `number`, or the part of it that is one process's."""
        clips = self.clips(number)
        generator = self._generator(2, number)
        count, num_views, length = self.data.values.shape[:3]
        assert len(clips) <= count
        noise = torch.rand(len(clips), length, generator=generator)
        views = torch.randint(num_views, (len(clips),), generator=generator)
        class_noise = torch.rand(len(self.data.text.labels), generator=generator)
        classes = self._choose_classes(self.data.targets[clips], class_noise)
        part = slice(rank, None, num_ranks)
        own = clips[part]
        return LabelledEmbeddings(
            values=self.data.values[own, views[part]],
            targets=self.data.targets[own],
            text=self.data.text,
            classes=classes,
            noise=noise[part],
            class_noise=class_noise,
            clips=own,
        )

    def _choose_classes(self, targets: Tensor, noise: Tensor) -> Tensor:
        """The classes of the batch and others at random, as many as were asked for, rising."""
        present = torch.unique(targets)
        if self._classes is None or self._classes >= len(noise):
            return torch.arange(len(noise))
        others = noise.index_fill(0, present, 2.0).argsort()[: max(0, self._classes - len(present))]
        return torch.cat([present, others]).sort().values

    def _shuffle(self, epoch: int) -> Tensor:
        if self._shuffled is None or self._shuffled[0] != epoch:
            self._shuffled = (epoch, self._draw(epoch, 0))
        return self._shuffled[1]

    def _draw(self, epoch: int, use: int) -> Tensor:
        """All clips in an order of this epoch's; balanced, each class equally often instead."""
        generator = self._generator(use, epoch)
        count = len(self.data.targets)
        if not self.is_balanced:
            return torch.randperm(count, generator=generator)
        weights = 1.0 / self.data.counts.double()[self.data.targets]
        return torch.multinomial(weights, count, replacement=True, generator=generator)

    def _generator(self, use: int, number: int) -> torch.Generator:
        mixed = (self._seed * 1_000_003 + use) * 1_000_003 + number
        return torch.Generator().manual_seed(mixed % (1 << 63))


def placed(batch: Batch, device: torch.device) -> Batch:
    """A batch, all tensors within it, on a device."""
    if device.type == "cpu":
        return batch
    return _moved(batch, device)  # type: ignore[no-any-return]


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {part.name: _moved(getattr(value, part.name), device) for part in fields(value)}
    return replace(value, **parts)
