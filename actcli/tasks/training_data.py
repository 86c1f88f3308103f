"""What a method is trained from and measured on: embedded once, or decoded anew where towers learn.

Shape letters: N clips, V views of each, T frames, T' frame embeddings per clip, D embedding
dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actcli.config_train import FinetuneConfig, TrainConfig
from actcli.data.episodes import EpisodeShape
from actcli.errors import InputError, UsageError
from actcli.methods.base import Method
from actcli.models.backbone import BackboneSpec
from actcli.models.weight_file import read_shapes
from actcli.tasks.embedding import EmbeddedVideos, as_videos
from actcli.tasks.pipeline import Pipeline
from actcli.tasks.training_settings import episode_shape
from actcli.train.dist import Ranks
from actcli.train.episodes import EpisodeBatches, sampler_of
from actcli.train.events import Embedding, Prepared, Validation
from actcli.train.loop import Batches, Trainer
from actcli.train.pixels import PixelBatches
from actcli.train.source import EmbeddingBatches, TrainingSet
from actcli.train.validation import EpisodeJudge, Judge, LabelJudge, Validator
from actcli.types import Clip, Failure, Text, VideoRef
from actcli.video.augment import Augmentation
from actcli.video.loader import IDLE
from actcli.video.training_clips import TrainingReader
from actcli.wording import clean_label

_VAL_EPISODES = 200
_SIDES = {"left", "right", "leftward", "rightward", "leftwards", "rightwards", "clockwise",
          "counterclockwise", "anticlockwise", "east", "west"}  # fmt: skip


def read_all(
    what: str, pipeline: Pipeline[Any], refs: Sequence[VideoRef]
) -> Generator[Embedding, None, EmbeddedVideos]:
    """Decode videos once, to know which ones can be: values [N, 1, T, 0] of those.

    Raises InputError if none can be.
    """
    kept: list[VideoRef] = []
    failures: list[Failure] = []
    for number, item in enumerate(_clips(pipeline, refs), start=1):
        if isinstance(item, Failure):
            failures.append(pipeline.failure(item))
        else:
            kept.append(item.ref)
        yield Embedding(what, number, len(refs), len(failures))
    values = torch.empty(len(kept), 1, pipeline.config.sampling.num_frames, 0)
    return as_videos(what, kept, values, failures)


def _clips(pipeline: Pipeline[Any], refs: Sequence[VideoRef]) -> Iterator[Clip | Failure]:
    with pipeline.start_loader() as loader:
        for item in loader.load(refs):
            if item is not IDLE:
                assert isinstance(item, Clip | Failure)
                yield item


def embedder(
    pipeline: Pipeline[Any], refs: Sequence[VideoRef], clips_per_pass: int = 16
) -> Callable[[Method], Tensor]:
    """What embeds videos with a method as it is now: [N, T', D], on the CPU."""

    def embed(method: Method, clips: list[Clip]) -> Tensor:
        frames = torch.from_numpy(np.stack([clip.frames[0] for clip in clips]))
        return method.embed(frames.to(method.backbone.device)).float().cpu()

    def embed_all(method: Method) -> Tensor:
        parts: list[Tensor] = []
        waiting: list[Clip] = []
        for item in _clips(pipeline, refs):
            if isinstance(item, Failure):
                raise InputError(f"{item.ref.id}: could be read before ({item.error.message})")
            waiting.append(item)
            if len(waiting) == clips_per_pass:
                parts.append(embed(method, waiting))
                waiting = []
        if waiting:
            parts.append(embed(method, waiting))
        return torch.cat(parts)

    return embed_all


def make_batches(
    method: Method, data: TrainingSet, config: FinetuneConfig, ranks: Ranks
) -> EmbeddingBatches | EpisodeBatches:
    """Which clips are learned from in which step.

    Raises UsageError where there are too few.
    """
    if method.trains_on == "episodes":
        return EpisodeBatches(
            data, episode_shape(method.config), seed=config.run.seed, num_ranks=ranks.count,
            pair_share=getattr(method.config, "pair_share", 0.0),
        )  # fmt: skip
    return EmbeddingBatches(
        data,
        batch_size=ranks.share(config.train.clips_per_step, len(data.targets)),
        seed=config.run.seed,
        classes_per_step=method.classes_per_step,
        balance=config.train.balance,
    )


def with_pixels(
    stack: ExitStack,
    plan: EmbeddingBatches | EpisodeBatches,
    pipeline: Pipeline[FinetuneConfig],
    refs: Sequence[VideoRef],
) -> Batches:
    """The same batches, their clips decoded anew, by workers that end with the stack."""
    config = pipeline.config
    reader = TrainingReader(
        config.sampling,
        pipeline.spec.preprocessing,
        config.limits,
        augmentation_of(config.train, plan.data.text.labels, pipeline.spec.preprocessing.resize),
        is_random=config.train.moments == "random",
    )

    def start() -> Any:
        return pipeline.start_loader(reader)

    return stack.enter_context(PixelBatches(plan, refs, start, seed=config.run.seed))


def augmentation_of(train: TrainConfig, labels: Sequence[str], resize: str) -> Augmentation | None:
    """What becomes of training clips; mirrored only where no label speaks of sides."""
    if train.augment == "none":
        return None
    has_sides = any(_SIDES & set(clean_label(label).lower().split()) for label in labels)
    return Augmentation(
        crop="random" if resize == "squash" else "multi-scale",
        num_ops=0 if train.augment == "crop" else train.rand_ops,
        magnitude=train.rand_magnitude,
        per_frame=train.augment == "frame",
        flip=train.flip == "on" or (train.flip == "auto" and not has_sides),
        colour=train.augment != "crop",
    )


def make_validator(
    method: Method, val: EmbeddedVideos, text: Text, again: Callable[[Method], Tensor] | None
) -> Validator:
    """What tells how good a method is on validation videos.

    again:  embeds them with the method as it is now; None where embeddings never change
    """
    targets = val.targets(text.labels)
    known = val.values.flatten(0, 1)
    judge: Judge = LabelJudge(targets.repeat_interleave(val.values.shape[1]))
    if method.trains_on == "episodes":
        judge = EpisodeJudge(_validation_episodes(method, TrainingSet(val.values, targets, text)))
    return Validator(again or (lambda _: known), text, judge)


def _validation_episodes(method: Method, data: TrainingSet) -> Any:
    """A fixed list of episodes of the validation classes, smaller where there are few."""
    wanted, counts = episode_shape(method.config), data.counts
    way, smallest = min(wanted.way, len(counts)), int(counts.min())
    if way < 2 or smallest < 2:
        raise UsageError(
            "--val: too few videos for episodes (expected two classes or more, of two clips or "
            "more each)",
            hint="give more, or leave --val out",
        )
    shot = min(wanted.shot, smallest - 1)
    shape = EpisodeShape(way, shot, min(3, smallest - shot))
    return sampler_of(data, shape, seed=1).first(_VAL_EPISODES)


def describe(
    trainer: Trainer,
    plan: EmbeddingBatches | EpisodeBatches,
    train: EmbeddedVideos,
    val: EmbeddedVideos | None,
    baseline: Validation | None,
    spec: BackboneSpec,
) -> Prepared:
    """What a run begins with."""
    method = trainer.method
    own = sum(p.numel() for p in method.backbone.parameters() if p.requires_grad)  # type: ignore[attr-defined]
    weights = sum(map(math.prod, read_shapes(spec.weights_path).values()))
    return Prepared(
        clips=len(train.refs),
        classes=len(plan.data.text.labels),
        val_clips=0 if val is None else len(val.refs),
        smallest=int(plan.data.counts.min()),
        largest=int(plan.data.counts.max()),
        is_balanced=isinstance(plan, EpisodeBatches) or plan.is_balanced,
        learning=trainer.updates.num_learning,
        frozen=weights - own,
        steps=trainer.num_steps,
        device=str(method.backbone.device),
        amp=trainer.updates.amp,
        failures=train.failures + (() if val is None else val.failures),
        baseline=baseline,
        baseline_name="plain prototypes" if method.trains_on == "episodes" else "zero-shot",
        continued_from=trainer.progress.step,
    )
