import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.render.exports.cues import CueTimes, allowed, caption, clock, plain


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=20, unique=True))
def test_spans_on_end_neither_overlap_nor_run_backwards_once_rounded(cuts):
    times = CueTimes()
    last_end = 0
    cuts = sorted(cuts)
    for start_s, end_s in pairwise(cuts):
        start, end = times(start_s, end_s)
        assert last_end <= start < end
        last_end = end


@given(st.floats(0, 1e6), st.floats(0.002, 1e4))
def test_times_are_rounded_to_the_nearest_millisecond(start_s, length_s):
    start, end = CueTimes()(start_s, start_s + length_s)
    assert abs(start - start_s * 1000) <= 0.501
    assert abs(end - (start_s + length_s) * 1000) <= 0.501


def test_overlapping_windows_keep_their_own_times():
    times = CueTimes()
    assert [times(0, 4), times(1, 5), times(1.5, 2)] == [(0, 4000), (1000, 5000), (1500, 2000)]


@pytest.mark.parametrize(
    ("time_ms", "text"), [(0, "00:00:00,000"), (3_723_004, "01:02:03,004"),
                          (360_000_000, "100:00:00,000")],
)  # fmt: skip
def test_a_clock_may_go_past_99_hours(time_ms, text):
    assert clock(time_ms, ",") == text


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_one_line_of_utf_8_that_xml_can_hold(text):
    line = plain(text)
    assert "\n" not in line
    element = ET.Element("a")
    element.text = line
    assert ET.fromstring(ET.tostring(element, "utf-8")).text == (line or None)
    assert allowed(text) == text or not text.isprintable()


def test_a_caption_is_the_label_with_its_score(window):
    assert caption(window(0, 1, "long\njump")) == "long jump 83%"
    assert caption(window(0, 1, "")) == "83%"
    assert caption(window(0, 1, score=float("nan"))) == "run"
