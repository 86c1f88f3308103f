import json
import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actcli.render.records import run_record, same_span, to_json, to_record
from actcli.types import ScoredLabel, VideoRef

ANY_TEXT = st.text(st.characters(exclude_categories=[]), min_size=1)
fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_prediction_has_the_documented_keys_in_their_order(prediction):
    record = to_record(prediction())
    assert list(record) == [
        "schema", "input", "ok", "start", "end", "label", "score", "top", "score_kind",
        "calibrated", "method", "model", "frames_s", "cached", "warnings",
    ]  # fmt: skip
    assert record["schema"] == "actcli.prediction/1"
    assert record["top"][0] == {"label": "run", "score": 0.83, "similarity": 0.27}


def test_a_failure_has_the_documented_keys_in_their_order(failure):
    record = to_record(failure())
    assert list(record) == ["schema", "input", "ok", "start", "end", "method", "model", "error"]
    assert record["ok"] is False
    assert record["error"] == {
        "kind": "not_video",
        "message": "bad.mp4: no video stream (found 1 audio stream)",
        "hint": "ffprobe bad.mp4",
    }


@fixtures
@given(path=ANY_TEXT, label=ANY_TEXT)
def test_any_name_survives_a_json_line(prediction, path, label):
    line = to_json(to_record(prediction(path, (label,))))
    assert line.isascii()
    assert "\n" not in line
    record = json.loads(line)
    assert (record["input"], record["label"]) == (path, label)


def test_input_is_what_the_user_typed(prediction):
    assert to_record(prediction(ref=VideoRef("/tmp/x", id="row 7")))["input"] == "row 7"


def test_numbers_have_six_decimals_and_are_never_infinite(prediction):
    ranked = (
        ScoredLabel("run", float(np.float32(0.83)), -1e-9),
        ScoredLabel("jump", math.nan, math.inf),
        ScoredLabel("sit", 0.1, None),
    )
    top = to_record(prediction(ranked=ranked))["top"]
    assert [item["score"] for item in top] == [0.83, None, 0.1]
    assert str([item["similarity"] for item in top]) == "[0.0, None, None]"


def test_a_trimmed_video_is_recorded_as_it_was_asked_for(prediction, failure):
    ref = VideoRef("a.mp4", 1.0, 11.0)
    record = to_record(prediction(ref=ref, start_s=1.0, end_s=10.97))
    assert (record["start"], record["end"]) == (1.0, 11.0)
    record = to_record(failure(start_s=1.0, end_s=2.0))
    assert (record["start"], record["end"]) == (1.0, 2.0)


@fixtures
@given(
    start=st.none() | st.floats(0, 1e6), length=st.none() | st.floats(0.001, 1e6), end=st.floats(0)
)
def test_every_record_belongs_to_its_own_video(prediction, start, length, end):
    stop = None if length is None else (start or 0.0) + length
    ref = VideoRef("a.mp4", start, stop)
    record = to_record(prediction(ref=ref, end_s=end))
    assert same_span(ref, record["start"], record["end"])


def test_other_times_of_one_file_do_not_match():
    assert not same_span(VideoRef("a", 0.0, 4.0), 0.0, 2.0)
    assert not same_span(VideoRef("a", 1.0, None), 0.0, 4.0)
    assert same_span(VideoRef("a"), None, None)
    assert not same_span(VideoRef("a"), 2.0, 4.0)


def test_a_run_becomes_plain_json(run):
    odd = run(config={"path": VideoRef("x"), "value": math.nan, 3: (1, 2.5)})
    record = run_record(odd, counts={"ok": 3}, timings={"wall_s": 1.5})
    assert record["schema"] == "actcli.run/1"
    assert record["config"]["value"] is None
    assert record["config"]["3"] == [1, 2.5]
    assert record["counts"] == {"ok": 3}
    assert json.loads(to_json(record)) == record
