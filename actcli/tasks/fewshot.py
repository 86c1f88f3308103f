"""Few-shot: example clips in, classes of them out, and videos named by those classes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actcli.cache import make_key
from actcli.checkpoint_info import CheckpointInfo, SupportClip
from actcli.config import FewShotConfig, with_options
from actcli.data.labels import LabelSet, order_pairs
from actcli.data.prompts import build_prompts
from actcli.errors import InputError, ModelError, UsageError, shorten_list
from actcli.tasks.classify import VideoPath, as_refs, warn_of_figures, with_templates
from actcli.tasks.examples import (
    Change,
    KnownExamples,
    changes,
    check_update,
    choice,
    clip_of,
    read_support,
    spelled_as,
    with_prompts,
    without,
)
from actcli.tasks.pipeline import Pipeline, Prompts, Started
from actcli.tasks.scoring import by_examples, predict
from actcli.types import Failure, FrameEmbeddings, Prediction, Run, VideoRef

if TYPE_CHECKING:
    from actcli.eval.report import SupportReport
    from actcli.models.hub_client import DownloadReport
    from actcli.tasks.supports import SupportSet

log = logging.getLogger("actcli.tasks.fewshot")


class FewShot:
    """One run of `fewshot`.

    support: examples with their labels; may be empty where a file is updated
    names:   labels with prompts of their own, for the words of some classes
    report:  hears of the model's download, if there is one

    Raises ModelError for a model that can't be used, UsageError for examples that make no choice.
    """

    def __init__(
        self,
        support: Sequence[VideoRef],
        config: FewShotConfig,
        change: Change | None = None,
        *,
        names: LabelSet | None = None,
        report: DownloadReport | None = None,
    ) -> None:
        self.change = change or Change()
        self.change.check_save()
        if config.windows.window_s is not None:
            raise UsageError(
                "--window: is for classify",
                hint="save the classes (fewshot --save FILE), then classify --model FILE --window",
            )
        self._pipeline = Pipeline(
            config, exact=True, report=report, options=config.method_options()
        )
        self.config, self._info = self._pipeline.config, self._pipeline.info
        self._check_model()
        base = self._base
        known = () if base is None else base.labels
        self._support = spelled_as(known, support)
        self._already: tuple[str, ...] = ()
        self._used: dict[str, Any] = {}
        if base is not None:
            check_update(self.config.model, base, self.config.sampling, self.change, names)
            if self.change.append and not base.compact:
                self._leave_out_known(base)
        seen = tuple(dict.fromkeys(ref.label or "" for ref in self._support))
        self._new = with_prompts(seen, names) if seen else None
        kept = without(known, self.change.drop)
        self.labels = choice((*kept, *(label for label in seen if label not in kept)))
        self._warn_of_limits()

    @property
    def _base(self) -> CheckpointInfo | None:
        """The file that is updated."""
        return self._info if self.change.update else None

    def _leave_out_known(self, base: CheckpointInfo) -> None:
        """An example that is appended twice would count twice."""
        kept = without(base.labels, self.change.drop)
        clips = [clip for clip in base.support or () if clip.label in kept]
        saved = KnownExamples(clips, self._pipeline.cache)
        known = [saved.has(ref) for ref in self._support]
        pairs = list(zip(self._support, known, strict=True))
        self._already = tuple(ref.id for ref, is_known in pairs if is_known)
        self._support = [ref for ref, is_known in pairs if not is_known]

    def _check_model(self) -> None:
        model, info = self.config.model, self._info
        is_file = info is not None and info.is_few_shot
        if self.change.update and not is_file:
            raise ModelError(f"--update {model}: is no few-shot file")
        if is_file and not self.change.update:
            raise UsageError(
                f"--model {model}: has examples of its own",
                hint=f"actcli classify VIDEO --model {model}; to change its classes: "
                f"actcli fewshot --update {model} --support DIR --save FILE",
            )
        if self._pipeline.method_name == "clip-fsar" and self.config.matcher not in (None, "otam"):
            raise UsageError(
                f"--matcher: {model} is a clip-fsar head, trained for otam "
                f"(got {self.config.matcher})"
            )

    def _warn_of_limits(self) -> None:
        warn_of_figures(self._pipeline.spec)
        pairs = order_pairs(self.labels)
        if pairs and self.config.matcher in ("mean", "bimhm"):
            log.warning(
                "%s differ only in the order of time, which --matcher %s can't see",
                " / ".join(pairs[0]),
                self.config.matcher,
            )

    @property
    def model_name(self) -> str:
        """The model, as records show it."""
        return self._pipeline.model_name

    @property
    def prompts(self) -> Prompts:
        """Of the new classes; those of a file are in the file."""
        return () if self._new is None else build_prompts(self._new, self.config.templates)

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides the scores, the queries apart."""
        clips = [self._clip(ref).model_dump() for ref in self._support]
        parts = {"labels": list(self.labels), "prompts": self.prompts, "support": clips}
        change = [self.change.append, list(self.change.drop)]
        return make_key(self._pipeline.identity() | parts | {"change": change}).hex()

    def run(self) -> Run:
        """The conditions of this run, as they stand now."""
        run = self._pipeline.run_record("fewshot", self.fingerprint, self.labels, self.prompts)
        run.notes.update(self._used, support_clips=len(self._support))
        return run

    def stream(self, refs: Iterable[VideoRef]) -> Iterator[SupportReport | Prediction | Failure]:
        """Yield what there is to say of the examples, then one result for each ref; call it once.

        The file is saved before the first result. With `on_error="stop"` the first failure is
        raised as VideoError.

        Raises InputError for a class of which no example can be used.
        """
        with self._pipeline.start(self._support) as started:
            results = started.engine.embed(chain(self._support, refs))
            videos, failures = self._gather(islice(results, len(self._support)))
            supports = self._supports(started, videos)
            yield self._conclude(started, supports, failures)
            prototypes = supports.prototypes(started.method)
            self._used = {
                "matcher": started.method.config.matcher,
                "text_weight": round(prototypes.text_weight, 6),
            }
            scorer = by_examples(started.method, prototypes)
            method, top = started.method.name, self.config.top
            examples = KnownExamples(supports.clips, self._pipeline.cache)
            for result in results:
                if isinstance(result, Failure):
                    yield self._pipeline.failure(result)
                    continue
                found = predict(result, scorer, method=method, model=self.model_name, top=top)
                yield examples.say(found)

    def _gather(
        self, results: Iterable[FrameEmbeddings | Failure]
    ) -> tuple[list[FrameEmbeddings], list[Failure]]:
        """The examples that could be read, and those that couldn't."""
        videos, failures = [], []
        for result in results:
            if isinstance(result, Failure):
                failures.append(self._pipeline.failure(result))
                continue
            videos.append(result)
            for warning in result.warnings:
                log.warning("%s: %s", result.ref.id, warning)
        lost = set(self._new or ()) - {video.ref.label for video in videos}
        if lost:
            which = "no example" if lost == set(self._new or ()) else "a class has no example"
            raise InputError(
                f"--support: {which} that can be read: {shorten_list(sorted(map(str, lost)))} "
                f"({failures[0].ref.id}: {failures[0].error.message})",
                hint="replace those files, or remove the folder",
            )
        return videos, failures

    def _supports(self, started: Started, videos: Sequence[FrameEmbeddings]) -> SupportSet:
        """The classes that queries are compared with, those of an updated file among them."""
        from actcli.tasks.supports import make_supports, read_supports

        new = None
        if self._new is not None:
            text = started.embed_text(self._new, self.prompts)
            new = make_supports([self._clip(video.ref) for video in videos], videos, text)
        if self._base is None:
            assert new is not None, "without a file there are examples"
            return new
        if new is not None and started.precision != self._base.precision:
            raise UsageError(
                f"--precision: the examples of {self.config.model} were made in "
                f"{self._base.precision} (got {started.precision})",
                hint=f"--precision {self._base.precision}",
            )
        base = read_supports(self._base, started.tensors)
        if self.change.drop:
            base = base.only(without(base.labels, self.change.drop))
        return base if new is None else base.joined(new, append=self.change.append)

    def _conclude(
        self, started: Started, supports: SupportSet, failures: Sequence[Failure]
    ) -> SupportReport:
        from actcli.tasks.support_report import make_report, save_supports

        if self.change.save is not None:
            path, compact = Path(self.change.save), self.change.compact
            save_supports(path, self._pipeline, started, supports, compact=compact)
        before = () if self._base is None else self._base.labels
        report = make_report(self.model_name, started.method, supports, failures)
        return replace(
            report, saved=self.change.save,
            changed=changes(before, tuple(self._new or ()), self.change, self._already),
        )  # fmt: skip

    def _clip(self, ref: VideoRef) -> SupportClip:
        return clip_of(ref, self._pipeline.cache)


def fewshot(
    videos: VideoPath | VideoRef | Iterable[VideoPath | VideoRef],
    support: VideoPath | Iterable[VideoRef],
    config: FewShotConfig | None = None,
    **options: Any,
) -> list[Prediction | Failure]:
    """Name videos by example: `support` holds a few clips of each class.

    videos:  one or more files; results keep their order
    support: a folder with a folder of clips for each label, a list of labelled videos in a file, or
        VideoRefs with their labels
    options: fields of FewShotConfig and of its parts, e.g. `model="demo"`, `matcher="mean"`,
        `text_weight=0.0`; `save="moves.safetensors"` also keeps the classes for `classify`

    Raises UsageError for options that contradict each other, InputError for examples that can't be
    used, ModelError, ResourceError.
    """
    save = options.pop("save", None)
    settings = with_options(config or FewShotConfig(), with_templates(options))
    if isinstance(support, Iterable) and not isinstance(support, str | bytes):
        examples = list(support)
    else:
        examples = list(read_support(os.fsdecode(support)))
    task = FewShot(examples, settings, Change(save=None if save is None else str(save)))
    results = task.stream(as_refs(videos))
    return [result for result in results if isinstance(result, Prediction | Failure)]
