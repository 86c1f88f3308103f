import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actcli.render.cells import columns, format_row, guard, to_cells, unescape, unguard
from actcli.types import ScoredLabel

# No lone surrogates and no NUL: neither can stand in a file name that was decoded.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
CELLS = st.lists(TEXT, min_size=2)


def read_csv(line):
    (row,) = csv.reader(io.StringIO(line, newline=""), strict=True)
    return row


@given(CELLS)
def test_csv_is_read_back_by_the_csv_module(cells):
    assert [unguard(cell) for cell in read_csv(format_row(cells, "csv"))] == cells


@given(CELLS)
def test_tsv_is_one_line_with_one_tab_between_cells(cells):
    line = format_row(cells, "tsv")
    assert line.count("\n") == 1
    assert "\r" not in line
    assert [unescape(cell) for cell in line[:-1].split("\t")] == cells


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-x.mp4", "@a", "\tx", "\rx", "\nx", "＝1", "'=1", "-1+1"]
)
def test_formulas_are_guarded(cell):
    assert guard(cell) == f"'{cell}"
    assert unguard(guard(cell)) == cell


@pytest.mark.parametrize("cell", ["run", "0.83", "-0.25", "-3", "a=b", "'s morgens", ""])
def test_plain_text_is_not_guarded(cell):
    assert guard(cell) == cell


def test_columns_are_flat():
    assert columns(2) == [
        "input", "ok", "start", "end", "label", "score", "label_2", "score_2", "error_kind", "error"
    ]  # fmt: skip


def test_rows_have_a_cell_for_each_column(prediction, failure):
    for top in (1, 2, 5):
        assert len(to_cells(prediction(), top)) == len(columns(top))
        assert len(to_cells(failure(), top)) == len(columns(top))
    row = to_cells(prediction(), 2)
    assert row == ["a.mp4", "true", "0", "4.2", "run", "0.83", "jump", "0.415", "", ""]
    row = to_cells(failure(), 1)
    assert row[:6] == ["bad.mp4", "false", "", "", "", ""]
    assert row[6:] == ["not_video", "bad.mp4: no video stream (found 1 audio stream)"]


def test_small_numbers_have_no_exponent(prediction):
    ranked = (ScoredLabel("run", 1e-6), ScoredLabel("jump", 1e-9))
    assert to_cells(prediction(ranked=ranked), 2)[5::2][:2] == ["0.000001", "0"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=TEXT, path=TEXT)
def test_csv_gives_back_the_same_labels(prediction, label, path):
    row = read_csv(format_row(to_cells(prediction(path, (label,)), 1), "csv"))
    assert (unguard(row[0]), unguard(row[4])) == (path, label)
