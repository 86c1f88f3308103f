import io
import math
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from actcli.render.window_table import WindowTableWriter, clock
from actcli.types import Part, ScoredLabel, VideoRef

ANY_TEXT = st.text(st.characters(exclude_categories=[]), min_size=1)
WIDTHS = [40, 41, 59, 60, 69, 70, 80, 99, 100, 120, 200]


def table(results, *, width=80, encoding="utf-8", top=5, finish=True):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(file=stream, width=width, highlight=False)
    writer = WindowTableWriter(console, top=top)
    for result in results:
        writer.write(result)
    if finish:
        writer.finish()
    writer.close()
    return raw.getvalue().decode(encoding).splitlines()


def ranked(scores):
    best = sorted(scores.items(), key=lambda item: -item[1])
    return tuple(ScoredLabel(label, score) for label, score in best)


@pytest.fixture
def part(prediction):
    """Makes a window or a segment of a video."""

    def make(scores, start_s=0.0, length_s=1.0, *, path="film.mp4", kind="window", video_s=8.0):
        end_s = start_s + length_s
        return prediction(
            ref=VideoRef(path, start_s, end_s),
            ranked=ranked(scores),
            start_s=start_s,
            end_s=end_s,
            part=Part(kind, 0, 1, video_s),
        )

    return make


@pytest.fixture
def windows(part):
    """Makes the windows of a video, a second each, from the scores of each label over time."""

    def make(path="film.mp4", start_s=0.0, video_s=None, **scores):
        count = max(len(values) for values in scores.values())
        for i in range(count):
            now = {label: values[i] for label, values in scores.items() if i < len(values)}
            length_s = video_s or start_s + count
            yield part(now, start_s + i, path=path, video_s=length_s)

    return make


def test_a_video_is_a_block_with_a_line_a_label(windows):
    rows = table(windows(run=[0.1, 0.2, 0.99, 0.5], jump=[0.3, 0.05, 0.01, 0.0]))
    assert rows == [
        "film.mp4  0:04.0  4 windows",
        "  run   ▁▂█▅   99% at 0:02.0",
        "  jump  ▃▁▁    30% at 0:00.0",
    ]


def test_a_label_that_is_not_among_the_best_of_a_window_is_blank_there(part):
    rows = table([part({"run": 0.9}, 0), part({"sit": 0.8}, 1), part({"run": 0.7}, 2)])
    assert rows[1:] == ["  run  █ ▆   90% at 0:00.0", "  sit   ▇    80% at 0:01.0"]


def test_a_block_is_printed_when_the_next_video_begins(windows):
    results = [*windows("a.mp4", run=[0.9]), *windows("b.mp4", run=[0.8])]
    assert table(results)[0] == "a.mp4  0:01.0  1 window"
    assert table(results)[2] == "b.mp4  0:01.0  1 window"


def test_nothing_is_printed_before_a_video_is_complete(windows):
    stream = io.StringIO()
    writer = WindowTableWriter(Console(file=stream, width=80))
    for result in windows("a.mp4", run=[0.9, 0.8]):
        writer.write(result)
    assert stream.getvalue() == ""


def test_a_video_given_twice_gets_two_blocks(windows):
    rows = table([*windows(run=[0.9, 0.8]), *windows(run=[0.9, 0.8])])
    assert [row for row in rows if "film" in row] == ["film.mp4  0:02.0  2 windows"] * 2


def test_an_interrupted_run_shows_what_it_has(windows):
    assert table(windows(run=[0.9, 0.8]), finish=False) == table(windows(run=[0.9, 0.8]))


def test_a_video_is_printed_once_whether_finished_or_closed(windows):
    assert len(table(windows(run=[0.9]))) == 2


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [100, 2048, 2049, 9001])
def test_a_peak_of_one_window_is_never_lost(windows, count, width):
    scores = [0.01] * count
    scores[count * 2 // 3] = 1.0
    line = table(windows(run=scores), width=width)[1].split()[1]
    assert line.count("█") == 1
    assert line.index("█") == pytest.approx(len(line) * 2 / 3, abs=2)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_long_film_fills_the_width(windows, width):
    rows = table(windows(run=[0.5] * 1000, jump=[0.1] * 1000), width=width)
    assert cell_len(rows[1]) in (width, width - 1)  # a time may be a character short of its column
    assert cell_len(rows[1]) == cell_len(rows[2])


def test_memory_does_not_grow_with_the_film(part):
    writer = WindowTableWriter(Console(file=io.StringIO(), width=80))
    tracemalloc.start()
    for i in range(20_000):
        writer.write(part({"run": 0.5, "jump": 0.3}, float(i), video_s=2e4))
        if i == 5000:
            before, _ = tracemalloc.get_traced_memory()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20_000


@pytest.mark.parametrize(("width", "top", "lines"), [(40, 5, 3), (80, 5, 5), (80, 2, 2)])
def test_the_labels_with_the_highest_peaks_are_shown(windows, width, top, lines):
    scores = {f"label{i}": [0.1 * (i + 1), 0.02] for i in range(8)}
    rows = table(windows(**scores), width=width, top=top)
    assert [row.split()[0] for row in rows[1:]] == [f"label{7 - i}" for i in range(lines)]


def test_of_equal_peaks_the_label_that_holds_longer_comes_first(windows):
    rows = table(windows(jump=[0.998, 0.1, 0.1], run=[0.1, 0.996, 0.9], sit=[0.97, 0.97, 0.97]))
    assert [row.split()[0] for row in rows[1:]] == ["run", "jump", "sit"]


def test_labels_that_never_reach_a_percent_are_left_out_but_never_all(windows):
    assert len(table(windows(run=[0.9], jump=[0.004]))) == 2
    assert table(windows(run=[0.004], jump=[0.001]))[1:] == ["  run      <1% at 0:00.0"]


def test_windows_of_a_trimmed_video_say_which_part_it_is(windows):
    results = list(windows(start_s=60.0, video_s=3700.0, run=[0.9, 0.8]))
    assert table(results)[0] == "film.mp4  1:00.0–1:02.0 of 1:01:40  2 windows"
    assert table(results, width=40)[0] == "film.mp4  1:01:40  2 windows"


def test_segments_are_rows_printed_at_once(part):
    stream = io.StringIO()
    writer = WindowTableWriter(Console(file=stream, width=80))
    writer.write(part({"run": 0.5, "sit": 0.3}, 0.0, 2.54, kind="segment", video_s=4000.0))
    writer.write(part({"sit": 1.0}, 3599.96, 40.0, kind="segment", video_s=4000.0))
    head, *rows = stream.getvalue().splitlines()
    assert head == "film.mp4  1:06:40"
    assert [row.split() for row in rows] == [
        ["0:00.0–0:02.5", "run", "█████", "50%"],
        ["1:00:00–1:00:40", "sit", "██████████", "100%"],
    ]


def test_segments_at_40_columns_have_no_bar(part):
    rows = table([part({"wave both arms": 0.5}, kind="segment")], width=40)
    assert rows[1] == "    0:00.0–0:01.0  wave both arms    50%"


def test_segments_at_200_columns_have_the_next_labels(part):
    rows = table([part({"run": 0.5, "sit": 0.3, "jump": 0.1}, kind="segment")], width=200, top=2)
    assert rows[1].endswith("50%  sit 30%")


def test_segments_and_windows_of_one_video_do_not_mix(part):
    rows = table([part({"run": 0.5}, kind="segment"), part({"run": 0.5}, 1.0)])
    assert [row for row in rows if "film" in row] == [
        "film.mp4  0:08.0",
        "film.mp4  0:01.0–0:02.0 of 0:08.0  1 window",
    ]


def test_a_failure_ends_the_block_and_keeps_its_whole_message(windows, failure):
    rows = table([*windows(run=[0.9]), failure()])
    assert rows[0].startswith("film.mp4")
    assert rows[-1].startswith("bad.mp4")
    assert rows[-1].endswith("✗ no video stream (found 1 audio stream)")


def test_a_whole_video_among_windows_is_a_row(windows, prediction):
    rows = table([*windows(run=[0.9]), prediction("a.mp4"), *windows(run=[0.8])])
    assert rows[2].split() == ["a.mp4", "run", "████████▎", "83%"]
    assert len(rows) == 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=ANY_TEXT, label=ANY_TEXT, width=st.sampled_from(WIDTHS), ascii_only=st.booleans())
def test_no_line_is_wider_than_the_terminal(part, path, label, width, ascii_only):
    results = [part({label: 0.9, "b": 0.1}, float(i), path=path, video_s=9e5) for i in range(150)]
    results += [part({label: 1.0, "b": 0.1}, 9e5, 9.0, path=path, kind="segment", video_s=1e6)]
    rows = table(results, width=width, encoding="ascii" if ascii_only else "utf-8")
    assert max(cell_len(row) for row in rows) <= width
    assert len(rows) == 5


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", WIDTHS)
def test_wide_characters_keep_the_columns_in_line(windows, width, encoding):
    labels = {"走る": [0.9] * 300, "🤸🏽 cartwheel " * 5: [0.8] * 300, "run": [0.7] * 300}
    rows = table(windows("映画" * 60, **labels), width=width, encoding=encoding)
    assert len({cell_len(row.partition("%")[0]) for row in rows[1:]}) == 1


def test_names_cannot_move_the_cursor_or_use_markup(windows):
    rows = table(windows("\x1b[2J[red]x", **{"[b]y\n": [0.9]}))
    assert rows[0].startswith("\\x1b[2J[red]x")
    assert rows[1].startswith("  [b]y\\n  ")


def test_an_ascii_terminal_gets_ascii(windows):
    rows = table(windows("ö\udcff.mp4", run=[0.0, 0.1, 0.5, 1.0]), encoding="ascii")
    assert rows == ["?\\xff.mp4  0:04.0  4 windows", "  run   .=#  100% at 0:03.0"]


def test_scores_that_are_no_numbers_do_not_stop_the_table(windows):
    assert table(windows(run=[math.nan, 0.5, math.nan]))[1] == "  run   ▅    50% at 0:01.0"
    assert table(windows(run=[math.nan]))[1] == "  run       0% at 0:00.0"


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0, "0:00.0"),
        (59.96, "1:00.0"),
        (3599.94, "59:59.9"),
        (3599.96, "1:00:00"),
        (1e5, "27:46:40"),
    ],
)
def test_times_are_minutes_and_from_an_hour_on_hours(time_s, text):
    assert clock(time_s) == text
