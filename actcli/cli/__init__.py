"""The command line: flags to config, config to task, results to a renderer, errors to exit codes.

Nothing heavy is imported before a command body runs, so that `--help` answers at once.
"""

from __future__ import annotations

import errno
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from actcli.cli import (
    cache,
    calibrate,
    classify,
    data,
    demo,
    doctor,
    embed,
    evaluate,
    fewshot,
    finetune,
    labels,
    models,
    sort,
    stopping,
)
from actcli.errors import ActcliError, ResourceError

EXIT_CODES = (
    "Exit codes: 0 ok · 1 a bug of ours · 2 usage · 3 finished, some inputs failed · 4 nothing "
    "usable (input, model, machine) · 5 a quality gate was missed · 130 Ctrl-C · 143 terminated. "
    "Every option can be set by the environment as well: ACTCLI_MODEL=demo is --model demo."
)


_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_NO_MEMORY = re.compile("failed to map segment|an't allocate memory|annot allocate memory")
_DISK = (errno.ENOSPC, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))


class ErrorMappingGroup(TyperGroup):
    """Turns what a command raises into the exit code and the sentence of the contract."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the command line, which prints help and the version."""
        with _mapped():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; the only place that knows what an exception means to a shell."""
        with _mapped(ctx):
            _check_working_directory()
            return super().invoke(ctx)


@contextmanager
def _mapped(ctx: Any = None) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if stopping.SIGNALLED:  # whatever a library made of it on the way up
            stopping.leave_as_signalled()
        # With rich, a closed pipe ends in a SystemExit of its own.
        closed = error.__context__ if isinstance(error, SystemExit) else error
        if isinstance(closed, BrokenPipeError):
            stopping.leave(0)
        known = error if isinstance(error, ActcliError) else _limit_of_machine(error)
        if known is None:
            raise
        _report(known, keep_trace=ctx is not None and bool(ctx.params.get("debug")))
        raise typer.Exit(known.exit_code) from None


def _limit_of_machine(error: BaseException) -> ResourceError | None:
    """What an error that nobody translated says of this machine; None if it is a bug of ours."""
    is_short = isinstance(error, ImportError | RuntimeError) and _NO_MEMORY.search(str(error))
    if isinstance(error, MemoryError) or is_short:
        said = str(error).partition("\n")[0]
        return ResourceError(f"this machine: out of memory ({said})", hint="ulimit -v")
    number = error.errno if isinstance(error, OSError) else None
    said = getattr(error, "strerror", None) or str(error)
    if number in _LIMITS:
        return ResourceError(f"this machine: {said}", hint="ulimit -a")
    return ResourceError(f"a file or stdout: {said}") if number in _DISK else None


def _check_working_directory() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:  # libraries end the process for that
        raise ResourceError("the working directory was removed", hint="cd elsewhere") from None


def _report(error: ActcliError, *, keep_trace: bool) -> None:
    from actcli.render.console import print_error

    if keep_trace:
        traceback.print_exception(error)
    print_error(error)


def _open_closed_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr something in their place.

    Otherwise the next file that is opened becomes one of them, and messages end up in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, mode))


app = typer.Typer(
    cls=ErrorMappingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


def _help(command: Callable[..., None]) -> str:
    """Examples first, as people read help; then what the docstring says."""
    summary, examples, *rest = (inspect.getdoc(command) or "").split("\n\n")
    texts = [" ".join(paragraph.split()) for paragraph in (summary, *rest)]
    return "\n\n".join(["\b\n" + inspect.cleandoc(examples), *texts])


def _read_once(command: Callable[..., None]) -> Callable[..., None]:
    """The command with types as its annotations, which Typer would read from text several times."""
    command.__annotations__ = inspect.get_annotations(command, eval_str=True)
    return command


for _command in (classify, fewshot, finetune, evaluate, embed, calibrate, sort, demo, doctor):
    _own_name = _command.__name__.rpartition(".")[2]
    app.command(
        "eval" if _command is evaluate else _own_name,  # which is a built-in of Python
        help=_help(_command.command),
        short_help=(_command.command.__doc__ or "").split("\n")[0].rstrip("."),
        epilog=EXIT_CODES,
    )(_read_once(_command.command))


for _group in (models, data, labels, cache):
    _group_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", epilog=EXIT_CODES)
    for _name, _subcommand in _group.SUBCOMMANDS.items():
        _group_app.command(
            _name,
            help=_help(_subcommand),
            short_help=(_subcommand.__doc__ or "").split("\n")[0].rstrip("."),
            epilog=EXIT_CODES,
        )(_read_once(_subcommand))
    app.add_typer(
        _group_app,
        name=_group.__name__.rpartition(".")[2],
        help=_help(_group.group),
        short_help=(_group.group.__doc__ or "").split("\n")[0].rstrip("."),
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"actcli {version('actcli')}")
        raise typer.Exit


@app.callback(
    help="""\b
actcli classify clip.mp4 --labels "run,jump,sit down"
actcli classify videos/ --labels-file kinetics400 --top 5 -o preds.csv
actcli fewshot query/*.mp4 --support examples/
actcli demo try && actcli classify try/query -L try/labels.txt --model demo

Tell what happens in a video, offline, from the command line."""
)
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and end."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="ACTCLI_DEBUG", help="Keep tracebacks of errors.")
    ] = False,
) -> None:
    """Tell what happens in a video, offline, from the command line."""


def main() -> None:
    """Entry point of the `actcli` program."""
    _open_closed_streams()
    stopping.heed_signals()
    try:
        _run()
    except stopping.Stopped:  # before or after the command itself
        stopping.leave_as_signalled()


def _run() -> None:
    try:
        app(prog_name="actcli")
    except SystemExit:
        stopping.leave_at_signals()
        _flush()
        raise


def _flush() -> None:
    """What Python would only do when nobody can hear of errors any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        stopping.leave(0)
    except OSError as error:
        _report(ResourceError(f"stdout: {error.strerror}"), keep_trace=False)
        stopping.leave(ResourceError.exit_code)
