import io

from rich.console import Console

from actcli.render.progress import ProgressBar, wants_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(width=80):
    return Console(file=Terminal(), force_terminal=True, width=width)


def test_the_bar_shows_count_rate_and_failures():
    console = terminal()
    with ProgressBar(console, total=3) as bar:
        for failed in (False, True, False):
            bar.advance(failed=failed)
    text = console.file.getvalue()
    assert "3/3" in text
    assert "videos/s" in text
    assert "1 failed" in text
    assert (bar.num_done, bar.num_failed) == (3, 1)


def test_the_bar_works_without_a_total():
    console = terminal()
    with ProgressBar(console) as bar:
        bar.advance()
    assert "1/?" in console.file.getvalue()


def test_a_disabled_bar_counts_and_prints_nothing():
    console = terminal()
    with ProgressBar(console, total=2, enabled=False) as bar:
        bar.advance()
    assert console.file.getvalue() == ""
    assert bar.num_done == 1


def test_messages_are_printed_above_the_bar():
    console = terminal()
    with ProgressBar(console, total=2) as bar:
        bar.advance()
        console.print("hello")
    assert "\x1b[2Khello\n" in console.file.getvalue()


def test_a_bar_needs_a_terminal_on_stderr():
    assert wants_progress(stdout=io.StringIO(), stderr=Terminal())
    assert not wants_progress(stdout=Terminal(), stderr=io.StringIO())
    assert not wants_progress(quiet=True, stdout=io.StringIO(), stderr=Terminal())


def test_a_bar_does_not_run_through_result_lines():
    assert not wants_progress(prints_rows=True, stdout=Terminal(), stderr=Terminal())
    assert wants_progress(prints_rows=True, stdout=io.StringIO(), stderr=Terminal())
