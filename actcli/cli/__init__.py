"""The command line: flags to config, config to task, results to a renderer, errors to exit codes.

Nothing heavy is imported before a command body runs, so that `--help` answers at once.
"""

from __future__ import annotations

import errno
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

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
)
from actcli.errors import ActcliError, ResourceError

EXIT_CODES = (
    "Exit codes: 0 ok · 1 a bug of ours · 2 usage · 3 finished, some inputs failed · 4 nothing "
    "usable (input, model, machine) · 5 a quality gate was missed · 130 Ctrl-C · 143 terminated. "
    "Every option can be set by the environment as well: ACTCLI_MODEL=demo is --model demo."
)


_SIGNALLED: list[int] = []
_EXIT_OF_SIGNAL = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Stopped(BaseException):
    """SIGINT or SIGTERM arrived: unwind, so that workers are gone and files are whole."""


class ErrorMappingGroup(TyperGroup):
    """Turns what a command raises into the exit code and the sentence of the contract."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; the only place that knows what an exception means to a shell."""
        try:
            return super().invoke(ctx)
        except BaseException as error:
            if _SIGNALLED:  # whatever a library made of it on the way up
                _leave(*_EXIT_OF_SIGNAL[signal.Signals(_SIGNALLED[0])])
            if isinstance(error, BrokenPipeError):
                _leave(0)
            if isinstance(error, OSError) and error.errno in _LIMITS:
                error = ResourceError(f"this machine: {error.strerror}", hint="ulimit -a")
            if not isinstance(error, ActcliError):
                raise
            _report(error, keep_trace=bool(ctx.params.get("debug")))
            raise typer.Exit(error.exit_code) from None


def _report(error: ActcliError, *, keep_trace: bool) -> None:
    from actcli.render.console import print_error

    if keep_trace:
        traceback.print_exception(error)
    print_error(error)


def _leave(code: int, message: str = "") -> NoReturn:
    """End now: threads that wait on stdin or on a decoder must not delay it."""
    try:
        if message:
            print(message, file=sys.stderr)
        sys.stderr.flush()
        sys.stdout.flush()
    except OSError:
        pass  # whoever read us is gone
    os._exit(code)


def _stop(number: int, frame: object) -> NoReturn:
    _SIGNALLED.append(number)
    raise Stopped


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


for _command in (classify, fewshot, finetune, evaluate, embed, calibrate, sort, demo, doctor):
    _own_name = _command.__name__.rpartition(".")[2]
    app.command(
        "eval" if _command is evaluate else _own_name,  # which is a built-in of Python
        help=_help(_command.command),
        short_help=(_command.command.__doc__ or "").split("\n")[0].rstrip("."),
        epilog=EXIT_CODES,
    )(_command.command)


for _group in (models, data, labels, cache):
    _group_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", epilog=EXIT_CODES)
    for _name, _subcommand in _group.SUBCOMMANDS.items():
        _group_app.command(
            _name,
            help=_help(_subcommand),
            short_help=(_subcommand.__doc__ or "").split("\n")[0].rstrip("."),
            epilog=EXIT_CODES,
        )(_subcommand)
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
    for number in _EXIT_OF_SIGNAL:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells set it
            signal.signal(number, _stop)
    try:
        app(prog_name="actcli")
    except Stopped:  # before or after the command itself
        _leave(*_EXIT_OF_SIGNAL[signal.Signals(_SIGNALLED[0])])
