"""Embed: videos in, rows of embeddings out, for a table that `classify` reads instead of videos."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from actcli.cache import Cache
from actcli.config import ClassifyConfig
from actcli.errors import ModelError, UsageError
from actcli.models.backbone import BackboneSpec
from actcli.tables.info import Shape, TableInfo
from actcli.tables.reading import differing
from actcli.tables.rows import Row
from actcli.tasks.classify import warn_of_figures
from actcli.tasks.pipeline import Pipeline, Started
from actcli.tasks.settings import versions
from actcli.types import Failure, FrameEmbeddings, VideoRef

if TYPE_CHECKING:
    from torch import Tensor

    from actcli.models.hub_client import DownloadReport


class EmbedConfig(ClassifyConfig):
    """Everything `embed` needs besides the videos."""

    pool: bool = False
    """One vector of length 1 a video, the mean over frames and views, instead of one a frame."""
    dtype: Literal["float32", "float16"] = "float32"
    """What values are stored as."""


class Embedding:
    """One run of `embed`: everything that decides its values is settled when it is made.

    report: hears of the model's download, if there is one

    Raises ModelError for a model that can't be used, UsageError for `pool` with a method that
    compares frames.
    """

    def __init__(self, config: EmbedConfig, report: DownloadReport | None = None) -> None:
        self._pipeline = Pipeline(config, report=report, options=config.options)
        self.config = self._pipeline.config
        method = self._pipeline.method_name
        if config.pool and method != "clip":
            raise UsageError(
                f"--pool: {config.model} is of the method {method}, which compares frames",
                hint="leave --pool out",
            )
        warn_of_figures(self._pipeline.spec)

    @property
    def model_name(self) -> str:
        """The model, as records show it."""
        return self._pipeline.model_name

    def check_continues(self, earlier: TableInfo, name: str) -> None:
        """Raise UsageError if a table was made otherwise, as far as this can be told by now."""
        asked = self.config.run.precision
        precision = earlier.precision if asked == "auto" else asked
        check_same(earlier, conditions(self._pipeline, earlier.embed_key, precision), name)

    @contextmanager
    def start(self, refs: Iterable[VideoRef]) -> Iterator[RunningEmbedding]:
        """Start the workers and build the model; leaving stops them.

        refs: the videos, where they are known
        """
        cut = self.config.windows if self.config.windows.window_s else None
        with self._pipeline.start(refs, cut) as started:
            yield RunningEmbedding(self._pipeline, started)


def conditions(pipeline: Pipeline[EmbedConfig], embed_key: str, precision: str) -> TableInfo:
    """What is told of a table that a run makes, its shape apart.

    embed_key, precision: as they are known once the model is there
    """
    config = pipeline.config
    cut = config.windows.model_dump(include={"window_s", "window_stride_s", "shots"})
    return TableInfo(
        model=pipeline.model_name,
        model_digest=pipeline.digest,
        method=pipeline.method_name,
        embed_key=embed_key,
        precision=precision,
        sampling=config.sampling.model_dump(),
        transform=transform_of(pipeline.spec),
        windows=cut if config.windows.window_s else None,
        is_pooled=config.pool,
        dtype=config.dtype,
        versions=versions(),
    )


class RunningEmbedding:
    """A run whose model is there.

    info: the conditions of its table, whose shape is not known yet
    """

    def __init__(self, pipeline: Pipeline[EmbedConfig], started: Started) -> None:
        self._pipeline, self._started = pipeline, started
        self._contents = _Contents(pipeline.cache)
        self.info = conditions(pipeline, started.method.cache_key(), started.precision)

    def rows(self, refs: Iterable[VideoRef]) -> Iterator[Row | Failure]:
        """One result for each ref or window, in order, as soon as it is known; call it once.

        With `on_error="stop"` the first failure is raised as VideoError.

        Raises ModelError for embeddings that are not numbers.
        """
        config, engine = self._pipeline.config, self._started.engine
        if config.windows.window_s is None:
            found = engine.embed(refs)
        else:
            found = engine.embed_windows(refs, config.windows)
        for result in found:
            if isinstance(result, Failure):
                yield self._pipeline.failure(result)
            else:
                yield self._row(result)

    def find_shape(self) -> Shape:
        """[V, T', D] of rows, by a pass with black frames: for tables that hold failures alone."""
        import torch

        method, sampling = self._started.method, self._pipeline.config.sampling
        side = self._pipeline.spec.preprocessing.size_px
        black = torch.zeros(1, sampling.num_frames, 3, side, side, dtype=torch.uint8)
        with torch.inference_mode():
            _, frames, dim = method.embed(black.to(method.backbone.device)).shape
        if self.info.is_pooled:
            return 1, 1, dim
        return sampling.num_views * sampling.num_crops, frames, dim

    def _row(self, video: FrameEmbeddings) -> Row:
        import torch

        values = pooled_video(video.values) if self.info.is_pooled else video.values
        stored = values.to(getattr(torch, self.info.dtype))
        if not bool(torch.isfinite(stored).all()):
            raise ModelError(
                f"{video.ref.id}: the model computed embeddings that are not numbers, or too large",
                hint="--precision fp32 --dtype float32",
            )
        return Row(
            video.ref, stored.numpy(), tuple(t for view in video.times_s for t in view),
            video.start_s, video.end_s, video.warnings, video.part,
            self._contents.of(video.ref.path),
        )  # fmt: skip


def pooled_video(values: Tensor) -> Tensor:
    """The direction that all frames of a video share: [V, T', D] -> [1, 1, D], of length 1."""
    from actcli.models.scores import pooled

    return pooled(pooled(values)[None])[None]


def transform_of(spec: BackboneSpec) -> Mapping[str, Any]:
    """How frames are made ready, as JSON has it."""
    parts = asdict(spec.preprocessing)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in parts.items()}


def check_same(earlier: TableInfo, now: TableInfo, name: str) -> None:
    """Raise UsageError if the rows of a table were made otherwise than those of this run."""
    if earlier.fingerprint != now.fingerprint:
        raise UsageError(
            f"--skip-done: {name} was made otherwise: {differing(earlier, now)}",
            hint="choose another -o FOLDER/",
        )


class _Contents:
    """Digests of files, where the cache knows them and they are as old as the run at least."""

    def __init__(self, cache: Cache) -> None:
        self._cache, self._begun_ns = cache, time.time_ns()
        self._last: tuple[str, str | None] = ("", None)

    def of(self, path: str) -> str | None:
        """The hex sha256 of a file that did not change since the run began."""
        if self._last[0] != path:
            self._last = path, self._digest(path)
        return self._last[1]

    def _digest(self, path: str) -> str | None:
        if not self._cache.keeps:
            return None
        try:
            if os.stat(path).st_mtime_ns >= self._begun_ns:
                return None
            return self._cache.file_digest(path).hex()
        except (OSError, ValueError):
            return None
