"""A calibration as a report shows it: reliability before and after, and the rules of rejection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from actcli.render.report.conditions import conditions_of
from actcli.render.report.evaluation import NAMES, curve
from actcli.render.report.model import Bin, Page, Part, Tile
from actcli.render.report.numbers import THIN, count, decimal, percent

if TYPE_CHECKING:
    from actcli.models.calibrated import Calibration

_STAGES: Final = {"before": "Scores as the model gives them", "after": "Calibrated scores"}


def calibration_page(calibration: Calibration, run: Mapping[str, Any]) -> Page:
    """The report of a calibration.

    run: the record of its run, of schema `actcli.run/1`
    """
    measured = calibration.measured
    parts = [_stage(stage, name, measured) for stage, name in _STAGES.items()]
    if "rules" in measured:
        parts.append(_rules(calibration, measured["rules"]))
    tiles = [Tile("temperature", decimal(calibration.temperature))]
    if calibration.bias:
        tiles.append(Tile("bias", decimal(calibration.bias)))
    tiles += [Tile(f"calibration error {stage}", percent(measured[stage]["ece"], 2),
                   _interval(measured[stage])) for stage in _STAGES]  # fmt: skip
    return Page(
        title="Calibration", command="calibrate",
        subtitle=f"of {calibration.model_name}, {count(len(calibration.labels), 'label')}",
        tiles=tuple(tiles), conditions=tuple(conditions_of(run)), record=run,
        notes=(
            f"Fitted on {count(measured['fitted_on'], 'video')}; every number here is of "
            f"{measured['videos']} others.",
        ),
        parts=tuple(parts),
    )  # fmt: skip


def _interval(stage: Mapping[str, Any]) -> str:
    low, high = stage["interval"]
    return f"95{THIN}% interval {percent(low, 2)} to {percent(high, 2)}"


def _stage(stage: str, name: str, measured: Mapping[str, Any]) -> Part:
    own = measured[stage]
    tile = Tile(NAMES["ece"], percent(own["ece"], 2), _interval(own))
    bins = [Bin(*one) for one in own["bins"]]
    return Part(name, (tile,), (), None, (), curve(bins, own["ece"]), (), 0)


def _rules(calibration: Calibration, rules: Mapping[str, Mapping[str, float]]) -> Part:
    tiles = tuple(
        Tile(
            f"{name}, chosen" if name == calibration.rule else name,
            decimal(rule["auroc"]),
            f"AUROC; {percent(rule['false_accept_at_95_recall'])} pass at 95{THIN}% recall",
        )
        for name, rule in rules.items()
    )
    return Part("None of these, by rule", tiles, (), None, (), None, (), 0)
