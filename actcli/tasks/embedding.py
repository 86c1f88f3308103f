"""Labelled videos to one tensor of embeddings: what methods on frozen towers are trained from."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from actcli.errors import InputError, shorten_list
from actcli.tasks.pipeline import Pipeline, Started
from actcli.train.events import Embedding
from actcli.types import Failure, VideoRef


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedVideos:
    """The videos that could be embedded, and those that couldn't."""

    refs: tuple[VideoRef, ...]
    values: Tensor
    """[N, V, T', D], un-normalised, on the CPU"""
    failures: tuple[Failure, ...]

    def targets(self, labels: Sequence[str]) -> Tensor:
        """The class of each video, int64 [N]."""
        place = {label: c for c, label in enumerate(labels)}
        return torch.tensor([place[ref.label or ""] for ref in self.refs])


def embed_all(
    what: str, pipeline: Pipeline[Any], started: Started, refs: Sequence[VideoRef]
) -> Generator[Embedding, None, EmbeddedVideos]:
    """Embed videos into one tensor, telling of each; what can't be read is left out.

    Memory is taken once, when the first video shows how much each needs.

    Raises InputError if none could be embedded.
    """
    kept: list[VideoRef] = []
    failures: list[Failure] = []
    values = torch.empty(0)
    for number, result in enumerate(started.engine.embed(refs), start=1):
        if isinstance(result, Failure):
            failures.append(pipeline.failure(result))
        else:
            if not kept:
                values = result.values.new_empty(len(refs), *result.values.shape)
            values[len(kept)] = result.values
            kept.append(result.ref)
        yield Embedding(what, number, len(refs), len(failures))
    return as_videos(what, kept, values[: len(kept)], failures)


def as_videos(
    what: str, kept: Sequence[VideoRef], values: Tensor, failures: Sequence[Failure]
) -> EmbeddedVideos:
    """The videos that were read, and those that weren't.

    Raises InputError if none was.
    """
    if not kept:
        named = shorten_list(failure.ref.id for failure in failures)
        raise InputError(f"{what}: no video could be read ({named})")
    return EmbeddedVideos(tuple(kept), values, tuple(failures))
