"""Batches whose clips are decoded and changed anew each time, for towers that learn.

Workers run ahead of the steps: while one batch is trained on, the next ones are read. What a clip
becomes follows from the seed and its place in the run, so that a continued run sees the same.

Shape letters: N clips, T frames, X input side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from actcli.errors import InputError
from actcli.labelled import PixelBatch
from actcli.types import Clip, Failure, VideoRef
from actcli.video.loader import IDLE, Loader
from actcli.video.training_clips import TrainingRef


class _Batches(Protocol):
    @property
    def batches_per_epoch(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    def batch(self, number: int, *, rank: int = 0, num_ranks: int = 1) -> Any: ...


class PixelBatches:
    """The batches of a plan, their clips as frames.

    plan:   which clips a batch holds, and all else of it
    refs:   the videos of the clips
    start:  a loader of training clips that has not been used
    seed:   of the changes that clips undergo

    Use as a context manager: leaving it stops the workers.
    """

    def __init__(
        self, plan: _Batches, refs: Sequence[VideoRef], start: Callable[[], Loader], *, seed: int
    ) -> None:
        self._plan, self._refs, self._start, self._seed = plan, refs, start, seed
        self._loader: Loader | None = None
        self._read: Iterator[object] = iter(())
        self._planned: deque[Any] = deque()
        self._next = -1

    @property
    def batches_per_epoch(self) -> int:
        """How many batches show every clip once."""
        return self._plan.batches_per_epoch

    @property
    def batch_size(self) -> int:
        """Clips of a batch, over all processes."""
        return self._plan.batch_size

    def batch(self, number: int, *, rank: int = 0, num_ranks: int = 1) -> PixelBatch:
        """Batch `number`, or the part of it that is one process's.

        Raises InputError for a video that can be read no more.
        """
        if number != self._next:
            self.close()
            self._loader = self._start()
            self._read = self._loader.load(self._requests(number, rank, num_ranks))
        first = self._take()  # its batch was planned before it was asked for
        batch = self._planned.popleft()
        frames = torch.stack([first, *(self._take() for _ in batch.clips[1:])])
        self._next = number + 1
        return PixelBatch(frames, batch)

    def _take(self) -> Tensor:
        for item in self._read:
            if item is IDLE:
                continue
            if isinstance(item, Failure):
                raise InputError(f"{item.ref.id}: could be read before ({item.error.message})")
            assert isinstance(item, Clip)
            return torch.from_numpy(item.frames[0])
        raise AssertionError("the requests have no end")

    def _requests(self, number: int, rank: int, num_ranks: int) -> Iterator[TrainingRef]:
        """Runs in the loader's feeder thread."""
        for ahead in count(number):
            batch = self._plan.batch(ahead, rank=rank, num_ranks=num_ranks)
            self._planned.append(batch)
            for place, clip in enumerate(batch.clips.tolist()):
                about = [self._seed, ahead, rank + place * num_ranks]
                seed = np.random.SeedSequence(about).generate_state(1)[0]
                yield TrainingRef.of(self._refs[clip], int(seed))

    def close(self) -> None:
        """Stop reading ahead."""
        if self._loader is not None:
            self._loader.close()
        self._loader = None
        self._planned.clear()

    def __enter__(self) -> PixelBatches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
