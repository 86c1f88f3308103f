import io
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from actcli.errors import UsageError
from actcli.render.console import (
    console_for_rows,
    install_logging,
    is_same_terminal,
    is_terminal,
    make_console,
    print_error,
    print_message,
    printable,
)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=40, highlight=False)


@pytest.fixture
def logs(console):
    root = logging.getLogger("actcli")
    before = (root.level, root.propagate, list(root.handlers))
    yield lambda **options: install_logging(console, **options)
    root.level, root.propagate, root.handlers = before


def test_control_characters_and_broken_bytes_are_spelled_out():
    assert printable("a\x1b[2J\n\udcff\u202e.mp4") == "a\\x1b[2J\\n\\xff\\u202e.mp4"
    assert printable("Überfall 走る 🏃") == "Überfall 走る 🏃"


@given(st.text(st.characters(exclude_categories=[])))
def test_printable_text_has_no_controls_and_can_be_encoded(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)


def test_errors_come_with_their_hint(console):
    print_error(UsageError("a.mp4: bad\x1b (got [red]1[/red])", hint="try b"), console)
    assert console.file.getvalue() == "error: a.mp4: bad\\x1b (got [red]1[/red])\nhint: try b\n"


def test_errors_go_to_stderr(capsys):
    print_error(UsageError("wrong"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: wrong\n")


def test_long_messages_are_not_broken(console):
    print_message(console, "warning", "word " * 30 + "end")
    assert console.file.getvalue().count("\n") == 1


def test_an_ascii_terminal_gets_ascii():
    raw = io.BytesIO()
    console = make_console(io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    print_message(console, "error", "ö 走")
    assert raw.getvalue() == b"error: \\xf6 \\u8d70\n"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, ["warning", "error"]),
        ({"verbosity": 1}, ["info", "warning", "error"]),
        ({"verbosity": 5}, ["debug", "info", "warning", "error"]),
        ({"quiet": True, "verbosity": 1}, ["error"]),
    ],
)
def test_verbosity_chooses_what_is_said(logs, console, options, shown):
    logs(**options)
    log = logging.getLogger("actcli.video.decode")
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("[b]%s", level)
    expected = [f"{level}: [b]{level}" for level in shown]
    assert console.file.getvalue().splitlines() == expected


def test_logging_installed_twice_says_things_once(logs, console):
    logs()
    logs()
    logging.getLogger("actcli.x").warning("once")
    assert console.file.getvalue() == "warning: once\n"


def test_a_critical_message_is_an_error(logs, console):
    logs()
    logging.getLogger("actcli.x").critical("gone")
    assert console.file.getvalue() == "error: gone\n"


def test_colours_follow_the_environment(monkeypatch):
    for variable in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)

    def shown():
        stream = io.StringIO()
        print_error(UsageError("wrong"), make_console(stream))
        return stream.getvalue()

    assert "\x1b" not in shown()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31m" in shown()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in shown()


def test_a_closed_pipe_is_passed_on():
    class ClosedPipe(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        make_console(ClosedPipe()).print("row")


def test_forced_colour_does_not_make_a_file_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not is_terminal(io.StringIO())


def test_two_pipes_are_not_one_terminal():
    assert not is_same_terminal(io.StringIO(), io.StringIO())


def test_rows_go_to_stdout_where_it_is_no_terminal(capsys):
    console_for_rows(make_console(stderr=True)).print("row")
    assert capsys.readouterr().out == "row\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")
def test_two_streams_on_one_terminal_are_noticed():
    import os
    import pty

    main, side = pty.openpty()
    with os.fdopen(side, "w") as a, os.fdopen(os.dup(side), "w") as b:
        assert is_terminal(a)
        assert is_same_terminal(a, b)
    os.close(main)
