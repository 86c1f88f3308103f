import io
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from actcli.render.table import Layout, TableWriter, cut_middle, percent, wrap
from actcli.types import ScoredLabel, VideoRef

ANY_TEXT = st.text(st.characters(exclude_categories=[]), min_size=1)
WIDTHS = [40, 60, 80, 100, 200]


def table(*results, width=80, encoding="utf-8", top=5):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    writer = TableWriter(Console(file=stream, width=width, highlight=False), top=top)
    for result in results:
        writer.write(result)
    writer.finish()
    writer.close()
    return raw.getvalue().decode(encoding).splitlines()


def test_a_row_at_40_columns_has_the_essentials(prediction):
    assert table(prediction("videos/long/name/of/a/clip.mp4"), width=40) == [
        "video              label               %",
        "video…/a/clip.mp4  run               83%",
    ]


def test_a_row_at_80_columns_has_a_bar(prediction):
    _, row = table(prediction(), width=80)
    assert row.split() == ["a.mp4", "run", "████████▎", "83%"]


def test_a_row_at_200_columns_has_the_next_labels(prediction):
    header, row = table(prediction(labels=("run", "jump", "sit")), width=200)
    assert header.endswith("  next")
    assert row.endswith("83%  jump 42%, sit 28%")


def test_top_limits_the_next_labels(prediction):
    _, row = table(prediction(labels=("run", "jump", "sit")), width=200, top=2)
    assert row.endswith("83%  jump 42%")


def test_a_failure_is_marked_and_keeps_its_whole_message(failure):
    rows = table(failure(message="word " * 30 + "end"), width=60)
    assert rows[1].startswith("bad.mp4")
    assert "✗ word" in rows[1]
    text = " ".join(row.strip() for row in rows[1:])
    assert text.count("word") == 30
    assert text.endswith("end")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=ANY_TEXT, label=ANY_TEXT, message=ANY_TEXT, width=st.sampled_from(WIDTHS))
def test_no_line_is_wider_than_the_terminal(prediction, failure, path, label, message, width):
    results = (
        prediction(path, (label, label)),
        prediction(ref=VideoRef(path, 1.25, 1e5)),
        failure(path, message),
    )
    rows = table(*results, width=width)
    assert max(cell_len(row) for row in rows) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_wide_characters_keep_the_columns_in_line(prediction, width):
    rows = table(prediction("走る" * 30 + ".mp4"), prediction("a.mp4"), width=width)
    assert {cell_len(row.split("run")[0]) for row in rows[1:]} == {
        cell_len(rows[1].split("run")[0])
    }


def test_names_cannot_move_the_cursor_or_use_markup(prediction):
    _, row = table(prediction("\x1b[2J\r[red]x", ("[b]y\n",)), width=200)
    assert row.startswith("\\x1b[2J\\r[red]x")
    assert "[b]y\\n" in row


def test_an_ascii_terminal_gets_ascii(prediction, failure):
    rows = table(prediction("ö" * 90), failure("b.mp4"), encoding="ascii")
    assert "########" in rows[1]
    assert "x no video stream" in rows[2]


def test_a_trimmed_video_shows_its_times(prediction):
    _, row = table(prediction(ref=VideoRef("a.mp4", 1.5, 4.0)))
    assert row.startswith("a.mp4 [1.5-4 s]")


@pytest.mark.parametrize(
    ("score", "text"), [(1.0, "100%"), (0.83, "83%"), (0.001, "<1%"), (0.0, "0%"), (math.nan, "?")]
)
def test_scores_are_percent(score, text):
    assert percent(score) == text


def test_a_score_that_is_no_number_does_not_stop_the_table(prediction):
    _, row = table(prediction(ranked=(ScoredLabel("run", math.nan),)))
    assert row.endswith("?")


@given(st.text(min_size=1), st.integers(1, 30))
def test_a_cut_name_fits(text, width):
    assert cell_len(cut_middle(text, width)) <= width


def test_a_name_that_fits_is_not_cut_and_a_long_one_keeps_its_end():
    assert cut_middle("a.mp4", 5) == "a.mp4"
    assert cut_middle("folder/folder/clip_0001.mp4", 16) == "folde…p_0001.mp4"


@given(st.text(), st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_no_character(text, width):
    lines = wrap(text, width)
    assert max(cell_len(line) for line in lines) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.integers(40, 300))
def test_the_columns_fill_the_width(width):
    layout = Layout.for_width(width)
    gaps = 2 * (2 + bool(layout.bar) + bool(layout.further))
    assert layout.input + layout.label + layout.bar + layout.further + 4 + gaps == width
