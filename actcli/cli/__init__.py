"""The command line: flags to config, config to task, results to a renderer, errors to exit codes.

Nothing heavy is imported before a command body runs, so that `--help` answers at once.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from actcli.cli import classify, demo, doctor, models
from actcli.errors import ActcliError

EXIT_CODES = (
    "Exit codes: 0 ok · 1 a bug of ours · 2 usage · 3 finished, some inputs failed · 4 nothing "
    "usable (input, model, machine) · 5 a quality gate was missed · 130 Ctrl-C · 143 terminated. "
    "Every option can be set by the environment as well: ACTCLI_MODEL=demo is --model demo."
)


class Terminated(BaseException):
    """SIGTERM arrived: unwind like Ctrl-C, so that workers are gone and files are whole."""


class ErrorMappingGroup(TyperGroup):
    """Turns what a command raises into the exit code and the sentence of the contract."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; the only place that knows what an exception means to a shell."""
        try:
            return super().invoke(ctx)
        except ActcliError as error:
            if ctx.params.get("debug"):
                raise
            from actcli.render.console import print_error

            print_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _leave(130, "interrupted")
        except Terminated:
            _leave(143, "terminated")
        except BrokenPipeError:
            _leave(0)


def _leave(code: int, message: str = "") -> NoReturn:
    """End now: threads that wait on stdin or on a decoder must not delay it."""
    if message:
        print(message, file=sys.stderr)
    try:
        sys.stderr.flush()
        sys.stdout.flush()
    except OSError:
        pass  # whoever read us is gone
    os._exit(code)


def _terminate(*_: object) -> NoReturn:
    raise Terminated


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


for _command in (classify, demo, doctor):
    app.command(
        _command.__name__.rpartition(".")[2],
        help=_help(_command.command),
        short_help=(_command.command.__doc__ or "").split("\n")[0].rstrip("."),
        epilog=EXIT_CODES,
    )(_command.command)


models_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", epilog=EXIT_CODES)
for _name, _subcommand in models.SUBCOMMANDS.items():
    models_app.command(
        _name,
        help=_help(_subcommand),
        short_help=(_subcommand.__doc__ or "").split("\n")[0].rstrip("."),
        epilog=EXIT_CODES,
    )(_subcommand)
app.add_typer(
    models_app,
    name="models",
    help=_help(models.group),
    short_help=(models.group.__doc__ or "").split("\n")[0].rstrip("."),
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
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(prog_name="actcli")
    except KeyboardInterrupt:  # before or after the command itself
        _leave(130, "interrupted")
