"""What is decided about a video, in records, rows and on a terminal."""

from actcli.render.cells import REJECT_COLUMNS, SEVERAL_COLUMNS, columns, to_cells
from actcli.render.records import to_record
from actcli.render.table import shown_label
from tests.render.conftest import make_failure, make_prediction


def test_a_rejected_video_keeps_its_label_and_says_so() -> None:
    record = to_record(make_prediction(abstained=True, confidence=0.1234567))
    assert (record["label"], record["abstained"], record["confidence"]) == ("run", True, 0.123457)


def test_an_infinite_confidence_is_null() -> None:
    found = make_prediction(abstained=False, confidence=float("inf"))
    assert to_record(found)["confidence"] is None


def test_columns_of_decisions_stand_at_the_end() -> None:
    assert columns(1, REJECT_COLUMNS)[:-2] == columns(1)
    found = make_prediction(abstained=False, confidence=0.25)
    assert to_cells(found, 1, REJECT_COLUMNS)[-2:] == ["false", "0.25"]


def test_a_failure_has_empty_cells_of_decisions() -> None:
    assert to_cells(make_failure(), 2, REJECT_COLUMNS)[-2:] == ["", ""]


def test_several_labels_share_a_cell_and_a_semicolon_of_theirs_is_doubled() -> None:
    found = make_prediction(present=("run", "a;b"))
    assert to_cells(found, 1, SEVERAL_COLUMNS)[-1] == "run;a;;b"
    assert to_cells(make_prediction(present=()), 1, SEVERAL_COLUMNS)[-1] == ""


def test_the_table_tells_none_with_the_best_guess_and_several_in_a_row() -> None:
    assert shown_label(make_prediction()) == "run"
    assert shown_label(make_prediction(abstained=True)) == "none (run?)"
    assert shown_label(make_prediction(abstained=False)) == "run"
    assert shown_label(make_prediction(present=("run", "jump"))) == "run, jump"
    assert shown_label(make_prediction(present=())) == "none (run?)"
