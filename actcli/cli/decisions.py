"""Options that say what is made of scores: none of these, several at once, calibrated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from actcli.cli.options import complete, option
from actcli.errors import UsageError

if TYPE_CHECKING:
    from actcli.config import DecisionConfig

DECISION_PANEL = "Decisions"
RULES = ("bank", "energy", "cosine", "softmax")

Reject = Annotated[
    bool,
    option(
        "--reject", panel=DECISION_PANEL,
        help="Say where a video shows none of the labels: abstained, below --threshold.",
    ),
]  # fmt: skip
RejectRule = Annotated[
    str | None,
    option(
        "--reject-rule", panel=DECISION_PANEL, autocompletion=complete(lambda: RULES),
        help="bank, energy, cosine or softmax. [default: the calibration's, or bank; softmax for "
        "few-shot files]",
    ),
]  # fmt: skip
TargetFalseAccept = Annotated[
    float | None,
    option(
        "--target-false-accept", panel=DECISION_PANEL,
        help="Share of videos of none of the labels that may pass, by the calibration.",
    ),
]  # fmt: skip
MultiLabel = Annotated[
    bool,
    option(
        "--multi-label", panel=DECISION_PANEL,
        help="Judge each label alone: several may hold, or none.",
    ),
]  # fmt: skip
Calibration = Annotated[
    str | None,
    option(
        "--calibration", panel=DECISION_PANEL,
        help="A file of actcli calibrate; none leaves out what a checkpoint carries.",
    ),
]  # fmt: skip
FrameWeights = Annotated[
    bool,
    option(
        "--frame-weights", panel=DECISION_PANEL,
        help="Let frames count the more, the better they fit a label.",
    ),
]  # fmt: skip

_NAMES = (
    "reject", "reject_rule", "target_false_accept", "multi_label", "calibration", "frame_weights",
)  # fmt: skip


def with_decisions(flags: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options of a task with those of this panel.

    `--threshold` is that of segments where there are some, else of `--reject` or `--multi-label`.
    """
    found = options | {name: flags[name] for name in _NAMES if flags.get(name)}
    if flags.get("target_false_accept") is not None:
        found["target_false_accept"] = flags["target_false_accept"]
    if flags.get("reject_rule") not in (None, *RULES):
        raise UsageError(
            f"--reject-rule: unknown (got {flags['reject_rule']!r}, expected {', '.join(RULES)})"
        )
    if "threshold" not in found or found.get("segments"):
        return found
    for name, home in (("reject", "reject_threshold"), ("multi_label", "label_threshold")):
        if found.get(name):
            found[home] = found.pop("threshold")
            return found
    raise UsageError("--threshold: is for --segments, --reject or --multi-label")


def extra_columns(decisions: DecisionConfig) -> tuple[str, ...]:
    """The columns of CSV and TSV that a run has beyond the usual ones."""
    from actcli.render.cells import REJECT_COLUMNS, SEVERAL_COLUMNS

    if decisions.reject:
        return REJECT_COLUMNS
    return SEVERAL_COLUMNS if decisions.multi_label else ()
