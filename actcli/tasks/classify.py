"""Classify: videos and labels in, one prediction or failure for each video out.

Where the model is a file of few-shot classes, it brings the labels, and examples to compare with.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from actcli.cache import make_key
from actcli.checkpoint import find_checkpoint
from actcli.checkpoint_info import CheckpointInfo
from actcli.config import ClassifyConfig, with_options
from actcli.data.labels import LabelSet, order_pairs
from actcli.data.prompts import build_prompts, resolve_templates
from actcli.errors import ModelError, UsageError, shorten_list
from actcli.models.backbone import BackboneSpec
from actcli.tasks.deciding import Decisions
from actcli.tasks.examples import KnownExamples
from actcli.tasks.pipeline import Pipeline, Prompts, Started
from actcli.tasks.scoring import Scorer, by_examples, by_words, predict
from actcli.types import Failure, Prediction, Run, VideoRef

if TYPE_CHECKING:
    from actcli.models.hub_client import DownloadReport
    from actcli.types import FrameEmbeddings

log = logging.getLogger("actcli.tasks.classify")

VideoPath = str | bytes | os.PathLike[str]


class Classification:
    """One run of `classify`: everything that decides its scores is settled when it is made.

    labels: None where the model is a checkpoint that brings its own
    report: hears of the model's download, if there is one

    Raises ModelError for a model that can't be used, UsageError for labels that can't.
    """

    def __init__(
        self,
        labels: LabelSet | None,
        config: ClassifyConfig,
        report: DownloadReport | None = None,
    ) -> None:
        if labels is None and find_checkpoint(config.model) is None:
            raise _no_labels()  # before a download
        self._pipeline = Pipeline(config, report=report, options=config.options)
        self._info = self._pipeline.info
        self._is_told = False
        if self._info is not None and self._info.method == "clip-fsar":
            _refuse_without_supports(config.model, self._info)
        self.config = self._pipeline.config
        self.labels, self.prompts = self._settle_labels(labels)
        self.decisions = Decisions(
            self._pipeline, self.labels, self.prompts, is_few_shot=self.is_few_shot
        )
        if self._info is None:
            warn_of_limits(self.labels, self._pipeline.spec)
        else:
            warn_of_figures(self._pipeline.spec)

    @property
    def pipeline(self) -> Pipeline[ClassifyConfig]:
        """The model of the run and its settings."""
        return self._pipeline

    @property
    def is_few_shot(self) -> bool:
        """Whether the model is a file of few-shot classes."""
        return self._info is not None and self._info.is_few_shot

    @property
    def model_name(self) -> str:
        """The model, as records show it."""
        return self._pipeline.model_name

    def _settle_labels(self, labels: LabelSet | None) -> tuple[LabelSet, Prompts]:
        info = self._info
        if info is not None and labels is None and info.labels:
            return LabelSet(info.labels, info.prompts, source=self.config.model), info.prompts
        if labels is None:
            raise _no_labels()
        if info is not None and self.is_few_shot:
            return _known_classes(labels, info, self.config.model)
        return labels, build_prompts(labels, self.config.templates)

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides the scores, the videos apart."""
        words: dict[str, Any] = {"labels": list(self.labels), "prompts": self.prompts}
        cut = self.config.windows
        if cut.window_s is not None:
            words["windows"] = cut.model_dump()
        return make_key(self._pipeline.identity() | words | self.decisions.words()).hex()

    def run(self) -> Run:
        """The conditions of this run, as they stand now."""
        return self._pipeline.run_record("classify", self.fingerprint, self.labels, self.prompts)

    def stream(self, refs: Iterable[VideoRef]) -> Iterator[Prediction | Failure]:
        """Yield one result for each ref, in order, as soon as it is known; call it once.

        With `on_error="stop"` the first failure is raised as VideoError.
        """
        cut = self.config.windows if self.config.windows.window_s else None
        with self._pipeline.start(refs, cut) as started:
            if cut is None:
                embedded = started.engine.embed(refs)
            else:
                embedded = started.engine.embed_windows(refs, cut)
            clips = None if self._info is None else self._info.support
            examples = KnownExamples(clips or (), self._pipeline.cache)
            for result in self._scored(embedded, started):
                if isinstance(result, Failure):
                    yield self._pipeline.failure(result)
                else:
                    yield examples.say(result)

    def _scored(
        self, embedded: Iterator[FrameEmbeddings | Failure], started: Started
    ) -> Iterator[Prediction | Failure]:
        """What becomes of videos, windows, or of the segments that these make."""
        scorer, config = self._scorer(started), self.config
        name = started.method.name
        about: dict[str, Any] = {"method": name, "model": self.model_name, "top": config.top}
        if config.windows.segments:
            if config.explain:
                log.warning("--explain: segments tell no similarity of frames, windows do")
            from actcli.tasks.segments import SegmentStream

            yield from SegmentStream(config.windows, scorer, **about).of(embedded)
            return
        for video in embedded:
            if isinstance(video, Failure):
                yield video
                continue
            found = predict(video, scorer, **about, explain=config.explain)
            if config.explain and found.ranked[0].frame_similarity is None and not self._is_told:
                self._is_told = True
                log.warning("--explain: %s has no similarity of single frames", name)
            yield found

    def _scorer(self, started: Started) -> Scorer:
        return self.decisions.applied(self.plain_scorer(started), started)

    def plain_scorer(self, started: Started) -> Scorer:
        """What scores videos before anything is decided."""
        method = started.method
        if not self.is_few_shot or self._info is None:
            return by_words(method, started.embed_text(self.labels, self.prompts))
        from actcli.tasks.supports import read_supports

        supports = read_supports(self._info, started.tensors)
        if tuple(self.labels) != supports.labels:
            supports = supports.only(tuple(self.labels))
        self.decisions.learn(method, supports)
        return by_examples(method, supports.prototypes(method))


def classify(
    videos: VideoPath | VideoRef | Iterable[VideoPath | VideoRef],
    labels: str | Iterable[str] | LabelSet | None = None,
    config: ClassifyConfig | None = None,
    **options: Any,
) -> list[Prediction | Failure]:
    """Classify videos against labels; a video that can't be read is a Failure in its place.

    videos: one or more files; results keep their order
    labels: names, or one text of names separated by commas; None where the model is a checkpoint
        that brings its own
    options: fields of ClassifyConfig and of its `sampling`, `limits` and `run` parts, e.g.
        `model="demo"`, `templates="actionclip"`, `num_frames=16`, `device="cuda"`

    Raises UsageError for options or labels that contradict each other, ModelError, ResourceError.
    """
    return list(stream(as_refs(videos), labels, config, **options))


def as_refs(videos: VideoPath | VideoRef | Iterable[VideoPath | VideoRef]) -> list[VideoRef]:
    """One or more videos, as Python programs name them."""
    if isinstance(videos, str | bytes | os.PathLike | VideoRef):
        videos = [videos]
    return [v if isinstance(v, VideoRef) else VideoRef(os.fsdecode(v)) for v in videos]


def stream(
    refs: Iterable[VideoRef],
    labels: str | Iterable[str] | LabelSet | None = None,
    config: ClassifyConfig | None = None,
    **options: Any,
) -> Iterator[Prediction | Failure]:
    """As `classify`, for any number of videos: yields each result as soon as it is known."""
    options = with_templates(options)
    if labels is not None and not isinstance(labels, LabelSet):
        labels = LabelSet.from_names(labels)
    settings = with_options(config or ClassifyConfig(), options)
    return Classification(labels, settings).stream(refs)


def with_templates(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a Python program with `templates` as the config wants them."""
    templates = options.get("templates")
    if templates is None:
        return dict(options)
    given = (templates,) if isinstance(templates, str) else templates
    return {**options, "templates": resolve_templates(given)}


def _no_labels() -> UsageError:
    return UsageError(
        "no labels to score against",
        hint='--labels "run,jump,sit down", or --labels-file FILE, or --labels-file kinetics400',
    )


def _refuse_without_supports(model: str, info: CheckpointInfo) -> None:
    if not info.is_few_shot:
        raise ModelError(
            f"{model}: a head of {info.method}, which needs examples to compare with",
            hint=f"actcli fewshot --support DIR --model {model}",
        )


def _known_classes(labels: LabelSet, info: CheckpointInfo, model: str) -> tuple[LabelSet, Prompts]:
    """The classes of a few-shot file that `--labels` names, as the file spells them.

    Raises UsageError for one that the file doesn't have.
    """
    known = LabelSet(info.labels, source=model)
    unknown = [name for name in labels if known.find(name) is None]
    if unknown:
        raise UsageError(
            f"--labels: {shorten_list(unknown)} not among the {len(known)} classes of {model}",
            hint=f"it has {shorten_list(known.names)}; add others with fewshot --update",
        )
    places = [known.index(name) for name in labels]
    prompts = tuple(info.prompts[c] for c in places)
    return LabelSet(tuple(known[c] for c in places), prompts, source=model), prompts


def warn_of_limits(labels: LabelSet, spec: BackboneSpec) -> None:
    """Say once what this model can't do with these labels."""
    if pairs := order_pairs(tuple(labels)):
        first = " / ".join(pairs[0])
        more = f" and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
        log.warning(
            "%s%s differ only in the order of time, which zero-shot averaging of frames can't see",
            first,
            more,
        )
    if warn_of_figures(spec):
        _warn_of_unknown_words(labels)


def warn_of_figures(spec: BackboneSpec) -> bool:
    """Say once what the demo model is; returns whether the model is that one."""
    if spec.name == "demo":
        log.warning(
            "the demo model knows drawn figures only: its labels for real footage mean nothing"
        )
    return spec.name == "demo"


def _warn_of_unknown_words(labels: LabelSet) -> None:
    from actcli.demo import known_words

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
