"""Several processes as one: the environment of torchrun, gradients averaged, values gathered.

Everything that knows ranks is here. With one process all of it does nothing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
import torch.distributed.nn
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from actcli.errors import ResourceError, UsageError


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes and shows."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is one process only."""
        return self.count == 1

    def share(self, wanted: int, available: int) -> int:
        """The size of a batch: as wanted, not more than there is, in equal parts.

        Raises UsageError for a size that the processes can't share.
        """
        if wanted % self.count:
            raise UsageError(
                f"--batch-size {wanted}: {self.count} processes can't share it equally",
                hint=f"--batch-size {-(-wanted // self.count) * self.count}",
            )
        most = available // self.count * self.count
        if not most:
            raise UsageError(f"{available} clips are too few for {self.count} processes")
        return min(wanted, most)

    def wrap(self, method: nn.Module, device: torch.device) -> nn.Module:
        """The module whose backward pass averages gradients over the processes."""
        if self.is_alone:
            return method
        places = [device.index or 0] if device.type == "cuda" else None
        # A switch of a method can leave some of its parameters without a gradient.
        return DistributedDataParallel(method, device_ids=places, find_unused_parameters=True)

    def unsynchronised(self, wrapped: nn.Module) -> AbstractContextManager[Any]:
        """Backward passes whose gradients only add up here, for all but the last of a step."""
        if isinstance(wrapped, DistributedDataParallel):
            context: AbstractContextManager[Any] = wrapped.no_sync()
            return context
        return nullcontext()

    def gather(self, values: Tensor) -> Tensor:
        """The same values of all processes in the order of ranks, [N, ...] -> [N * count, ...].

        Gradients flow back to every process: each computes the same loss of all of them, and the
        average over processes is the gradient of that loss.
        """
        if self.is_alone:
            return values
        with warnings.catch_warnings():
            # Deprecated for functional collectives, whose gradients are not public yet.
            warnings.simplefilter("ignore", FutureWarning)
            every: Any = torch.distributed.nn.all_gather(values.contiguous())  # type: ignore[no-untyped-call]
        return torch.cat(list(every))

    def mean(self, value: float) -> float:
        """The mean of a number over the processes."""
        if self.is_alone:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=_device())
        torch.distributed.all_reduce(total)
        return float(total) / self.count

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if not self.is_alone:
            torch.distributed.barrier()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """What the main process does here is done when the others begin it."""
        if not self.is_main:
            self.barrier()
        try:
            yield
        finally:
            if self.is_main:
                self.barrier()


@contextmanager
def start_ranks(device_type: str, environ: Mapping[str, str] | None = None) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it did.

    Raises ResourceError if they can't meet.
    """
    env = os.environ if environ is None else environ
    count = int(env.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
        return
    backend = "nccl" if device_type == "cuda" else "gloo"
    try:
        torch.distributed.init_process_group(backend)
    except (RuntimeError, ValueError) as error:
        raise ResourceError(
            f"torchrun: the {count} processes can't meet ({error})",
            hint="torchrun --standalone --nproc-per-node 2 -m actcli finetune …",
        ) from error
    try:
        yield Ranks(int(env["RANK"]), count, int(env.get("LOCAL_RANK", "0")))
    finally:
        torch.distributed.destroy_process_group()


def own_device(name: str, environ: Mapping[str, str] | None = None) -> str:
    """The device of this process: of several on one machine each takes its own GPU."""
    env = os.environ if environ is None else environ
    if int(env.get("WORLD_SIZE", "1")) == 1 or name not in ("auto", "cuda"):
        return name
    has_gpu = torch.cuda.is_available()
    return f"cuda:{env.get('LOCAL_RANK', '0')}" if has_gpu else "cpu"


def _device() -> torch.device:
    is_nccl = torch.distributed.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if is_nccl else torch.device("cpu")
