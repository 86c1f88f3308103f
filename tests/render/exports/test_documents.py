import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.render.exports.rows import Video, different, names_in_folder, short_names


def document(exported, format, results, run=None):
    return json.loads(exported(format, results, run))


def test_label_studio_counts_frames_from_one_at_the_rate_of_the_video(exported, window):
    results = [window(0, 4), window(4, 8, "jump")]
    (task,) = document(exported, "label-studio", results)
    assert task["data"] == {"video": "film.mp4", "fps": 25.0}
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "clip, demo"
    assert prediction["score"] == 0.83
    regions = [(r["value"]["ranges"], r["value"]["timelinelabels"]) for r in prediction["result"]]
    assert regions == [([{"start": 1, "end": 100}], ["run"]),
                       ([{"start": 101, "end": 200}], ["jump"])]  # fmt: skip


def test_label_studio_regions_belong_to_the_documented_tags(exported, window):
    (task,) = document(exported, "label-studio", [window(0, 4), window(4, 8)])
    regions = task["predictions"][0]["result"]
    assert {(r["from_name"], r["to_name"], r["type"]) for r in regions} == {
        ("timelineLabels", "video", "timelinelabels")}  # fmt: skip
    assert len({r["id"] for r in regions}) == 2


def test_label_studio_counts_a_whole_video_at_its_own_rate(exported, prediction):
    (task,) = document(exported, "label-studio", [prediction()])
    assert task["data"]["fps"] == 24.0
    (region,) = task["predictions"][0]["result"]
    assert region["value"]["ranges"] == [{"start": 1, "end": 101}]  # 4.2 s


def as_fiftyone_reads(found, name):
    """What its importer makes of a video: labels by class, and where they are."""
    rows = found["labels"][name]
    assert all(("support" in row) != ("timestamps" in row) for row in rows)
    return [(found["classes"][row["label"]], row.get("support") or row["timestamps"],
             row["confidence"]) for row in rows]  # fmt: skip


def test_fiftyone_has_frames_of_parts_and_seconds_of_whole_videos(exported, window, prediction):
    results = [window(0, 4), window(4, 8, "jump"), prediction("whole.mp4")]
    found = document(exported, "fiftyone", results)
    assert as_fiftyone_reads(found, "film") == [("run", [1, 100], 0.83), ("jump", [101, 200], 0.83)]
    assert as_fiftyone_reads(found, "whole") == [("run", [0.0, 4.2], 0.83)]


def test_fiftyone_has_the_classes_of_the_run_in_their_order(exported, window):
    found = document(exported, "fiftyone", [window(0, 4)], run={"labels": ["walk", "run"]})
    assert found["classes"] == ["walk", "run"]
    assert as_fiftyone_reads(found, "film")[0][0] == "run"


def test_activitynet_has_what_its_evaluation_reads(exported, window):
    found = document(exported, "activitynet", [window(0, 4), window(4, 8, "jump")])
    assert set(found) == {"version", "results", "external_data"}
    assert found["version"] == "VERSION 1.3"
    assert found["external_data"] == {"used": True, "details": "actcli: clip, demo"}
    assert found["results"] == {"film": [
        {"label": "run", "score": 0.83, "segment": [0.0, 4.0]},
        {"label": "jump", "score": 0.83, "segment": [4.0, 8.0]},
    ]}  # fmt: skip


def test_activitynet_knows_its_own_files(exported, window):
    own = [window(0, 4, path="v_wONwHYy59Tc.mp4"), window(0, 4, path="v_short.mp4")]
    assert set(document(exported, "activitynet", own)["results"]) == {"wONwHYy59Tc", "v_short"}


@pytest.mark.parametrize("format", ["label-studio", "fiftyone", "activitynet"])
def test_a_video_that_failed_is_not_listed(exported, window, failure, format):
    results = [failure("bad.mp4"), window(0, 4)]
    assert document(exported, format, results) == document(exported, format, results[1:])
    assert "bad" not in exported(format, results)
    nothing = document(exported, format, [failure()])
    found = {"label-studio": nothing, "fiftyone": dict(nothing).get("labels"),
             "activitynet": dict(nothing).get("results")}[format]  # fmt: skip
    assert not found


@pytest.mark.parametrize("format", ["label-studio", "fiftyone", "activitynet"])
def test_a_video_given_twice_is_listed_once(exported, window, format):
    once = [window(0, 4), window(4, 8)]
    assert exported(format, once * 2) == exported(format, once)


def test_any_label_and_name_comes_back_as_it_was(exported, window):
    name = 'a"\\\n\udcff\x00-->.mp4'
    results = [window(0, 4, 'x"\\\n\u2028', id=name, path="/a.mp4")]
    (task,) = document(exported, "label-studio", results)
    assert task["data"]["video"] == name
    assert task["predictions"][0]["result"][0]["value"]["timelinelabels"] == ['x"\\\n\u2028']


def videos(*paths):
    return [Video(path, path) for path in paths]


def test_names_are_as_short_as_they_may_be():
    assert short_names(videos("a/x.mp4", "b/y.mp4")) == ["x", "y"]
    assert short_names(videos("a/x.mp4", "b/x.mp4", "b/y.mp4")) == ["a/x.mp4", "b/x.mp4", "y"]
    assert short_names(videos("https://host/films/x%201.mp4?key=1")) == ["x 1"]


def test_names_in_the_folder_of_all_videos_have_no_suffix():
    assert names_in_folder(videos("/d/a/x.mp4", "/d/b/y.mp4")) == ["a/x", "b/y"]
    assert names_in_folder(videos("/d/a/x.mp4", "/d/a/x.avi")) == ["x.mp4", "x.avi"]
    assert names_in_folder(videos("/d/a/x.mp4", "https://host/y.mp4")) == ["x", "y"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["a", "b", "a-2"]))))
def test_no_two_videos_share_a_name(choices):
    names = different(choices)
    assert len(set(names)) == len(names) == len(choices)
