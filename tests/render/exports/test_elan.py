import io
import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pympi.Elan import Eaf

from actcli.render.exports.elan import EafWriter
from actcli.render.files import open_writer
from actcli.render.sinks import StreamSink
from actcli.types import Prediction, ScoredLabel, VideoRef

names = st.text(st.characters(exclude_categories=()), min_size=1, max_size=12)


def read(text, tmp_path):
    path = tmp_path / "read.eaf"
    path.write_text(text, encoding="utf-8")
    return Eaf(str(path))


def annotations(document, tier):
    return [(start, end, value) for start, end, value, *_ in
            sorted(document.get_annotation_data_for_tier(tier))]  # fmt: skip


def test_what_does_not_overlap_stands_on_one_tier(exported, window, tmp_path):
    results = [window(0, 4), window(4, 8, "jump"), window(8, 10.5)]
    document = read(exported("eaf", results), tmp_path)
    assert set(document.get_tier_names()) == {"actions", "score of actions"}
    assert annotations(document, "actions") == [
        (0, 4000, "run"), (4000, 8000, "jump"), (8000, 10500, "run")]  # fmt: skip
    scores = document.get_ref_annotation_data_for_tier("score of actions")
    assert [score[2] for score in scores] == ["0.830"] * 3


def test_overlapping_labels_have_a_tier_each(exported, window, tmp_path):
    document = read(exported("eaf", [window(0, 4), window(2, 6, "jump"), window(5, 9)]), tmp_path)
    assert annotations(document, "run") == [(0, 4000, "run"), (5000, 9000, "run")]
    assert annotations(document, "jump") == [(2000, 6000, "jump")]


def test_windows_of_one_label_that_overlap_have_several_tiers(exported, window, tmp_path):
    document = read(exported("eaf", [window(t, t + 2.0) for t in range(5)]), tmp_path)
    assert [row[0] for row in annotations(document, "run")] == [0, 2000, 4000]
    assert [row[0] for row in annotations(document, "run (2)")] == [1000, 3000]


def test_time_slots_are_in_order_and_each_annotation_has_its_own(exported, window):
    root = ET.fromstring(exported("eaf", [window(0, 4), window(2, 6, "jump"), window(4, 8)]))
    times = [int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")]
    assert times == sorted(times)
    used = [found.get(key) for found in root.iter("ALIGNABLE_ANNOTATION")
            for key in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")]  # fmt: skip
    assert sorted(used) == sorted(slot.get("TIME_SLOT_ID") for slot in root.iter("TIME_SLOT"))


def test_elements_stand_in_the_order_of_the_schema(exported, window):
    root = ET.fromstring(exported("eaf", [window(0, 4)], run={"started": "2026-01-01T00:00:00Z"}))
    order = ["HEADER", "TIME_ORDER", "TIER", "TIER", "LINGUISTIC_TYPE", "LINGUISTIC_TYPE",
             "CONSTRAINT"]  # fmt: skip
    assert [child.tag for child in root] == order
    assert root.get("FORMAT") == "3.0"
    assert root.get("DATE") == "2026-01-01T00:00:00Z"


def test_the_video_is_named_by_address_and_from_the_document(tmp_path, window):
    film = tmp_path / "films" / "my  film & 1.mp4"
    writer = open_writer("eaf", path=tmp_path / "film.eaf")
    writer.write(window(0, 4, path=str(film)))
    writer.finish()
    writer.close()
    (media,) = Eaf(str(tmp_path / "film.eaf")).media_descriptors
    assert media["MEDIA_URL"] == f"file://{film}"
    assert media["RELATIVE_MEDIA_URL"] == "./films/my  film & 1.mp4"
    assert media["MIME_TYPE"] == "video/mp4"


@given(st.lists(names, min_size=1, max_size=5), names)
def test_no_name_breaks_a_document(labels, path):
    stream = io.BytesIO()
    writer = EafWriter(StreamSink(stream))
    for label in labels:
        ranked = (ScoredLabel(label, 0.5),)
        ref = VideoRef("/films/" + path)
        writer.write(Prediction(ref, ranked, "softmax", "clip", "demo", 0.0, 1.0, ()))
    writer.finish()
    root = ET.fromstring(stream.getvalue())
    assert len(list(root.iter("ALIGNABLE_ANNOTATION"))) == len(labels)
    tiers = [tier.get("TIER_ID") for tier in root.iter("TIER")]
    assert len(set(tiers)) == len(tiers)


@pytest.mark.parametrize("format", ["eaf", "label-studio", "fiftyone", "activitynet"])
def test_what_was_found_is_written_also_when_the_run_is_interrupted(tmp_path, window, format):
    path = tmp_path / "found"
    path.write_text("precious")
    open_writer(format, path=path).close()
    assert path.read_text() == "precious"
    writer = open_writer(format, path=path)
    writer.write(window(0, 4))
    writer.close()
    whole = path.read_text()
    assert "run" in whole
    assert (ET.fromstring if format == "eaf" else json.loads)(whole)
