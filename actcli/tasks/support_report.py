"""What the examples of few-shot classes are worth, and the file that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from actcli.checkpoint import backbone_ref, changed_tensors, write_checkpoint
from actcli.checkpoint_info import CheckpointInfo, SupportClip
from actcli.config import FewShotConfig
from actcli.eval.report import SupportReport, Twins
from actcli.eval.support import estimate, find_twins
from actcli.methods.base import Method
from actcli.tasks.examples import overlap
from actcli.tasks.pipeline import Pipeline, Started
from actcli.tasks.settings import versions
from actcli.tasks.supports import SupportSet
from actcli.types import Failure


def make_report(
    model: str, method: Method, supports: SupportSet, failures: Sequence[Failure]
) -> SupportReport:
    """Leave-one-out on the examples, and pairs of them that are the same."""
    prototypes = supports.prototypes(method)
    report = SupportReport(
        model=model, method=method.name, labels=supports.labels, clips=supports.clips,
        failures=tuple(failures), matcher=method.config.matcher,
        text_weight=prototypes.text_weight, estimate=None,
    )  # fmt: skip
    if supports.support is None:
        return report
    support, text = supports.placed(method)
    pairs = _same_files(supports.clips) | set(find_twins(support.values))
    return replace(
        report,
        estimate=estimate(method, support, text, sorted(pairs)),
        twins=_twins(supports, sorted(pairs)),
    )


def _same_files(clips: Sequence[SupportClip]) -> set[tuple[int, int]]:
    """Pairs of examples that are the same part of the same bytes, each with the first of them."""
    by_file: dict[str, list[int]] = {}
    pairs = set()
    for number, clip in enumerate(clips):
        same = by_file.setdefault(clip.sha256, []) if clip.sha256 else []
        earlier = next((i for i in same if overlap(clips[i], clip)), None)
        if earlier is not None:
            pairs.add((earlier, number))
        same.append(number)
    return pairs


def _twins(supports: SupportSet, pairs: Sequence[tuple[int, int]]) -> tuple[Twins, ...]:
    found = []
    for i, j in pairs:
        one, other = supports.clips[i], supports.clips[j]
        same = one.sha256 is not None and one.sha256 == other.sha256
        found.append(Twins(one, other, same))
    return tuple(found)


def save_supports(
    path: Path,
    pipeline: Pipeline[FewShotConfig],
    started: Started,
    supports: SupportSet,
    *,
    compact: bool,
) -> None:
    """Write the few-shot file: the examples, or with `compact` their prototypes only.

    Raises ResourceError if it can't be written.
    """
    method, config = started.method, pipeline.config
    prototypes = supports.prototypes(method) if compact else supports.compact
    base = pipeline.info if pipeline.info is not None and pipeline.info.is_few_shot else None
    own = {name: t for name, t in started.tensors.items() if name.startswith("method.")}
    info = CheckpointInfo(
        method=method.name,
        config=method.config.model_dump(mode="json"),
        backbone=backbone_ref(pipeline.spec, pipeline.digest),
        sampling=config.sampling,
        transform=pipeline.spec.preprocessing,
        precision=started.precision if base is None else base.precision,
        templates=config.templates,
        labels=supports.labels,
        prompts=supports.text.prompts,
        support=supports.clips,
        compact=prototypes is not None,
        text_weight=None if prototypes is None else prototypes.text_weight,
        training=None if pipeline.info is None else pipeline.info.training,
        versions=versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    tensors = (own or changed_tensors(method)) | supports.tensors(prototypes)
    write_checkpoint(path, info, tensors)
