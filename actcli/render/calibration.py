"""What a calibration is worth, as lines for people: errors before and after, and how right when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from actcli.render.console import is_unicode, printable

if TYPE_CHECKING:
    from actcli.models.calibrated import Calibration

_WIDTH: Final = 20
_BLOCK: Final = "█"
_RULES: Final = {
    "bank": "bank     best label's share against other words",
    "energy": "energy   log-sum of all labels",
    "cosine": "cosine   of the best label",
    "softmax": "softmax  best label's score",
}


def print_calibration(console: Console, calibration: Calibration) -> None:
    """The lines on a console, control characters of names spelled out."""
    for line in calibration_lines(calibration):
        safe = printable(line)
        if not is_unicode(console):
            safe = safe.replace(_BLOCK, "#").encode("ascii", "backslashreplace").decode("ascii")
        console.print(safe, soft_wrap=True)


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """A calibration, a fact a line; its plot has a line for each bin of scores."""
    measured = calibration.measured
    bias = f", bias {calibration.bias:.3f}" if calibration.bias else ""
    yield (
        f"temperature {calibration.temperature:.3f}{bias}: fitted on {measured['fitted_on']} "
        f"videos, measured on {measured['videos']} others"
    )
    what = "each label" if calibration.multi_label else "the best label"
    for stage in ("before", "after"):
        low, high = measured[stage]["interval"]
        yield (
            f"calibration error {stage:6} {measured[stage]['ece']:.4f} "
            f"(95 % interval {low:.4f} to {high:.4f}), {what}"
        )
    for stage in ("before", "after"):
        yield from _plot(stage, measured[stage]["bins"])
    if calibration.multi_label:
        yield (
            f"mean average precision {measured['map']:.3f}; F1 {measured['f1_before']:.3f} at 0.5 "
            f"before, {measured['f1_after']:.3f} at the thresholds of the labels"
        )
    if "rules" in measured:
        is_left_out = measured["unknown_are"] == "left out"
        yield (
            "none of these: each label left out in turn, with its videos"
            if is_left_out
            else f"none of these: {measured['unknown']} videos of other labels"
        )
        yield from _rules(calibration, measured["rules"])


def _plot(stage: str, bins: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield f"  {stage}: score        videos  said  right"
    for low, high, number, said, right in bins:
        bar = _BLOCK * round(right * _WIDTH)
        yield f"    {low:5.2f} to {high:4.2f} {number:9} {said:6.2f} {right:6.2f}  {bar}"


def _rules(calibration: Calibration, rules: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield "  rule                                       AUROC  at 95 % recall  at its threshold"
    for name, numbers in rules.items():
        mark = "*" if name == calibration.rule else " "
        yield (
            f"{mark} {_RULES[name]:48}"[:44] + f"{numbers['auroc']:6.3f} "
            f"{numbers['false_accept_at_95_recall']:9.1%} pass "
            f"{numbers['false_accept']:9.1%} pass, {numbers['recall']:.1%} of the known kept"
        )
