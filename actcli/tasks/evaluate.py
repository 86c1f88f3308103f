"""Evaluate: a model under a named protocol, to numbers with all that they depend on.

Every video is embedded once, whatever the number of splits it is in, and comes out of the cache in
any later evaluation: what was interrupted goes on where it stopped, and a second protocol over the
same videos decodes nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from actcli.cache import make_key
from actcli.config import with_options
from actcli.config_train import EvalConfig
from actcli.data.episodes import EpisodeSampler, EpisodeShape
from actcli.data.prompts import build_prompts
from actcli.errors import InputError, ModelError, UsageError
from actcli.eval.plan import Request
from actcli.eval.protocols import make_plan
from actcli.eval.result import Coverage, EpisodeResult, EvalResult, PartResult
from actcli.tasks.classify import VideoPath, warn_of_limits, with_templates
from actcli.tasks.data import look
from actcli.tasks.overlap import overlaps
from actcli.tasks.pipeline import Pipeline, Started
from actcli.tasks.published_practice import practice_notes, with_published_sampling
from actcli.tasks.running_part import RunningPart
from actcli.types import Failure, FrameEmbeddings, Run, VideoRef

if TYPE_CHECKING:
    from torch import Tensor

    from actcli.data.labels import LabelSet
    from actcli.models.hub_client import DownloadReport
    from actcli.types import Text

log = logging.getLogger("actcli.tasks.evaluate")


@dataclass(frozen=True, slots=True)
class Looked:
    """How far an evaluation is: videos embedded, or episodes scored."""

    what: str
    done: int
    total: int
    failure: Failure | None = None


class Evaluation:
    """One run of `eval`: every list is read and every file looked for when it is made.

    Raises UsageError, InputError and ManifestError for what can't be evaluated, ModelError.
    """

    def __init__(self, request: Request, report: DownloadReport | None = None) -> None:
        self.plan = make_plan(request)
        config = with_published_sampling(request.config, self.plan)
        self._missing = self._look(config)
        self._pipeline = Pipeline(config, exact=True, report=report, options=config.options)
        self.config = self._pipeline.config
        self._check_model()
        self._notes = [*self.plan.notes, *practice_notes(self.plan, self.config.sampling)]
        self._check_episodes()
        if len(self.plan.parts[0].labels) == 1:
            log.warning("%s: there is one class only, so that any model is right",
                        self.plan.dataset)  # fmt: skip
        if self._pipeline.info is None and self.plan.episodes is None:
            warn_of_limits(self.plan.parts[0].labels, self._pipeline.spec)

    @property
    def model_name(self) -> str:
        """The model, as results show it."""
        return self._pipeline.model_name

    def _look(self, config: EvalConfig) -> dict[VideoRef, Failure]:
        """Videos that are not there, before anything is computed."""
        failures = {}
        for ref in self.plan.refs:
            if (error := look(ref).error) is not None:
                failures[ref] = Failure(ref, error)
        total = len(self.plan.refs)
        if len(failures) == total:
            first = self.plan.refs[0].path if total else "no video"
            raise InputError(
                f"{self.plan.dataset}: none of the {total:,} videos is there (expected {first}, …)",
                hint="--root is the folder that holds the class folders; actcli data check says "
                "what is found",
            )
        self._refuse_gaps(config, Coverage(total, tuple(failures.values())))
        return failures

    def _refuse_gaps(self, config: EvalConfig, coverage: Coverage) -> None:
        coverage.refuse_gaps(self.plan.dataset, config.min_coverage, allow=config.allow_missing)

    def _check_model(self) -> None:
        info, plan = self._pipeline.info, self.plan
        by_examples = plan.episodes is not None or any(part.support for part in plan.parts)
        if info is None:
            return
        if info.is_few_shot:
            raise UsageError(
                f"--model {self.config.model}: holds few-shot classes, which bring their own "
                "labels; protocols have theirs",
                hint=f"actcli classify VIDEOS --model {self.config.model} -o preds.jsonl, then "
                "actcli eval preds.jsonl --truth LIST",
            )
        if info.method == "clip-fsar" and not by_examples:
            raise ModelError(
                f"{self.config.model}: a head of clip-fsar needs examples "
                f"(got --protocol {plan.protocol})",
                hint="--protocol few-shot, or all-way",
            )

    def _check_episodes(self) -> None:
        """Raise UsageError for episodes that the videos which are there are too few for."""
        if (rule := self.plan.episodes) is None:
            return
        (part,) = self.plan.parts
        there = [ref for ref in part.refs if replace(ref, label=None) not in self._missing]
        targets = [part.labels.index(ref.label or "") for ref in there]
        shape = EpisodeShape(rule.way, rule.shot, rule.queries)
        EpisodeSampler(targets, shape, names=tuple(part.labels))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the result will be quoted by, as far as a gate can ask for it."""
        if self.plan.episodes is not None or self.plan.combine != "mean":
            return ("top1",)
        has_top5 = all(len(part.labels) > 5 for part in self.plan.parts)
        return ("top1", *(("top5",) if has_top5 else ()), "mean_class", "ece")

    def stream(self) -> Iterator[Looked | EvalResult]:
        """Tell of each video, and of episodes; the last one is the result. Call it once.

        Raises InputError where too few videos can be read.
        """
        began = time.monotonic()
        with self._pipeline.start(self.plan.refs) as started:
            failures, found = dict(self._missing), list[PartResult]()
            episodes: EpisodeResult | None = None
            if self.plan.episodes is not None:
                episodes = yield from self._run_episodes(started, failures)
            else:
                found = yield from self._run_parts(started, failures)
        coverage = Coverage(len(self.plan.refs), tuple(failures.values()))
        self._refuse_gaps(self.config, coverage)
        seconds = round(time.monotonic() - began, 3)
        yield EvalResult(
            self.plan, tuple(found), episodes, coverage, self._run(), self._warnings(coverage),
            {"wall_s": seconds},
        )  # fmt: skip

    def _embed(
        self, started: Started, failures: dict[VideoRef, Failure]
    ) -> Iterator[tuple[Looked, FrameEmbeddings | None]]:
        refs = [ref for ref in self.plan.refs if ref not in failures]
        for number, result in enumerate(started.engine.embed(refs), start=1):
            if isinstance(result, Failure):
                failures[result.ref] = failure = self._pipeline.failure(result)
                yield Looked("video", number, len(refs), failure), None
            else:
                yield Looked("video", number, len(refs)), result

    def _run_parts(
        self, started: Started, failures: dict[VideoRef, Failure]
    ) -> Generator[Looked, None, list[PartResult]]:
        """Score each video against all parts that it is in, as soon as it is embedded."""
        from actcli.eval.metrics import measure

        parts = [RunningPart(part) for part in self.plan.parts]
        texts, stream = self._texts(started), self._embed(started, failures)
        examples: list[FrameEmbeddings | None] = []
        for looked, video in islice(stream, len(self.plan.examples - failures.keys())):
            examples.append(video)
            for running in parts:
                running.take_example(video)
            yield looked
        seen: Iterator[tuple[Looked | None, FrameEmbeddings | None]] = (
            (None, video)
            for video in examples  # which may be among the tested as well
        )
        for event, video in chain(seen, stream):
            for running, text in zip(parts, texts, strict=True):
                running.take(video, started, text)
            if event is not None:
                yield event
        self._notes += [note for running in parts for note in running.notes()]
        results = []
        for running in parts:
            part, outcomes = running.part, running.outcomes
            if not outcomes:
                raise InputError(f"{self.plan.dataset}: no video of {part.name} could be read")
            measures = measure(outcomes, len(part.labels))
            labels = tuple(part.labels)
            results.append(PartResult(part.name, labels, part.digest(), measures, tuple(outcomes)))
        return results

    def _texts(self, started: Started) -> list[Text]:
        """The words of each part, those of the same labels once."""
        known: dict[tuple[str, ...], Text] = {}
        for part in self.plan.parts:
            labels = tuple(part.labels)
            if labels not in known:
                prompts = build_prompts(part.labels, self.config.templates)
                known[labels] = started.embed_text(labels, prompts)
        return [known[tuple(part.labels)] for part in self.plan.parts]

    def _run_episodes(
        self, started: Started, failures: dict[VideoRef, Failure]
    ) -> Generator[Looked, None, EpisodeResult]:
        import torch

        from actcli.eval.few_shot import Episodes

        (part,), rule = self.plan.parts, self.plan.episodes
        assert rule is not None, "a plan of episodes has a rule"
        places = {replace(ref, label=None): part.labels.index(ref.label or "") for ref in part.refs}
        rows: list[Tensor] = []
        targets: list[int] = []
        for looked, video in self._embed(started, failures):
            if video is not None:
                rows.append(video.values)
                targets.append(places[video.ref])
            yield looked
        coverage = Coverage(len(self.plan.refs), tuple(failures.values()))
        self._refuse_gaps(self.config, coverage)  # before the longer part begins
        if not rows:
            raise InputError(f"{self.plan.dataset}: none of the videos could be read")
        (text,) = self._texts(started)
        episodes = Episodes(targets, rule, tuple(part.labels))
        shares: list[float] = []
        for found in episodes.shares(started.method, torch.stack(rows, 1), text):
            shares += found
            yield Looked("episode", len(shares), rule.count)
        distinct = episodes.distinct()
        if distinct < rule.count:
            self._notes.append(f"{len(rows)} clips make {distinct:,} different episodes of the "
                               f"{rule.count:,}, to which the interval is fitted")  # fmt: skip
        return EpisodeResult(tuple(part.labels), part.digest(), tuple(shares), distinct,
                             rule.repeats)  # fmt: skip

    def _run(self) -> Run:
        words = [build_prompts(part.labels, self.config.templates) for part in self.plan.parts]
        labels = [list(part.labels) for part in self.plan.parts]
        fingerprint = make_key(self._pipeline.identity() | {"labels": labels, "prompts": words})
        run = self._pipeline.run_record("eval", fingerprint.hex(), self.plan.parts[0].labels,
                                        words[0])  # fmt: skip
        run.notes.update(
            method=self._pipeline.method_name,
            prompts_digest=hashlib.sha256(repr(words).encode()).hexdigest(),
        )
        return run

    def _warnings(self, coverage: Coverage) -> tuple[str, ...]:
        """What makes the number less than it looks."""
        said = list(self._notes)
        if (info := self._pipeline.info) is not None:
            tested = (ref for part in self.plan.parts for ref in part.refs)
            said += overlaps(info.training, tested, self._pipeline.cache)
        if not self.plan.official and self.config.unofficial:
            said.append("the lists are not the published ones (--unofficial)")
        if coverage.failures:
            said.append(f"{coverage}: the others are missing or unreadable")
        return tuple(said)


def evaluate(
    source: VideoPath,
    *,
    root: VideoPath | None = None,
    lists: VideoPath | None = None,
    split: str | None = None,
    labels: LabelSet | None = None,
    config: EvalConfig | None = None,
    **options: Any,
) -> EvalResult:
    """Measure a model under a named protocol.

    source:  a dataset by name ("ucf101"), or a labelled list or folder
    root:    where its videos are; lists: where its official lists are, if not there
    labels:  all labels to choose from, where a list of one's own doesn't have them all
    options: fields of EvalConfig and of its parts, e.g. `model="demo"`, `protocol="few-shot"`

    Raises UsageError, InputError and ManifestError for what can't be evaluated, ModelError.
    """
    settings = with_options(config or EvalConfig(), with_templates(options))
    top, lists_top = (None if path is None else os.fsdecode(path) for path in (root, lists))
    request = Request(os.fsdecode(source), settings, top, lists_top, split, labels)
    *_, result = Evaluation(request).stream()
    assert isinstance(result, EvalResult), "a stream ends with its result"
    return result
