"""Score a file of predictions against the truth: no model, no video."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from actcli.config_train import EvalConfig
from actcli.data.labels import LabelSet
from actcli.data.manifest import Manifest
from actcli.errors import InputError, VideoError
from actcli.eval.plan import Part, Plan
from actcli.eval.predictions import Scored, match, read_predictions, without_repeats
from actcli.eval.result import Coverage, EvalResult, PartResult
from actcli.tasks.scoring import named_part
from actcli.tasks.settings import versions
from actcli.types import Failure, Run, VideoRef
from actcli.wording import same_label_key

if TYPE_CHECKING:
    from actcli.eval.metrics import Measures, Outcome

_TOP = 5


def score_file(path: str, truth: Manifest, config: EvalConfig, *, several: bool) -> EvalResult:
    """The numbers of a file of predictions.

    truth:    the videos that were to be classified, with their labels
    several:  whether a video may have several labels, a row each

    Raises InputError for a file that can't be read or has too few of the videos, ManifestError for
    a bad record.
    """
    labels_of: dict[VideoRef, list[str]] = {}
    for ref in truth.refs:
        plain = VideoRef(ref.path, ref.start_s, ref.end_s, ref.id)
        labels_of.setdefault(plain, []).append(ref.label or "")
    records = without_repeats(path, read_predictions(path))
    found = match(records, labels_of)
    if not found:
        got = records[0].input if records else "no record"
        raise InputError(
            f"{path}: no record is of a video of {truth.source} "
            f"(got {got}, …; expected {truth.refs[0].id}, …)"
        )
    coverage = Coverage(len(labels_of), tuple(_failures(labels_of, found)))
    coverage.refuse_gaps(path, config.min_coverage, allow=config.allow_missing)
    names = LabelSet(_all_labels(truth, found.values()), source=truth.source)
    kept = {ref: record for ref, record in found.items() if record.error is None}
    if not kept:
        raise InputError(f"{path}: no prediction that can be used (all {len(found)} failed)")
    outcomes = () if several else tuple(_outcomes(kept, labels_of, names))
    part = Part("predictions", truth.refs, names)
    plan = Plan("predictions", 1, truth.source, (part,), official=False, sources=(path,))
    measures = _measures(outcomes, kept, labels_of, names)
    result = PartResult(part.name, names.names, part.digest(), measures, outcomes)
    return EvalResult(plan, (result,), None, coverage, _run(path, names))


def _failures(refs: Iterable[VideoRef], found: Mapping[VideoRef, Scored]) -> Iterable[Failure]:
    for ref in refs:
        record = found.get(ref)
        error = VideoError("not_found", "no prediction") if record is None else record.error
        if error is not None:
            yield Failure(ref, error)


def _all_labels(truth: Manifest, records: Iterable[Scored]) -> tuple[str, ...]:
    """The true labels, then those that only predictions have."""
    known = LabelSet(truth.labels, source=truth.source)
    pairs = (pair for record in records for pair in record.ranked)
    more: dict[str, str] = {}
    for name, _ in pairs:
        if known.find(name) is None:
            more.setdefault(same_label_key(name), name)
    return (*truth.labels, *more.values())


def _outcomes(
    kept: Mapping[VideoRef, Scored], labels_of: Mapping[VideoRef, list[str]], names: LabelSet
) -> Iterable[Outcome]:
    """One for each video; a target below those listed is known to be no better than they are."""
    from actcli.eval.metrics import Outcome

    for ref, record in kept.items():
        order = [names.index(label) for label, _ in record.ranked]
        target = names.index(labels_of[ref][0])
        rank: int | None = None
        if target in order:
            rank = order.index(target)
        elif len(order) >= _TOP:
            rank = len(order)
        yield Outcome(named_part(ref), target, order[0], rank, record.ranked[0][1])


def _measures(
    outcomes: tuple[Outcome, ...],
    kept: Mapping[VideoRef, Scored],
    labels_of: Mapping[VideoRef, list[str]],
    names: LabelSet,
) -> Measures:
    import torch

    from actcli.eval.metrics import measure, measure_several

    if outcomes:
        return measure(outcomes, len(names))
    scores = torch.zeros(len(kept), len(names))
    truth = torch.zeros(len(kept), len(names), dtype=torch.bool)
    for row, (ref, record) in enumerate(kept.items()):
        for label, score in record.ranked:
            scores[row, names.index(label)] = score
        truth[row, [names.index(label) for label in labels_of[ref]]] = True
    return measure_several(scores, truth)


def _run(path: str, labels: LabelSet) -> Run:
    """The conditions that stand beside the predictions, as far as there are any."""
    stated: dict[str, Any] = {}
    try:
        with open(f"{os.path.splitext(path)[0]}.run.json", encoding="utf-8") as file:
            stated = json.load(file)
        config = EvalConfig.model_validate(_known(stated["config"])).model_dump(mode="json")
        seed = int(stated.get("seed") or 0)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        stated, config, seed = {}, {}, 0

    def text(key: str) -> str:
        return str(stated.get(key) or "unknown")

    return Run(
        command="eval",
        config=config,
        versions=versions(),
        model=text("model"),
        model_digest=text("model_digest"),
        fingerprint=text("fingerprint"),
        labels=labels.names,
        prompts=(),
        device=text("device"),
        precision=text("precision"),
        seed=seed,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        notes={"predictions": path},
    )


def _known(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of another task that an evaluation has as well."""
    return {name: value for name, value in config.items() if name in EvalConfig.model_fields}
