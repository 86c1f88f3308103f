"""`actcli demo`: labelled drawn clips to try everything with, offline."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import typer

from actcli.cli import options as opt
from actcli.errors import ResourceError, UsageError, did_you_mean

Which: TypeAlias = Literal["single", "pairs", "novel", "all"]
SETS: Final[tuple[Which, ...]] = ("single", "pairs", "novel", "all")


def command(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Folder to write; new or empty.")],
    which: Annotated[
        str,
        opt.option(
            "--set",
            panel=opt.INPUT_PANEL,
            autocompletion=opt.complete(lambda: SETS),
            help="single: 14 actions; pairs: only time order tells; novel: never trained; all.",
        ),
    ] = "single",
    per_class: Annotated[
        int | None,
        opt.option(
            "--per-class",
            panel=opt.INPUT_PANEL,
            min=1,
            help="Query clips a class, beside 5 support clips. [default: 10]",
        ),
    ] = None,
    seed: Annotated[
        int, opt.option("--seed", panel=opt.INPUT_PANEL, min=0, help="Same seed, same clips.")
    ] = 0,
    force: Annotated[
        bool,
        opt.option("--force", panel=opt.OUTPUT_PANEL, help="Write into a folder that has files."),
    ] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Draw labelled little films of stick figures, to try every command with.

        actcli demo try
        actcli classify try/query --labels-file try/labels.txt --model demo
        actcli demo pairs --set pairs --per-class 40 --seed 3

    Writes DIR/support/<label>/*.mp4, DIR/query/<label>/*.mp4, DIR/labels.txt, DIR/manifest.csv.
    """  # fmt: skip
    chosen = next((name for name in SETS if name == which), None)
    if chosen is None:
        raise UsageError(
            f"--set: unknown set (got {which!r}, expected {', '.join(SETS)})",
            hint=did_you_mean(which, SETS),
        )
    folder = Path(directory or ".")
    try:
        is_used = os.path.lexists(folder) and any(folder.iterdir())
    except NotADirectoryError as error:
        raise UsageError(f"{directory}: is a file (expected a folder)") from error
    except OSError as error:
        raise ResourceError(f"{directory}: can't be read ({error.strerror})") from error
    if is_used and not force:
        raise UsageError(f"{folder}: is not empty", hint="name a new folder, or use --force")
    from actcli.demo.clips import count_demo, write_demo
    from actcli.render.console import say
    from actcli.render.progress import ProgressBar, wants_progress

    console = opt.start_messages(quiet=quiet)
    total = count_demo(chosen, per_class)
    try:
        with ProgressBar(console, total=total, enabled=wants_progress(quiet=quiet)) as bar:
            for _ in write_demo(folder, which=chosen, per_class=per_class, seed=seed):
                bar.advance()
    except OSError as error:
        raise ResourceError(f"{directory}: can't write ({error.strerror or error})") from error
    if not quiet:
        name = shlex.quote(directory.rstrip("/"))
        say(f"try: actcli classify {name}/query --labels-file {name}/labels.txt --model demo")
