"""Options that cut videos into windows."""

from __future__ import annotations

from typing import Annotated

from actcli.cli.options import OUTPUT_PANEL, option

WINDOW_PANEL = "Windows"

Window = Annotated[
    float | None,
    option(
        "--window", panel=WINDOW_PANEL,
        help="Seconds of a window: one result for each, every --stride seconds.",
    ),
]  # fmt: skip
Segments = Annotated[
    bool, option("--segments", panel=WINDOW_PANEL, help="Merge windows into segments.")
]
Threshold = Annotated[
    float | None,
    option(
        "--threshold", panel=WINDOW_PANEL,
        help="Score from which a label starts a segment. [default: none, or 0.5 for sigmoids]",
    ),
]  # fmt: skip
Hysteresis = Annotated[
    float,
    option(
        "--hysteresis", panel=WINDOW_PANEL,
        help="How much better another label must be to follow.",
    ),
]  # fmt: skip
MinLength = Annotated[
    float, option("--min-length", panel=WINDOW_PANEL, help="Shortest segment (seconds).")
]
Shots = Annotated[
    bool, option("--shots", panel=WINDOW_PANEL, help="No window reaches across a cut.")
]
Explain = Annotated[
    bool,
    option("--explain", panel=OUTPUT_PANEL, help="Tell how similar each frame alone is to labels."),
]
