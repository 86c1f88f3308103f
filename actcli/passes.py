"""Forward passes on one device: batches that fit it, the next one packed while one computes.

On CUDA frames are packed in pinned memory, copied to the device while it computes, and what comes
back is waited for by an event of its own. Elsewhere a pass is over when it has been started.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actcli.errors import ResourceError
from actcli.models.device import is_out_of_memory

log = logging.getLogger("actcli.passes")

Values = Callable[[], Tensor]
"""Waits for a pass; its values, on the CPU."""


class Passes:
    """Runs one computation on batches of clips.

    compute: uint8 [n, T, 3, X, X] on the device -> [n, T', D]
    batch_size: clips a pass, until memory runs short
    clip_frames: T of these clips; others may have more or fewer
    """

    def __init__(
        self,
        compute: Callable[[Tensor], Tensor],
        device: torch.device,
        *,
        batch_size: int,
        clip_frames: int,
    ) -> None:
        self._compute = compute
        self._device = device
        self._clip_frames = clip_frames
        self.batch_size = batch_size
        self.ahead = 1 if self._is_apart else 0
        """Passes that may be under way while the next one is packed."""

    @property
    def _is_apart(self) -> bool:
        """Whether the device computes while we do something else."""
        return self._device.type == "cuda"

    def pack(self, clips: Sequence[NDArray[Any]]) -> Tensor:
        """n arrays of uint8 [T, 3, X, X] -> [n, T, 3, X, X], where a copy to the device is fast."""
        shape = (len(clips), *clips[0].shape)
        packed = torch.empty(shape, dtype=torch.uint8, pin_memory=self._is_apart)
        np.stack(clips, out=packed.numpy())
        return packed

    @torch.inference_mode()
    def start(self, frames: Tensor) -> Values:
        """Compute uint8 [n, T, 3, X, X] -> [n, T', D]; smaller batches when memory is short.

        Raises ResourceError if not even one clip fits.
        """
        parts: list[Values] = []
        each = frames.shape[1]
        while len(frames):
            part = frames[: max(1, self.batch_size * self._clip_frames // each)]
            try:
                there = part.to(self._device, non_blocking=self._is_apart)
                parts.append(_to_host(self._compute(there)))
                frames = frames[len(part) :]
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(max(1, len(part) * each // self._clip_frames), error)
        return lambda: torch.cat([values() for values in parts])

    def _halve(self, size: int, error: Exception) -> None:
        if size == 1:
            raise ResourceError(
                f"--device {self._device}: one clip does not fit into its memory",
                hint="use fewer --frames, or --device cpu",
            ) from error
        self.batch_size = size // 2
        log.warning("out of memory: going on with --batch-size %d", self.batch_size)
        if self._is_apart:
            torch.cuda.empty_cache()


def _to_host(values: Tensor) -> Values:
    if values.device.type != "cuda":
        return values.cpu
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    is_there: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
    # Of the stream of the pass: the current one may be another device's.
    is_there.record(torch.cuda.current_stream(values.device))

    def wait() -> Tensor:
        is_there.synchronize()
        return host

    return wait
