"""What a training run is set to, by its method and its data, before anything is read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from actcli.cache import Cache
from actcli.checkpoint import find_checkpoint, read_info
from actcli.config_train import FinetuneConfig, TrainConfig
from actcli.data.episodes import EpisodeSampler, EpisodeShape
from actcli.data.labels import LabelSet
from actcli.errors import UsageError, shorten_list
from actcli.registry import METHODS, resolve
from actcli.tasks.examples import KnownExamples, clip_of
from actcli.tasks.settings import method_config
from actcli.types import VideoRef

log = logging.getLogger("actcli.tasks.training_settings")


def with_method_of(config: FinetuneConfig) -> FinetuneConfig:
    """The config with the method of the checkpoint that it starts from, if it starts from one.

    Raises UsageError for a checkpoint of another method, or of few-shot classes.
    """
    path = find_checkpoint(config.model)
    info = None if path is None else read_info(path)
    if info is None:
        return config
    if info.is_few_shot:
        raise UsageError(
            f"--model {config.model}: holds few-shot classes, of which nothing can be trained",
            hint=f"--model {info.backbone.name}",
        )
    if "method" in config.model_fields_set and config.method != info.method:
        raise UsageError(
            f"--method {config.method}: {config.model} is of {info.method}",
            hint=f"--method {info.method}, or --model {info.backbone.name}",
        )
    options = {**info.config, **config.options}
    return config.model_copy(update={"method": info.method, "options": options})


def with_method_defaults(config: FinetuneConfig) -> FinetuneConfig:
    """The config with what a method's paper has where the user set nothing.

    Raises UsageError for a method that has nothing to train, or an option that it lacks.
    """
    kind = resolve(METHODS, config.method)
    if kind.trains_on is None:
        can = [name for name in METHODS if resolve(METHODS, name).trains_on is not None]
        raise UsageError(
            f"--method {config.method}: has nothing to train", hint=f"--method {can[0]}"
        )
    options = dict(config.options)
    if "num_frames" in kind.Config.model_fields:
        options.setdefault("num_frames", config.sampling.num_frames)
    chosen = method_config(kind, options)
    own = {**kind.training_defaults(chosen), **config.train.model_dump(exclude_unset=True)}
    update: dict[str, Any] = {"train": TrainConfig.model_validate(own), "options": options}
    if kind.templates is not None and "templates" not in config.model_fields_set:
        update["templates"] = kind.templates
    return config.model_copy(update=update)


def check_episodes(refs: Sequence[VideoRef], config: Any) -> None:
    """Raise UsageError unless labelled videos are enough for the episodes of a method."""
    place = {label: c for c, label in enumerate(dict.fromkeys(ref.label for ref in refs))}
    names = [str(label) for label in place]
    try:
        EpisodeSampler([place[ref.label] for ref in refs], episode_shape(config), names=names)
    except UsageError as error:
        raise UsageError(
            error.message, hint=f"{error.hint}: --set way=…, shot=…, queries=…"
        ) from error


def episode_shape(config: Any) -> EpisodeShape:
    """The episodes that a method is set to be trained on."""
    return EpisodeShape(config.way, config.shot, config.queries)


def warn_of_twins(train: Sequence[VideoRef], val: Sequence[VideoRef], cache: Cache) -> None:
    """Say which validation videos are trained on as well, by content."""
    if not val:
        return
    known = KnownExamples([clip_of(ref, cache) for ref in train], cache)
    if twins := [ref.id for ref in val if known.has_content(ref)]:
        log.warning(
            "--val: %d of %d videos are among those trained on, and say little: %s",
            len(twins), len(val), shorten_list(twins, limit=3),
        )  # fmt: skip


def training_labels(
    train: Sequence[VideoRef], val: Sequence[VideoRef], names: LabelSet | None
) -> LabelSet:
    """The classes of a training set, in the order of its list.

    Raises UsageError for fewer than two, and for labels that only validation has.
    """
    seen = tuple(dict.fromkeys(ref.label or "" for ref in train))
    if len(seen) < 2:
        raise UsageError(
            f"the training set has one class only (got {shorten_list(seen) or 'none'})",
            hint="a folder for each label, or a list with two labels or more",
        )
    own = {} if names is None else dict(zip(names.names, names.prompts, strict=True))
    if strange := [name for name, prompts in own.items() if prompts and name not in seen]:
        log.warning("prompts of labels that are not trained are not used: %s",
                    shorten_list(strange))  # fmt: skip
    if all(name.strip().isdecimal() and not own.get(name) for name in seen):
        raise UsageError(
            f"the labels are numbers ({shorten_list(seen, limit=3)}), and training reads their "
            "words",
            hint="--labels-file FILE with the name of each class, line by line",
        )
    labels = LabelSet(seen, tuple(own.get(name, ()) for name in seen), source="the training set")
    unknown = sorted({ref.label or "" for ref in val} - set(seen))
    if unknown:
        raise UsageError(
            f"--val: has labels that the training set lacks: {shorten_list(unknown)}",
            hint="leave those rows out; untrained labels can be tried with classify",
        )
    return labels
