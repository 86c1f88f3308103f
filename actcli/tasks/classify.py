"""Classify: videos and labels in, one prediction or failure for each video out.

A model that isn't here is downloaded when the run is made. Nothing heavy happens before the first
result is asked for, and then in this order: the decode workers start, torch is imported beside
them, text and frames are embedded or found in the cache.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from actcli.cache import Cache, make_key, open_cache
from actcli.config import ClassifyConfig, with_options
from actcli.data.labels import LabelSet, order_pairs
from actcli.data.prompts import build_prompts, resolve_templates
from actcli.errors import ModelError, ResourceError, VideoError
from actcli.models.backbone import BackboneSpec
from actcli.tasks.models import hub_settings, pull_model
from actcli.types import Failure, FrameEmbeddings, Prediction, Run, Text, VideoRef

if TYPE_CHECKING:
    from actcli.methods.base import Method
    from actcli.models.hub_client import DownloadReport
    from actcli.video.loader import Loader

log = logging.getLogger("actcli.tasks.classify")

VideoPath = str | bytes | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a run found out about its machine; known once the model is on its device."""

    device: str
    precision: str
    batch_size: int
    workers: int


class Classification:
    """One run of `classify`: everything that decides its scores is settled when it is made.

    report: hears of the model's download, if there is one

    Raises ModelError for a model that can't be used, UsageError for labels that can't.
    """

    def __init__(
        self, labels: LabelSet, config: ClassifyConfig, report: DownloadReport | None = None
    ) -> None:
        self.labels = labels
        self.config = config
        self.spec: BackboneSpec = pull_model(
            config.model,
            hub_settings(offline=config.offline),
            report=report,
            licences=config.require_license,
        )
        self.prompts = build_prompts(labels, config.templates)
        self.conditions: Conditions | None = None
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._cache = open_cache(config.run.cache_dir, enabled=config.run.use_cache)
        self._digest = _model_digest(self.spec, self._cache)
        _warn_of_limits(labels, self.spec)

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides the scores, the videos apart."""
        parts = {
            "model": self._digest,
            "labels": list(self.labels),
            "prompts": self.prompts,
            "sampling": self.config.sampling.model_dump(),
            "precision": self.config.run.precision,
            "method": "clip",
        }
        return make_key(parts).hex()

    def run(self) -> Run:
        """The conditions of this run, as they stand now."""
        known = self.conditions
        notes: dict[str, Any] = {"model_licence": self.spec.licence}
        if self.spec.commit:
            notes["model_commit"] = self.spec.commit
        if known:
            notes |= {"batch_size": known.batch_size, "workers": known.workers}
        return Run(
            command="classify",
            config=self.config.model_dump(mode="json"),
            versions=_versions(),
            model=self.spec.name,
            model_digest=self._digest,
            fingerprint=self.fingerprint,
            labels=tuple(self.labels),
            prompts=self.prompts,
            device=known.device if known else self.config.run.device,
            precision=known.precision if known else self.config.run.precision,
            seed=self.config.run.seed,
            started=self._started,
            notes=notes,
        )

    def stream(self, refs: Iterable[VideoRef]) -> Iterator[Prediction | Failure]:
        """Yield one result for each ref, in order, as soon as it is known; call it once.

        With `on_error="stop"` the first failure is raised as VideoError.
        """
        with self._cache, self._start_loader() as loader:
            from actcli.engine import Engine, embed_text

            method, precision = self._build_method()
            run = self.config.run
            engine = Engine(
                method,
                loader,
                self._cache,
                sampling=self.config.sampling,
                limits=self.config.limits,
                precision=precision,
                batch_size=run.batch_size,
            )
            self.conditions = Conditions(
                str(method.backbone.device), precision, engine.batch_size, loader.workers
            )
            log.info(
                "model %s on %s in %s, batches of %d clips, %d decode workers",
                self.spec.name,
                method.backbone.device,
                precision,
                engine.batch_size,
                loader.workers,
            )
            embeddings = engine.embed(refs)
            text = embed_text(
                method, self._cache, tuple(self.labels), self.prompts, precision=precision
            )
            for result in embeddings:
                if isinstance(result, FrameEmbeddings):
                    yield self._predict(method, result, text)
                elif run.on_error == "stop":
                    error = result.error
                    message = f"{result.ref.id}: {error.message}"
                    raise VideoError(error.kind, message, hint=error.hint) from error
                else:
                    yield Failure(result.ref, result.error, method.name, self.spec.name)

    def _start_loader(self) -> Loader:
        from actcli.video.loader import Loader, auto_workers, window_size
        from actcli.video.worker import ClipReader

        config = self.config
        read = ClipReader(config.sampling, self.spec.preprocessing, config.limits)

        def start(workers: int) -> Loader:
            window = window_size(workers, config.run.batch_size or 16, read.clip_bytes)
            timeout_s = config.limits.timeout_s
            return Loader(read, workers=workers, timeout_s=timeout_s, window=window).start()

        if config.run.workers is not None:
            return start(config.run.workers)
        try:
            return start(auto_workers())
        except ResourceError as error:
            log.warning("%s: decoding in this process instead", error.message)
            return start(0)

    def _build_method(self) -> tuple[Method, str]:
        from actcli.models.device import (
            DTYPES,
            choose_device,
            choose_precision,
            use_exact_float32,
        )
        from actcli.registry import BACKBONES, METHODS, resolve

        device = choose_device(self.config.run.device)
        precision = choose_precision(self.config.run.precision, device)
        if device.type == "cuda" and precision == "fp32":
            use_exact_float32()
        backbone = resolve(BACKBONES, "open_clip")(
            self.spec, digest=self._digest, dtype=DTYPES[precision], device=device
        )
        method: Method = resolve(METHODS, "clip")(backbone)
        return method, precision

    def _predict(self, method: Method, video: FrameEmbeddings, text: Text) -> Prediction:
        from actcli.models.scores import average_views, rank, scores_from_logits

        kind = method.backbone.score_kind
        values = video.values.to(text.values.device)  # [V, T', D]
        scores = average_views(scores_from_logits(method.logits(values, text), kind)[None])
        similarity = method.similarity(values, text)  # [V, C]
        mean = None if similarity is None else similarity.mean(0)
        return Prediction(
            ref=video.ref,
            ranked=rank(scores[0], mean, text.labels, self.config.top),
            score_kind=kind,
            method=method.name,
            model=self.spec.name,
            start_s=video.start_s,
            end_s=video.end_s,
            frames_s=tuple(sorted({t for view in video.times_s for t in view})),
            cached=video.cached,
            warnings=video.warnings,
        )


def classify(
    videos: VideoPath | VideoRef | Iterable[VideoPath | VideoRef],
    labels: str | Iterable[str] | LabelSet,
    config: ClassifyConfig | None = None,
    **options: Any,
) -> list[Prediction | Failure]:
    """Classify videos against labels; a video that can't be read is a Failure in its place.

    videos: one or more files; results keep their order
    labels: names, or one text of names separated by commas
    options: fields of ClassifyConfig and of its `sampling`, `limits` and `run` parts, e.g.
        `model="demo"`, `templates="actionclip"`, `num_frames=16`, `device="cuda"`

    Raises UsageError for options or labels that contradict each other, ModelError, ResourceError.
    """
    if isinstance(videos, str | bytes | os.PathLike | VideoRef):
        videos = [videos]
    refs = [v if isinstance(v, VideoRef) else VideoRef(os.fsdecode(v)) for v in videos]
    return list(stream(refs, labels, config, **options))


def stream(
    refs: Iterable[VideoRef],
    labels: str | Iterable[str] | LabelSet,
    config: ClassifyConfig | None = None,
    **options: Any,
) -> Iterator[Prediction | Failure]:
    """As `classify`, for any number of videos: yields each result as soon as it is known."""
    if isinstance(templates := options.get("templates"), str):
        options["templates"] = (templates,)
    if "templates" in options:
        options["templates"] = resolve_templates(options["templates"])
    if not isinstance(labels, LabelSet):
        labels = LabelSet.from_names(labels)
    settings = with_options(config or ClassifyConfig(), options)
    return Classification(labels, settings).stream(refs)


def _model_digest(spec: BackboneSpec, cache: Cache) -> str:
    try:
        return spec.digest(cache.file_digest(str(spec.weights_path)).hex())
    except OSError as error:
        raise ModelError(f"--model {spec.name}: the weights can't be read ({error})") from error


def _warn_of_limits(labels: LabelSet, spec: BackboneSpec) -> None:
    """Say once what this model can't do with these labels."""
    if pairs := order_pairs(tuple(labels)):
        first = " / ".join(pairs[0])
        more = f" and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
        log.warning(
            "%s%s differ only in the order of time, which zero-shot averaging of frames can't see",
            first,
            more,
        )
    if spec.name != "demo":
        return
    from actcli.demo import known_words

    log.warning("the demo model knows drawn figures only: its labels for real footage mean nothing")
    known = known_words()
    read = zip(labels.names, labels.words, labels.prompts, strict=True)
    unknown = [
        name for name, words, own in read if not own and not set(words.lower().split()) <= known
    ]
    if unknown:
        log.warning(
            "the demo model never saw the words of %s: it is confidently wrong about them",
            ", ".join(repr(label) for label in unknown[:5]),
        )


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    packages = ("actcli", "torch", "open_clip_torch", "av", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
