"""Protocols by name: which videos, labels and episodes make a number, and how it is averaged.

A protocol has a version, which rises whenever the same model could get another number; see
docs/protocols.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from actcli.config_train import EvalConfig
from actcli.data.class_lists import read_draws, read_named_lists
from actcli.data.datasets import DATASETS, Dataset, Listed
from actcli.data.few_shot_lists import COUNTS
from actcli.data.labels import LabelSet
from actcli.data.manifest import Manifest
from actcli.data.splits import read_split
from actcli.errors import InputError, UsageError, did_you_mean, shorten_list
from actcli.eval.plan import (
    Combine,
    EpisodeRule,
    Part,
    Plan,
    Request,
    examples_of,
    refuse_unused,
    usual_protocol,
)
from actcli.eval.predictions import holds_predictions
from actcli.types import VideoRef

PUBLISHED_BATCH: Final = 64
"""Videos of a batch of ActionCLIP's test loader, which drops the last one unless it is whole."""
PUBLISHED_RANKS: Final = 4
"""Processes of CLIP-FSAR's test, which all draw the same episodes."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A named, versioned way to evaluate."""

    name: str
    version: int
    about: str
    datasets: tuple[str, ...]
    plan: Callable[[Request], Plan]


def make_plan(request: Request) -> Plan:
    """The evaluation that was asked for, every list read.

    Raises UsageError for a protocol that there is not, or not for this dataset, InputError and
    ManifestError for lists that are missing or wrong.
    """
    name = request.config.protocol or usual_protocol(request)
    protocol = PROTOCOLS.get(name)
    if protocol is None:
        raise UsageError(
            f"--protocol {name}: unknown (expected one of {', '.join(PROTOCOLS)})",
            hint=did_you_mean(name, PROTOCOLS),
        )
    refuse_unused(request, name)
    plan = protocol.plan(request)
    if not all(part.refs for part in plan.parts):
        raise InputError(f"{request.source}: a part of {name} has no videos")
    official = plan.official and not request.config.unofficial
    return replace(plan, protocol=name, version=protocol.version,
                   practice=request.config.practice, official=official)  # fmt: skip


def _dataset(request: Request, name: str, known: Iterable[str]) -> Dataset:
    dataset = request.dataset
    if dataset is None or dataset.name not in known:
        raise UsageError(
            f"--protocol {name}: is of {', '.join(known)} (got {request.source})",
            hint="a list of your own: --protocol custom, few-shot or all-way",
        )
    return dataset


def zero_shot(request: Request) -> Plan:
    """All classes of three official test splits; of K600 three draws of 160 new classes."""
    dataset = _dataset(request, "zero-shot", ("ucf101", "hmdb51", "kinetics600"))
    if dataset.name == "kinetics600":
        return _draws(request, dataset, request.read("val"), 160)
    numbers, notes = (1, 2, 3), ()
    if request.config.practice == "published":
        numbers, notes = (1,), ("the first split alone",)  # type: ignore[assignment]
    read = [request.read(f"test{number}") for number in numbers]
    parts = [Part(f"split {n}", one.refs, one.labels) for n, one in zip(numbers, read, strict=True)]
    return _plan(dataset.name, parts, read, notes=notes)


def half_classes(request: Request) -> Plan:
    """EP1: draws of half of the classes, all their videos."""
    dataset = _dataset(request, "zero-shot-ep1", ("ucf101", "hmdb51"))
    return _draws(request, dataset, _everything(request, dataset), dataset.num_classes // 2)


def whole_set(request: Request) -> Plan:
    """EP2: all classes, all videos of the dataset."""
    dataset = _dataset(request, "zero-shot-ep2", ("ucf101", "hmdb51"))
    listed = _everything(request, dataset)
    return _plan(dataset.name, [Part("all videos", listed.refs, listed.labels)], [listed])


def _everything(request: Request, dataset: Dataset) -> Listed:
    """The videos of the first official train and test split, which are all there are."""
    read = [request.read(split) for split in ("train1", "test1")]
    return Listed(tuple(ref for one in read for ref in one.refs), read[1].labels,
                  " and ".join(dict.fromkeys(one.source for one in read)))  # fmt: skip


def _draws(request: Request, dataset: Dataset, listed: Listed, size: int) -> Plan:
    if request.lists is None:
        raise InputError(
            f"{dataset.name}: the published draws of {size} classes are needed, a file each "
            "(class names, one a line, or id,name)",
            hint="--lists FOLDER; draws are never made up",
        )
    draws = read_draws(request.lists, listed.labels)
    wrong = {name: len(labels) for name, labels in draws.items() if len(labels) != size}
    if wrong and not request.config.unofficial:
        name, got = next(iter(wrong.items()))
        raise InputError(
            f"{os.path.join(request.lists, name)}: is no published draw (got {got} classes, "
            f"expected {size})",
            hint="--unofficial takes it as it is, and the result says so",
        )
    parts = [Part(name, _of(listed.refs, labels), labels) for name, labels in draws.items()]
    return _plan(dataset.name, parts, [listed])


def closed_set(request: Request) -> Plan:
    """All classes, the validation videos of K400 and SSv2, the test splits of UCF101 and HMDB51."""
    dataset = _dataset(request, "closed-set", ("kinetics400", "ucf101", "hmdb51", "ssv2"))
    splits = ("val",) if dataset.lists else ("test1", "test2", "test3")
    if request.split is not None:
        splits = (request.split,)
    read = [request.read(split) for split in splits]
    notes: tuple[str, ...] = ()
    parts = [Part(s, one.refs, one.labels) for s, one in zip(splits, read, strict=True)]
    if request.config.practice == "published":
        dropped = [len(part.refs) % PUBLISHED_BATCH for part in parts]
        parts = [replace(part, refs=part.refs[: len(part.refs) - n])
                 for part, n in zip(parts, dropped, strict=True)]  # fmt: skip
        notes = (f"without the last {', '.join(map(str, dropped))} videos, as a loader that drops "
                 f"its last batch of {PUBLISHED_BATCH} does",)  # fmt: skip
    return _plan(dataset.name, parts, read, notes=notes)


def few_shot(request: Request) -> Plan:
    """Episodes of classes that are new; 10,000 different ones."""
    config, name = request.config, request.few_shot_name
    if name is not None:
        listed = request.read_few_shot(name)
        labels = listed.labels
        if config.practice == "published":
            labels = _published_words(name, config, labels)
        parts = [Part(f"{name} {config.part}", listed.refs, labels)]
        plan = _plan(name, parts, [listed])
    else:
        manifest = request.manifest()
        parts = [_part_of(request, "episodes", manifest)]
        plan = replace(_plan(request.source, parts, ()), official=False)
    repeats, notes = 1, plan.notes
    if config.practice == "published":
        repeats = PUBLISHED_RANKS
        notes += (f"each episode counts {repeats} times, as {repeats} ranks draw the same",)
    rule = EpisodeRule(config.way, config.shot, config.queries,
                       max(1, config.episodes // repeats), config.run.seed, repeats)  # fmt: skip
    return replace(plan, episodes=rule, notes=notes)


def _published_words(name: str, config: EvalConfig, labels: LabelSet) -> LabelSet:
    """The classes with exactly the words that published prompts have, oddities included."""
    words = {one.name: one.prompt_name or one.name for one in read_split(name).part(config.part)}
    prompts = tuple(
        tuple(template.replace("{}", words[label], 1) for template in config.templates)
        for label in labels
    )
    return LabelSet(labels.names, prompts, source=labels.source)


def base_to_novel(request: Request) -> Plan:
    """Base and novel classes apart, and the harmonic mean of both."""
    dataset = _dataset(request, "base-to-novel", ("kinetics400", "ucf101", "hmdb51", "ssv2"))
    listed = request.read("val" if dataset.lists else "test1")
    if request.lists is None:
        raise InputError(
            f"{dataset.name}: the published lists of base and novel classes are needed",
            hint="--lists FOLDER, with base and novel in the names of its files",
        )
    named = read_named_lists(request.lists, ("base", "novel"), listed.labels)
    left = [name for name in listed.labels if all(name not in own for own in named.values())]
    if left and not request.config.unofficial:
        raise InputError(
            f"--lists {request.lists}: {len(left)} classes are neither base nor novel: "
            f"{shorten_list(left)}",
            hint="--unofficial leaves them out, and the result says so",
        )
    notes = (f"without {shorten_list(left)}, which are neither base nor novel",) if left else ()
    if both := set(named["base"]) & set(named["novel"]):
        raise InputError(
            f"--lists {request.lists}: {shorten_list(sorted(both))} are base and novel at once"
        )
    parts = [Part(name, _of(listed.refs, labels), labels) for name, labels in named.items()]
    return _plan(dataset.name, parts, [listed], combine="harmonic", notes=notes)


def all_way(request: Request) -> Plan:
    """All classes at once, told by K examples each of the training list."""
    dataset, config = request.dataset, request.config
    if dataset is not None:
        one, two = ("train", "val") if dataset.lists else ("train1", "test1")
        train, test = request.read(one), request.read(two)
        read, labels = [train, test], test.labels
    else:
        sides = [_part_of(request, use, request.manifest(use)) for use in ("train", "test")]
        train, test = (Listed(part.refs, part.labels, request.source) for part in sides)
        read, labels = [], test.labels
        if set(train.labels) != set(labels):
            odd = shorten_list(sorted(set(train.labels) ^ set(labels)))
            raise InputError(f"{request.source}: train and test have other labels ({odd})")
    parts = [
        Part(f"K = {shot}", test.refs, labels,
             examples_of(train.refs, labels, shot, config.run.seed))
        for shot in config.shots
    ]  # fmt: skip
    plan = _plan(request.source if dataset is None else dataset.name, parts, read, combine="each")
    return replace(plan, official=dataset is not None)


def custom(request: Request) -> Plan:
    """A labelled list or folder of one's own, each video against all labels."""
    if request.dataset is not None or not os.path.exists(request.source):
        raise UsageError(f"--protocol custom: is for a list or a folder (got {request.source})")
    if os.path.isfile(request.source) and holds_predictions(request.source):
        raise UsageError(
            f"{request.source}: holds predictions",
            hint=f"actcli eval {request.source} --truth LIST",
        )
    part = _part_of(request, request.split or "all", request.manifest())
    return replace(_plan(request.source, [part], ()), official=False)


def _part_of(request: Request, name: str, manifest: Manifest) -> Part:
    labels = LabelSet(manifest.labels, source=manifest.source)
    if request.names is None:
        return Part(name, manifest.refs, labels)
    strange = [label for label in labels if request.names.find(label) is None]
    if strange:
        raise UsageError(f"--labels-file: lacks {shorten_list(strange)} of {manifest.source}")
    known = request.names
    refs = tuple(replace(ref, label=known[known.index(ref.label or "")]) for ref in manifest.refs)
    return Part(name, refs, known)


def _of(refs: Iterable[VideoRef], labels: LabelSet) -> tuple[VideoRef, ...]:
    wanted = set(labels)
    return tuple(ref for ref in refs if ref.label in wanted)


def _plan(
    dataset: str,
    parts: Iterable[Part],
    read: Iterable[Listed],
    *,
    combine: Combine = "mean",
    notes: tuple[str, ...] = (),
) -> Plan:
    read = tuple(read)
    sources = tuple(dict.fromkeys(one.source for one in read))
    read_notes = tuple(note for one in read for note in one.notes)
    return Plan("", 0, dataset, tuple(parts), combine, sources=sources, notes=notes + read_notes)


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    one.name: one
    for one in (
        Protocol("zero-shot", 1, "three official test splits; K600: three draws of 160 classes",
                 ("ucf101", "hmdb51", "kinetics600"), zero_shot),
        Protocol("zero-shot-ep1", 1, "published draws of half of the classes, all their videos",
                 ("ucf101", "hmdb51"), half_classes),
        Protocol("zero-shot-ep2", 1, "all classes and all videos at once",
                 ("ucf101", "hmdb51"), whole_set),
        Protocol("closed-set", 1, "validation or test lists, all classes",
                 ("kinetics400", "ucf101", "hmdb51", "ssv2"), closed_set),
        Protocol("few-shot", 1, "N-way K-shot episodes of new classes",
                 (*COUNTS, "a list of your own"), few_shot),
        Protocol("base-to-novel", 1, "base and novel classes, harmonic mean",
                 ("kinetics400", "ucf101", "hmdb51", "ssv2"), base_to_novel),
        Protocol("all-way", 1, "all classes, told by K examples each",
                 (*DATASETS, "a list with train and test"), all_way),
        Protocol("custom", 1, "a list or folder of your own", ("a list of your own",), custom),
    )
}  # fmt: skip
