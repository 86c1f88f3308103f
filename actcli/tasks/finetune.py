"""Finetune: labelled videos in, a small checkpoint that `--model` takes out.

Videos are embedded once, with the frozen towers; steps run on the embeddings alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from actcli.config import with_options
from actcli.config_train import FinetuneConfig
from actcli.data.labels import LabelSet
from actcli.data.prompts import build_prompts
from actcli.engine import embed_text
from actcli.errors import InputError, ModelError, shorten_list
from actcli.methods.base import Method
from actcli.models.device import choose_device
from actcli.registry import METHODS, resolve
from actcli.tasks.classify import VideoPath, warn_of_figures, with_templates
from actcli.tasks.embedding import EmbeddedVideos, embed_all
from actcli.tasks.examples import Use, read_labelled
from actcli.tasks.overlap import sketch
from actcli.tasks.pipeline import Pipeline, Started
from actcli.tasks.run_folder import LAST_NAME, RunFolder, data_digest, outcome
from actcli.tasks.settings import method_config
from actcli.tasks.training_data import (
    describe,
    embedder,
    make_batches,
    make_validator,
    read_all,
    with_pixels,
)
from actcli.tasks.training_settings import (
    check_episodes,
    training_labels,
    warn_of_twins,
    with_method_defaults,
    with_method_of,
)
from actcli.train.dist import Ranks, own_device, start_ranks
from actcli.train.events import Embedding, EpochEvent, Finished, Prepared, StepEvent
from actcli.train.loop import Batches, NotANumberError, Trainer
from actcli.train.source import TrainingSet, placed
from actcli.types import Text, VideoRef

if TYPE_CHECKING:
    from actcli.models.hub_client import DownloadReport

log = logging.getLogger("actcli.tasks.finetune")

FinetuneEvent: TypeAlias = Embedding | Prepared | StepEvent | EpochEvent | Finished


class FineTune:
    """One run of `finetune`.

    train, val: labelled videos; without val nothing is measured, and the last weights are the best.
        Methods that train on episodes are measured on classes of their own.
    folder:     where the run keeps what it makes
    names:      labels with prompts of their own

    Raises UsageError for videos or settings that make no training, ModelError.
    """

    def __init__(
        self,
        train: Sequence[VideoRef],
        val: Sequence[VideoRef],
        config: FinetuneConfig,
        folder: Path,
        *,
        resume: bool = False,
        names: LabelSet | None = None,
        report: DownloadReport | None = None,
    ) -> None:
        self._folder, self._resume = RunFolder(folder, resume=resume), resume
        self._train, self._val = tuple(train), tuple(val)
        config = with_method_defaults(with_method_of(config))
        kind = resolve(METHODS, config.method)
        self._has_episodes = kind.trains_on == "episodes"
        self.labels = training_labels(self._train, () if self._has_episodes else self._val, names)
        self.val_labels = self.labels
        if self._val and self._has_episodes:
            self.val_labels = training_labels(self._val, (), names)
        if self._has_episodes:
            check_episodes(self._train, method_config(kind, config.options))
        run = config.run.model_copy(update={"device": own_device(config.run.device)})
        config = config.model_copy(update={"run": run})
        self._pipeline = Pipeline(
            config, exact=True, report=report, method=config.method, options=config.options
        )
        self.config = self._pipeline.config
        self.prompts = build_prompts(self.labels, self.config.templates)
        self._trainer: Trainer | None = None
        warn_of_figures(self._pipeline.spec)
        warn_of_twins(self._train, self._val, self._pipeline.cache)

    def settings(self) -> dict[str, Any]:
        """What decides the outcome of the run, and its conditions."""
        cache = self._pipeline.cache
        return {
            "config": self.config.model_dump(mode="json"),
            "model_digest": self._pipeline.digest,
            "labels": "\n".join(self.labels),
            "prompts": "\n".join("\t".join(own) for own in self.prompts),
            "train_digest": data_digest(self._train, cache),
            "val_digest": data_digest(self._val, cache) if self._val else None,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def stream(self) -> Iterator[FinetuneEvent]:
        """Embed, train, save; yields what there is to tell. Call it once.

        Raises InputError if no video can be read, ModelError for a loss that is no number,
        ResourceError if memory or the disk is full.
        """
        began = time.monotonic()
        with ExitStack() as stack:
            ranks = stack.enter_context(start_ranks(choose_device(self.config.run.device).type))
            settings = self.settings()
            if self._resume:
                self._folder.check_same(settings)
            elif ranks.is_main:
                self._folder.begin(settings)
            if ranks.is_main:
                stack.enter_context(self._folder.locked())
            started, train, val = yield from self._embed(stack, ranks)
            trainer, prepared = self._prepare(stack, started, train, val, ranks)
            self._trainer = trainer
            if ranks.is_main and prepared.failures:
                self._folder.note_left_out(prepared.failures)
            yield prepared
            yield from self._run(trainer, train, prepared, ranks)
        yield Finished(
            self._folder.path, trainer.progress.best, prepared.baseline, time.monotonic() - began,
            prepared.baseline_name, "fewshot VIDEO --support DIR" if self._has_episodes
            else "classify VIDEO",
        )  # fmt: skip

    def save(self) -> None:
        """Save where the run stands, between two steps, so that `--resume` goes on from there."""
        if self._trainer is not None:
            self._trainer.save()

    def _embed(
        self, stack: ExitStack, ranks: Ranks
    ) -> Generator[Embedding, None, tuple[Started, EmbeddedVideos, EmbeddedVideos | None]]:
        """The method, and what is known of all videos: embeddings, where no tower learns."""
        val: EmbeddedVideos | None = None
        with ranks.main_first():  # where one cache serves, the main process fills it for all
            started = stack.enter_context(self._pipeline.start())
            if "image" in started.method.learning_parts:
                train = yield from read_all("training", self._pipeline, self._train)
                if self._val:
                    val = yield from read_all(
                        "validation", self._pipeline.with_one_view(), self._val
                    )
                return started, train, val
            train = yield from embed_all("training", self._pipeline, started, self._train)
            if self._val:
                pipeline = self._pipeline.with_one_view()
                with pipeline.start() as again:
                    val = yield from embed_all("validation", pipeline, again, self._val)
        return started, train, val

    def _hand_text(self, started: Started, labels: LabelSet) -> Text:
        """Hand-written prompts alone: what a method makes of them it makes in its loss."""
        plain = Method(started.method.backbone)
        prompts = build_prompts(labels, self.config.templates)
        return embed_text(plain, started.cache, labels.names, prompts, precision=started.precision)

    def _prepare(
        self,
        stack: ExitStack,
        started: Started,
        train: EmbeddedVideos,
        val: EmbeddedVideos | None,
        ranks: Ranks,
    ) -> tuple[Trainer, Prepared]:
        method, config = started.method, self.config
        device, learns_image = method.backbone.device, "image" in method.learning_parts
        self._check_kept(train, method)
        text = self._hand_text(started, self.labels)
        data = TrainingSet(train.values, train.targets(self.labels.names), text)
        plan = make_batches(method, data, config, ranks)
        batches: Batches = plan
        if learns_image:
            batches = with_pixels(stack, plan, self._pipeline, train.refs)
        else:
            method.observe(train.values.flatten(0, 1).to(device))
        check = None
        if val is not None:
            again = embedder(self._pipeline.with_one_view(), val.refs) if learns_image else None
            val_text = self._hand_text(started, self.val_labels)
            check = make_validator(method, val, val_text, again)
        baseline = None if check is None else check.baseline(method)
        trainer = Trainer(
            method, batches, config.train, validate=check, ranks=ranks,
            place=lambda batch: placed(batch, device), folder=self._folder.path,
        )  # fmt: skip
        if self._resume and self._folder.state_path.is_file():
            trainer.resume()
            self._folder.check_best(is_done=trainer.progress.is_done)
        return trainer, describe(trainer, plan, train, val, baseline, self._pipeline.spec)

    def _check_kept(self, train: EmbeddedVideos, method: Method) -> None:
        """Raise UsageError if too little is left of what was to be learned from."""
        lost = set(self.labels) - {ref.label for ref in train.refs}
        if lost:
            raise InputError(
                f"no clip of {shorten_list(sorted(lost))} could be read",
                hint="replace those files, or leave the label out",
            )
        if self._has_episodes:
            check_episodes(train.refs, method.config)

    def _run(
        self, trainer: Trainer, train: EmbeddedVideos, prepared: Prepared, ranks: Ranks
    ) -> Iterator[StepEvent | EpochEvent]:
        try:
            for event in trainer.run():
                if isinstance(event, EpochEvent) and ranks.is_main:
                    self._keep(trainer, event, prepared)
                yield event
        except NotANumberError as error:
            names = [train.refs[clip].id for clip in error.clips]
            whose = "because of" if error.is_certain else "among"
            named = f": {whose} {shorten_list(names)}" if names else ""
            is_saved = self._folder.state_path.is_file()
            hint = "a lower --lr" + ("; the last saved weights are whole" if is_saved else "")
            raise ModelError(
                error.message + named, hint="leave that clip out" if error.is_certain else hint
            ) from error

    def _keep(self, trainer: Trainer, event: EpochEvent, prepared: Prepared) -> None:
        """Write the weights of an epoch, and the best ones so far."""
        cache = self._pipeline.cache
        training = outcome(event, prepared) | {
            "data": data_digest(self._train, cache),
            "seed": self.config.run.seed,
            "sketches": {"train": sketch(self._train, cache), "val": sketch(self._val, cache)},
        }
        args = (trainer.method, self._pipeline, self.labels, self.prompts, training)
        with trainer.averaged():
            self._folder.save(LAST_NAME, *args)
            if event.is_best:
                self._folder.save_best(*args)


def finetune(
    train: VideoPath | Iterable[VideoRef],
    folder: VideoPath,
    *,
    val: VideoPath | Iterable[VideoRef] = (),
    config: FinetuneConfig | None = None,
    resume: bool = False,
    **options: Any,
) -> Finished:
    """Train a small checkpoint on labelled videos; `model=folder` then uses it.

    train, val: a folder with a folder of clips for each label, a list of labelled videos in a file,
        or VideoRefs with their labels
    folder:     new or empty; with `resume` that of a run to go on with
    options:    fields of FinetuneConfig and of its parts, e.g. `model="demo"`, `epochs=20`,
        `options={"scales": "short"}`

    Raises UsageError for videos or options that make no training, InputError, ModelError,
    ResourceError.
    """
    settings = with_options(config or FinetuneConfig(), with_templates(options))
    train_refs, val_refs = _refs(train, "train"), _refs(val, "val")
    task = FineTune(train_refs, val_refs, settings, Path(os.fsdecode(folder)), resume=resume)
    finished = None
    for event in task.stream():
        finished = event if isinstance(event, Finished) else finished
    assert finished is not None, "a run that raises nothing comes to its end"
    return finished


def _refs(given: VideoPath | Iterable[VideoRef], use: Use) -> tuple[VideoRef, ...]:
    if isinstance(given, str | bytes | os.PathLike):
        return read_labelled(os.fsdecode(given), use=use)
    return tuple(given)
