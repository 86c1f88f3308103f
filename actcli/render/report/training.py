"""A training run as a report shows it: its curves, its settings and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from actcli.reading import parse_json
from actcli.render.report.charts import Plot, Series, line_plot
from actcli.render.report.collector import failed_of
from actcli.render.report.conditions import base_name, short_digest
from actcli.render.report.model import Page, Tile, Training
from actcli.render.report.numbers import count, decimal, percent
from actcli.train.events import Finished, Prepared, Validation

_SHOWN: Final = {
    "epochs": "epochs", "steps": "steps", "clips_per_step": "clips a step", "learning_rate":
    "highest learning rate", "weight_decay": "weight decay", "schedule": "schedule",
    "warm_up": "warm-up", "clip_norm": "longest gradient", "ema": "running mean",
    "augment": "augmentation", "balance": "balance",
}  # fmt: skip
_LOSSES: Final = 6


@dataclass(slots=True)
class TrainingStory:
    """What a run tells besides its log."""

    prepared: Prepared | None = None
    finished: Finished | None = None

    def take(self, event: object) -> None:
        """Remember an event that the log does not hold."""
        if isinstance(event, Prepared):
            self.prepared = event
        elif isinstance(event, Finished):
            self.finished = event


def read_log(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's log; none where there is no log."""
    records = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        try:
            record = parse_json(line)
        except ValueError:
            continue  # torn
        if isinstance(record, dict):
            records.append(record)
    return records


def training_page(
    settings: Mapping[str, Any], log: Sequence[Mapping[str, Any]], story: TrainingStory, folder: str
) -> Page:
    """The report of a training run.

    settings: what the run is set to, as in its run.json
    log:      the records of its log.jsonl
    """
    config = settings.get("config") or {}
    prepared, notes = story.prepared, []
    if story.finished is None:
        notes.append("The run was interrupted: actcli finetune … --resume goes on.")
    if prepared is not None and prepared.baseline is None:
        notes.append("There is no --val: the last weights count as the best.")
    failures = () if prepared is None else prepared.failures
    return Page(
        title=f"Training of {base_name(folder)}", command="finetune",
        subtitle=f"{config.get('method', '')} on {config.get('model', '')}",
        tiles=_tiles(story, log), conditions=_conditions(settings, prepared),
        record=settings, notes=tuple(notes), training=Training(_plots(log, prepared), _epochs(log)),
        failed=tuple(map(failed_of, failures)),
    )  # fmt: skip


def _tiles(story: TrainingStory, log: Sequence[Mapping[str, Any]]) -> tuple[Tile, ...]:
    prepared, finished = story.prepared, story.finished
    best = _best(log) if finished is None else finished.best
    tiles = []
    if best is not None:
        tiles.append(Tile("best validation", percent(best.top1, 2),
                          f"right of {count(best.clips, 'clip')}"))  # fmt: skip
    if prepared is not None and prepared.baseline is not None:
        base = prepared.baseline
        tiles.append(Tile(prepared.baseline_name, percent(base.top1, 2), "before training"))
        if best is not None:
            gain = 100 * (best.top1 - base.top1)
            sign = "+" if gain > 0 else ""
            tiles.append(Tile("gain", f"{sign}{decimal(gain, 2)}", "percentage points",
                              is_bad=gain <= 0))  # fmt: skip
    if prepared is not None:
        tiles.append(Tile("training clips", f"{prepared.clips:,}",
                          f"of {count(prepared.classes, 'class', 'classes')}"))  # fmt: skip
        share = prepared.learning / max(1, prepared.learning + prepared.frozen)
        tiles.append(Tile("learning", f"{prepared.learning:,}", f"parameters, {share:.2%} of all"))
    if finished is not None:
        tiles.append(Tile("took", f"{finished.seconds:,.0f}\u202fs"))
    return tuple(tiles)


def _best(log: Sequence[Mapping[str, Any]]) -> Validation | None:
    best = None
    for one in log:
        if one.get("val_top1") is not None and one.get("is_best"):
            best = Validation(one["val_top1"], one.get("val_loss") or 0.0, one.get("val_clips", 0))
    return best


def _conditions(
    settings: Mapping[str, Any], prepared: Prepared | None
) -> tuple[tuple[str, str], ...]:
    config = settings.get("config") or {}
    train, run = config.get("train") or {}, config.get("run") or {}
    labels = str(settings.get("labels") or "")
    rows: list[tuple[str, Any]] = [
        ("method", config.get("method")),
        ("model", config.get("model")),
        ("digest of the model", short_digest(settings.get("model_digest") or "")),
        ("labels", f"{len(labels.splitlines()):,}" if labels else None),
        *((name, train.get(key)) for key, name in _SHOWN.items()),
        ("device", prepared.device if prepared else run.get("device")),
        ("precision", prepared.amp if prepared else train.get("amp")),
        ("seed", run.get("seed")),
        ("started", str(settings.get("started") or "").replace("T", " ").replace("+00:00", " UTC")),
        ("digest of training data", short_digest(settings.get("train_digest") or "")),
        ("digest of validation data", short_digest(settings.get("val_digest") or "")),
    ]
    return tuple((name, str(value)) for name, value in rows if value not in (None, ""))


def _plots(log: Sequence[Mapping[str, Any]], prepared: Prepared | None) -> tuple[Plot, ...]:
    steps = [one for one in log if "loss" in one]
    checks = [one for one in log if one.get("val_top1") is not None]
    known = [
        line_plot(
            "Share right", [_series("training", steps, "accuracy", 0),
                            _series("validation", checks, "val_top1", 1, has_dots=True),
                            *_baseline(prepared, log)],
            x_name="step", y_range=(0.0, 1.0),
        ),
        line_plot(
            "Loss", [_series("training", steps, "loss", 0),
                     _series("validation", checks, "val_loss", 1, has_dots=True)],
            x_name="step",
        ),
        _loss_parts(steps),
        line_plot("Learning rate", [_series("learning rate", steps, "learning_rate", 0)],
                  x_name="step"),
    ]  # fmt: skip
    return tuple(plot for plot in known if plot is not None)


def _loss_parts(steps: Sequence[Mapping[str, Any]]) -> Plot | None:
    """The summands of the loss, where there are several."""
    names = list(dict.fromkeys(name for one in steps for name in one.get("losses") or ()))
    if len(names) < 2:
        return None
    series = [
        Series(name, [(one["step"], (one.get("losses") or {}).get(name)) for one in steps], i)
        for i, name in enumerate(names[:_LOSSES])
    ]
    return line_plot("Parts of the loss", series, x_name="step")


def _series(
    name: str, log: Sequence[Mapping[str, Any]], key: str, tone: int, *, has_dots: bool = False
) -> Series:
    return Series(name, [(one["step"], one.get(key)) for one in log], tone, has_dots)


def _baseline(prepared: Prepared | None, log: Sequence[Mapping[str, Any]]) -> list[Series]:
    if prepared is None or prepared.baseline is None or not log:
        return []
    ends = (log[0]["step"], log[-1]["step"])
    return [Series(prepared.baseline_name, [(x, prepared.baseline.top1) for x in ends], 2)]


def _epochs(log: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (str(one["epoch"]), f"{one['step']:,}", percent(one.get("val_top1"), 2),
         decimal(one.get("val_loss"), 4), "best" if one.get("is_best") else "")
        for one in log if "is_best" in one
    )  # fmt: skip
