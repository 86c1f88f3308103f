"""What an engine is made of, where it is made in another process or on another machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from actcli.config import LimitsConfig, SamplingConfig
from actcli.video.worker import ClipReader

if TYPE_CHECKING:
    from actcli.methods.base import Method


class BuiltMethod(Protocol):
    """A method on its device."""

    @property
    def method(self) -> Method:
        """The method."""

    @property
    def precision(self) -> str:
        """What it computes in."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What one process needs to be an engine; picklable."""

    build: Callable[[], BuiltMethod]
    reader: ClipReader
    cache_folder: Path | None
    workers: int
    threads: int
    """Of the forward pass on a CPU."""
    batch_size: int | None

    @property
    def sampling(self) -> SamplingConfig:
        """How videos are sampled."""
        return self.reader.sampling

    @property
    def limits(self) -> LimitsConfig:
        """What a video may cost."""
        return self.reader.limits
