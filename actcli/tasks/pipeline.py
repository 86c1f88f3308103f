"""What every task runs on: the model that `--model` means, and videos to embeddings with it.

A model that isn't here is downloaded when the pipeline is made. Nothing heavy happens before it is
started, and then in this order: the decode workers start, torch is imported beside them, the method
is built; its towers not before something must be embedded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from actcli.cache import Cache, open_cache
from actcli.checkpoint import check_backbone, find_checkpoint, missing_backbone, read_info
from actcli.checkpoint_info import CheckpointInfo
from actcli.config import TaskConfig, WindowConfig
from actcli.errors import ModelError, VideoError
from actcli.models.backbone import BackboneSpec
from actcli.tasks.backends import open_engine
from actcli.tasks.building import ModelPlan
from actcli.tasks.models import hub_settings, pull_model
from actcli.tasks.settings import (
    backbone_name,
    check_crops,
    model_digest,
    settled,
    versions,
)
from actcli.types import Failure, FrameEmbeddings, Run, Text, VideoRef

if TYPE_CHECKING:
    from torch import Tensor

    from actcli.methods.base import Method
    from actcli.models.hub_client import DownloadReport
    from actcli.video.loader import Loader
    from actcli.video.training_clips import TrainingReader
    from actcli.video.worker import ClipReader

log = logging.getLogger("actcli.tasks.pipeline")

C = TypeVar("C", bound=TaskConfig)
Prompts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a run found out about its machine; known once the model is on its device."""

    device: str
    precision: str
    batch_size: int
    workers: int


class Embedder(Protocol):
    """What embeds videos: an engine here, or many elsewhere."""

    @property
    def batch_size(self) -> int:
        """Clips a forward pass."""

    def embed(self, refs: Iterable[VideoRef]) -> Iterator[FrameEmbeddings | Failure]:
        """One result for each ref, in order; work begins now."""

    def embed_windows(
        self, refs: Iterable[VideoRef], windows: WindowConfig
    ) -> Iterator[FrameEmbeddings | Failure]:
        """One result for each window, in order, and a failure where a video has no more."""


@dataclass(frozen=True, slots=True)
class Started:
    """A pipeline that runs."""

    method: Method
    engine: Embedder
    cache: Cache
    precision: str
    tensors: dict[str, Tensor]
    """of the checkpoint, by their names in it; none where the model is no checkpoint"""

    def embed_text(self, labels: Iterable[str], prompts: Prompts) -> Text:
        """Prompts [C][P] through the text tower, or out of the cache."""
        from actcli.engine import embed_text

        return embed_text(self.method, self.cache, tuple(labels), prompts, precision=self.precision)


class Pipeline(Generic[C]):
    """The model of a run and its settings, those of a checkpoint where the user set none.

    exact:   fp32 where `--precision` is auto, whatever the device
    report:  hears of the model's download, if there is one
    options: of the method's config, over its defaults or over what a checkpoint has
    method:  of a model that is no checkpoint

    Raises ModelError for a model that can't be used.
    """

    def __init__(
        self,
        config: C,
        *,
        exact: bool = False,
        report: DownloadReport | None = None,
        method: str = "clip",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._exact, self._method, self._options = exact, method, dict(options or {})
        self.path: Path | None = find_checkpoint(config.model)
        self.info: CheckpointInfo | None = read_info(self.path) if self.path else None
        self.config: C = settled(config, self.info)
        spec = self._pull(config, report)
        self.spec: BackboneSpec = spec
        if self.info is not None:
            self.spec = replace(spec, preprocessing=self.info.transform)
        check_crops(self.config, self.spec)
        self.cache = open_cache(config.run.cache_dir, enabled=config.run.use_cache)
        self.digest = model_digest(spec, self.cache)
        if self.info is not None and self.path is not None:
            check_backbone(self.path, self.info, spec, self.digest)
        self.conditions: Conditions | None = None
        self._started = datetime.now(UTC).isoformat(timespec="seconds")

    def with_one_view(self) -> Pipeline[C]:
        """The same with one view of each video."""
        sampling = self.config.sampling.model_copy(update={"num_views": 1})
        config = self.config.model_copy(update={"sampling": sampling})
        return Pipeline(config, exact=self._exact, method=self._method, options=self._options)

    def _pull(self, config: C, report: DownloadReport | None) -> BackboneSpec:
        try:
            return pull_model(
                backbone_name(config, self.info),
                hub_settings(offline=config.offline),
                report=report,
                licences=config.require_license,
            )
        except ModelError as error:
            if self.path is None or self.info is None or config.backbone is not None:
                raise
            raise missing_backbone(self.path, self.info, error) from error

    @property
    def model_name(self) -> str:
        """As records show it: what the user typed for a checkpoint, else the backbone's name."""
        return self.spec.name if self.path is None else self.config.model

    @property
    def method_name(self) -> str:
        """The method of the checkpoint, or the one that was asked for."""
        return self._method if self.info is None else self.info.method

    def identity(self) -> dict[str, Any]:
        """All of the model and its settings that decides scores, for fingerprints."""
        return {
            "model": self.digest,
            "checkpoint": None if self.info is None else self.info.content or self.info.digest,
            "sampling": self.config.sampling.model_dump(),
            "precision": self.config.run.precision,
            "method": self.method_name,
            "options": self._options,
        }

    @contextmanager
    def start(
        self, refs: Iterable[VideoRef] = (), windows: WindowConfig | None = None
    ) -> Iterator[Started]:
        """Start the workers, then build the method on its device; leaving kills the workers.

        refs: the videos, where they are known; workers wait until one must be decoded if the first
            of them was seen before, so that a run from the cache starts none
        windows: read videos in windows
        """
        with self.cache, open_engine(self, refs, windows) as (built, engine, workers):
            device = str(built.method.backbone.device)
            self.conditions = Conditions(device, built.precision, engine.batch_size, workers)
            log.info(
                "model %s on %s in %s, batches of %d clips, %d decode workers",
                self.model_name, device, built.precision, engine.batch_size, workers,
            )  # fmt: skip
            yield Started(built.method, engine, self.cache, built.precision, built.tensors)

    @property
    def plan(self) -> ModelPlan:
        """What builds the model, here or elsewhere."""
        return ModelPlan(
            self.path, self.info, self.spec, self.digest, self.config.run, self._exact,
            self._method, self._options,
        )  # fmt: skip

    def clip_reader(self) -> ClipReader:
        """How this run samples videos."""
        from actcli.video.worker import ClipReader

        return ClipReader(self.config.sampling, self.spec.preprocessing, self.config.limits)

    def failure(self, result: Failure) -> Failure:
        """A failure with its method and model; with `on_error="stop"` it is raised."""
        if self.config.run.on_error == "stop":
            error = result.error
            raise VideoError(
                error.kind, f"{result.ref.id}: {error.message}", hint=error.hint
            ) from error
        return Failure(result.ref, result.error, self.method_name, self.model_name)

    def run_record(
        self, command: str, fingerprint: str, labels: Iterable[str], prompts: Prompts
    ) -> Run:
        """The conditions of this run, as they stand now."""
        known, config = self.conditions, self.config
        notes: dict[str, Any] = {"model_licence": self.spec.licence}
        if self.spec.commit:
            notes["model_commit"] = self.spec.commit
        if self.info is not None:
            notes |= {"backbone": self.spec.name, "checkpoint_digest": self.info.digest}
        if known:
            notes |= {"batch_size": known.batch_size, "workers": known.workers}
        return Run(
            command=command,
            config=config.model_dump(mode="json"),
            versions=versions(),
            model=self.model_name,
            model_digest=self.digest,
            fingerprint=fingerprint,
            labels=tuple(labels),
            prompts=prompts,
            device=known.device if known else config.run.device,
            precision=known.precision if known else config.run.precision,
            seed=config.run.seed,
            started=self._started,
            notes=notes,
        )

    def start_loader(
        self,
        reader: TrainingReader | None = None,
        *,
        windows: WindowConfig | None = None,
        is_eager: bool = True,
        num_films: int | None = None,
    ) -> Loader:
        """Decode workers that read clips or windows as this run samples them, or as given."""
        from actcli.video.loader import start_loader
        from actcli.video.worker import WindowReader

        config, clips = self.config, self.clip_reader()
        read = reader or (clips if windows is None else WindowReader(clips, windows))
        return start_loader(
            read,
            config.run.workers,
            config.limits,
            batch_size=config.run.batch_size or 16,
            clip_bytes=read.clip_bytes,
            is_eager=is_eager,
            # Cuts between shots are found by decoding the whole, which nobody should do twice.
            num_films=None if windows is None or windows.shots else num_films,
        )
