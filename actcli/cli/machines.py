"""Options that spread a run over devices or machines."""

from __future__ import annotations

from typing import Annotated

from actcli.cli.options import complete, option

MACHINE_PANEL = "Many devices or machines"

Devices = Annotated[
    str | None,
    option(
        "--devices", panel=MACHINE_PANEL,
        help="Several, an engine on each: cuda:0,cuda:1, all, or cpu,cpu.",
    ),
]  # fmt: skip
Backend = Annotated[
    str,
    option(
        "--backend", panel=MACHINE_PANEL, autocompletion=complete(lambda: ("local", "ray")),
        help="local, or ray: decode and embed on a Ray cluster.",
    ),
]  # fmt: skip
RayAddress = Annotated[
    str | None,
    option(
        "--ray-address", panel=MACHINE_PANEL, envvar=["ACTCLI_RAY_ADDRESS", "RAY_ADDRESS"],
        help="Of the cluster's head, HOST:PORT. [default: one that is started here]",
    ),
]  # fmt: skip
