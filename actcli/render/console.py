"""The terminal: consoles, log lines and errors on stderr, and text that can't harm a terminal.

Rich honours NO_COLOR, FORCE_COLOR and TERM. Names that users gave are never read as markup.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from actcli.errors import ActcliError
from actcli.render.sinks import StreamSink

# C0, DEL and C1 controls, marks that reverse or hide text, separators that break lines, surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_UNSAFE_IN_MESSAGE = re.compile(f"(?!\n){_UNSAFE.pattern}")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LEVEL_STYLES = {"error": "bold red", "warning": "yellow", "info": "dim", "debug": "dim"}


class PipeSafeConsole(Console):
    """A console that survives a closed pipe; rich itself would exit with 1.

    On stdout a closed pipe is its caller's: nobody wants more results. On stderr it only means
    that nobody reads the messages, so they are dropped and the work goes on.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, or on stderr fall silent where a disk behind it is full."""
        try:
            super().print(*objects, **options)
        except BrokenPipeError:
            raise
        except OSError:
            if not self.stderr:
                raise
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Fall silent on stderr, else raise the error that is being handled."""
        if not self.stderr:
            raise  # noqa: PLE0704
        self.quiet = True


def make_console(stream: TextIO | None = None, *, stderr: bool = False) -> Console:
    """A console for `stream`, or for stdout or stderr; it highlights and interprets nothing."""
    return PipeSafeConsole(file=stream, stderr=stderr, highlight=False, markup=False, emoji=False)


def console_for_rows(bar: Console) -> Console:
    """The console for a table on stdout: that of the bar where both are one terminal."""
    return bar if is_same_terminal() else make_console()


def printable(text: str) -> str:
    """The text with control characters and broken bytes spelled out: "a\\x1b[2J.mp4"."""
    return _UNSAFE.sub(_spell, text)


def _spell(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def is_unicode(console: Console) -> bool:
    """True if the terminal can show more than ASCII."""
    return console.encoding.lower().replace("_", "-").startswith("utf")


def print_message(console: Console, level: str, message: str) -> None:
    """One line `level: message`; long lines are left to the terminal to wrap."""
    safe = _UNSAFE_IN_MESSAGE.sub(_spell, message)
    if not is_unicode(console):
        safe = safe.encode("ascii", "backslashreplace").decode("ascii")
    text = Text.assemble((f"{level}: ", _LEVEL_STYLES.get(level, "")), safe)
    console.print(text, soft_wrap=True)


def say(line: str) -> None:
    """One line on stderr, which nobody has to read."""
    make_console(stderr=True).print(Text(printable(line)), soft_wrap=True)


def print_name(name: str) -> None:
    """A name on stdout: as it is for programs, and as a terminal may show it to people."""
    if is_terminal(sys.stdout):
        make_console().print(Text(printable(name)), soft_wrap=True)
    else:
        StreamSink(sys.stdout).write(name + "\n")


def print_error(error: ActcliError, console: Console | None = None) -> None:
    """`error: …` and, if there is one, `hint: …` on stderr."""
    console = console or make_console(stderr=True)
    print_message(console, "error", error.message)
    if error.hint:
        print_message(console, "hint", error.hint)


class ConsoleHandler(logging.Handler):
    """Prints log records through a console, so that a progress bar below them stays whole."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; a traceback follows where the record has one."""
        try:
            level = "error" if record.levelno > logging.ERROR else record.levelname.lower()
            print_message(self.console, level, self.format(record))
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)


def install_logging(
    console: Console, *, verbosity: int = 0, quiet: bool = False
) -> logging.Handler:
    """Send the messages of actcli to `console`: warnings, with `-v` infos, `-q` errors only.

    Returns the handler; an earlier one of ours is replaced.
    """
    root = logging.getLogger("actcli")
    for handler in [item for item in root.handlers if isinstance(item, ConsoleHandler)]:
        root.removeHandler(handler)
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    root.setLevel(logging.ERROR if quiet else levels[min(verbosity, 2)])
    root.propagate = False
    handler = ConsoleHandler(console)
    root.addHandler(handler)
    return handler


def is_terminal(stream: TextIO) -> bool:
    """True for a stream that a person looks at; FORCE_COLOR makes no difference."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def is_same_terminal(a: TextIO | None = None, b: TextIO | None = None) -> bool:
    """True if two streams (stdout and stderr) are one terminal, where a bar and rows collide."""
    a, b = a or sys.stdout, b or sys.stderr
    if not (is_terminal(a) and is_terminal(b)):
        return False
    try:
        return os.path.sameopenfile(a.fileno(), b.fileno())
    except (OSError, ValueError):
        return True
