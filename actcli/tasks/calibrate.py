"""Calibrate: labelled videos in, what makes scores mean what they say out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actcli.checkpoint import find_checkpoint, read_checkpoint, read_info, write_checkpoint
from actcli.config import ClassifyConfig
from actcli.data.labels import LabelSet
from actcli.drafts import draft_of
from actcli.errors import InputError, ResourceError, UsageError, shorten_list
from actcli.models.calibrated import Calibration
from actcli.tasks.classify import Classification
from actcli.tasks.deciding import NO_CALIBRATION, identity_of
from actcli.tasks.examples import KnownExamples
from actcli.tasks.settings import versions
from actcli.types import Failure, Run, VideoRef

if TYPE_CHECKING:
    from actcli.eval.calibration import Evidence
    from actcli.models.hub_client import DownloadReport
    from actcli.tasks.pipeline import Started

log = logging.getLogger("actcli.tasks.calibrate")

_FEW = 30
"""Videos to measure on, under which an error of calibration is mostly chance."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What came out: the calibration, and which videos could not be used."""

    calibration: Calibration
    run: Run
    failures: tuple[Failure, ...]


class Calibrating:
    """One run of `calibrate`.

    refs:   labelled videos, one row for each label of a video; a label that is not among `labels`
        makes a video of none of them
    labels: None where they are the checkpoint's, or else all that the videos have
    report: hears of the model's download, if there is one

    Raises UsageError for labels that tell nothing, ModelError for a model that can't be used.
    """

    def __init__(
        self,
        refs: Sequence[VideoRef],
        labels: LabelSet | None,
        config: ClassifyConfig,
        report: DownloadReport | None = None,
    ) -> None:
        decisions = config.decisions.model_copy(update={"calibration": NO_CALIBRATION})
        config = config.model_copy(update={"decisions": decisions})
        self._several = decisions.multi_label
        if config.windows.window_s is not None:
            raise UsageError("--window: videos are calibrated whole; classify --window may use it")
        seen = LabelSet.from_names(dict.fromkeys(ref.label or "" for ref in refs), source="videos")
        self.task = Classification(labels or _own_labels(config, seen), config, report)
        self.labels = self.task.labels
        self._videos = _grouped(refs, self.labels)
        if not any(self._videos.values()):
            raise UsageError(
                f"no video has one of the labels (got {shorten_list(seen.names)}, "
                f"expected {shorten_list(self.labels.names)})"
            )

    def run(self, *, seed: int = 0) -> Calibrated:
        """Embed the videos, fit on one half of them and measure on the other.

        Raises InputError where too few videos can be read.
        """
        from actcli.eval.calibration import fit, halves, measure

        if len(self.labels) == 1 and not self._several:
            raise InputError(
                "one label alone has score 1 whatever happens", hint="calibrate with all labels"
            )
        evidence, failures = self._evidence()
        chosen = halves(evidence.truth, seed)
        held_out = evidence.only(~chosen)
        if not bool(held_out.truth.any()):
            raise InputError("too few videos to calibrate: at least two of a label are needed")
        if len(held_out.truth) < _FEW:
            log.warning(
                "measured on %d videos only: the numbers and thresholds mean little under %d",
                len(held_out.truth), _FEW,
            )  # fmt: skip
        found = fit(evidence.only(chosen), several=self._several)
        measured = measure(held_out, found, several=self._several, seed=seed)
        measured |= {"fitted_on": int(chosen.sum()), "seed": seed}
        calibration = Calibration(
            model_name=self.task.model_name,
            identity=identity_of(self.task.pipeline),
            labels=tuple(self.labels),
            prompts=self.task.prompts,
            multi_label=self._several,
            score_kind=evidence.score_kind,
            temperature=found.temperature,
            bias=found.bias,
            rule=found.rule,
            known=found.known or {},
            unknown=found.unknown or {},
            label_thresholds=found.label_thresholds,
            measured=measured,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
        )
        run = replace(self.task.run(), command="calibrate")
        return Calibrated(calibration, run, failures)

    def _evidence(self) -> tuple[Evidence, tuple[Failure, ...]]:
        refs = list(self._videos)
        self._warn_of_examples(refs)
        rows: list[tuple[Any, ...]] = []
        failures = []
        with self.task.pipeline.start(refs) as started:
            judge, kind = self._judge(started)
            for video in started.engine.embed(refs):
                if isinstance(video, Failure):
                    failures.append(self.task.pipeline.failure(video))
                else:
                    rows.append((*judge(video.values), self._videos[video.ref]))
        if not rows:
            raise InputError(f"none of the {len(refs)} videos can be read")
        return self._stacked(rows, kind), tuple(failures)

    def _warn_of_examples(self, refs: Sequence[VideoRef]) -> None:
        info, cache = self.task.pipeline.info, self.task.pipeline.cache
        if info is None or not info.support:
            return
        known = KnownExamples(info.support, cache)
        if count := sum(known.has_content(ref) for ref in refs):
            log.warning(
                "%d of %d videos are examples of %s: it is surer of them than of others",
                count, len(refs), self.task.model_name,
            )  # fmt: skip

    def _judge(self, started: Started) -> tuple[Any, Any]:
        """(embeddings of a video -> its logits, cosines and logits of the bank; kind of scores)"""
        import torch

        from actcli.models.multi_label import against_rest

        plain = self.task.plain_scorer(started)
        wants_bank = not self.task.is_few_shot and not (
            self._several and plain.score_kind == "sigmoid"
        )
        scorer, bank = self.task.decisions.parts(plain, started, with_bank=wants_bank)

        def judge(values: Any) -> tuple[Any, Any, Any]:
            with torch.inference_mode():
                logits, near, _ = scorer.compare(values)
                others = None if bank is None else bank(values)
                if self._several and others is not None:
                    logits = against_rest(logits, others)
            near, others = (None if each is None else each.cpu() for each in (near, others))
            return logits.cpu(), near, others

        return judge, "sigmoid" if self._several else plain.score_kind

    def _stacked(self, rows: Sequence[tuple[Any, ...]], kind: Any) -> Evidence:
        import torch

        from actcli.eval.calibration import ENOUGH_UNKNOWN, Evidence

        logits, near, bank, places = zip(*rows, strict=True)
        truth = torch.zeros(len(rows), len(self.labels), dtype=torch.bool)
        for n, own in enumerate(places):
            truth[n, list(own)] = True
        num_unknown = int((~truth.any(1)).sum())
        return Evidence(
            torch.stack(logits),
            None if near[0] is None else torch.stack(near),
            None if bank[0] is None or self._several else torch.stack(bank),
            truth, kind, self.task.is_few_shot, num_unknown >= ENOUGH_UNKNOWN,
        )  # fmt: skip


def _own_labels(config: ClassifyConfig, seen: LabelSet) -> LabelSet | None:
    """The labels of the videos, unless a checkpoint brings its own."""
    path = find_checkpoint(config.model)
    return None if path is not None and read_info(path).labels else seen


def _grouped(refs: Iterable[VideoRef], labels: LabelSet) -> dict[VideoRef, tuple[int, ...]]:
    """The classes of each video, none for one of other labels."""
    found: dict[VideoRef, tuple[int, ...]] = {}
    for ref in refs:
        name = None if ref.label is None else labels.find(ref.label)
        video = replace(ref, label=None)
        own = () if name is None else (name,)
        found[video] = tuple(dict.fromkeys((*found.get(video, ()), *own)))
    return found


def check_target(path: str, model: str) -> None:
    """Raise UsageError for an output that can't be, before hours of work."""
    target = Path(path)
    if target.suffix not in (".json", ".safetensors"):
        raise UsageError(f"-o {path}: ends in .json, or in .safetensors for a checkpoint with it")
    if target.suffix == ".safetensors" and find_checkpoint(model) is None:
        raise UsageError(
            f"-o {path}: {model} is no checkpoint, so its calibration is a file of its own",
            hint=f"-o {target.with_suffix('.json')}",
        )
    if not target.parent.is_dir():
        raise UsageError(f"-o {path}: no such folder")


def save_calibration(path: str, calibration: Calibration, model: str) -> None:
    """Write a calibration: a JSON file, or the checkpoint with it in its header.

    Raises ResourceError if it can't be written.
    """
    target = Path(path)
    if target.suffix == ".safetensors":
        source = find_checkpoint(model)
        assert source is not None, "see check_target"
        info, tensors = read_checkpoint(source)
        kept = {k: v for k, v in calibration.identity.items() if k not in ("model", "checkpoint")}
        stated = calibration.model_copy(update={"identity": kept}).stated()
        write_checkpoint(target, info.model_copy(update={"calibration": stated}), tensors)
        return
    try:
        with draft_of(target) as draft:
            draft.write_text(json.dumps(calibration.stated(), indent=1) + "\n", encoding="ascii")
    except OSError as error:
        raise ResourceError(f"-o {path}: can't be written ({error.strerror})") from error
