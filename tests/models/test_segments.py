from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actcli.models.segments import Segmenter, SegmentRule

A, B, C = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)


def segments(windows, num_labels=3, **rule):
    segmenter = Segmenter(SegmentRule(**rule), num_labels)
    found = []
    for start_s, end_s, scores in windows:
        found += segmenter.add(start_s, end_s, np.array(scores, dtype=np.float64))
    return found + segmenter.finish()


def sliding(scores, window_s=4.0, stride_s=1.0):
    return [(i * stride_s, i * stride_s + window_s, row) for i, row in enumerate(scores)]


def told(spans):
    return [(span.start_s, span.end_s, span.target) for span in spans]


@st.composite
def films(draw):
    """Windows of a stride and a length, maybe with a last one that is shifted."""
    stride_s = draw(st.sampled_from([0.1, 0.5, 1.0, 2.5]))
    window_s = draw(st.sampled_from([0.3, 1.0, 4.0]))
    scores = draw(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=25))
    windows = sliding(scores, window_s, stride_s)
    if len(windows) > 1 and draw(st.booleans()):
        start_s = windows[-1][0] - stride_s * draw(st.floats(0, 0.9))
        windows[-1] = (start_s, start_s + window_s, windows[-1][2])
    return windows


rules = st.fixed_dictionaries(
    {
        "threshold": st.none() | st.floats(0, 1),
        "hysteresis": st.sampled_from([0.0, 0.1, 0.5]),
        "min_length_s": st.sampled_from([0.0, 1.0, 3.0]),
    }
)


@given(films(), rules)
def test_one_label_at_a_time_never_overlaps_and_is_in_order(windows, rule):
    spans = segments(windows, **rule)
    assert all(span.start_s < span.end_s for span in spans)
    for one, other in pairwise(spans):
        assert one.end_s <= other.start_s
        assert one.end_s < other.start_s or one.target != other.target


@given(films(), rules, st.booleans())
def test_no_segment_is_shorter_than_allowed(windows, rule, is_multi_label):
    for span in segments(windows, **rule, is_multi_label=is_multi_label):
        assert round(span.end_s - span.start_s, 6) >= rule["min_length_s"]


@given(films(), rules, st.booleans())
def test_a_segment_counts_the_windows_that_it_shares_time_with(windows, rule, is_multi_label):
    windows = [(round(start, 6), round(end, 6), row) for start, end, row in windows]
    for span in segments(windows, **rule, is_multi_label=is_multi_label):
        shares = [start < span.end_s and end > span.start_s for start, end, _ in windows]
        assert span.num_windows == sum(shares)


@given(films(), st.sampled_from([0.0, 0.2]))
def test_without_a_threshold_segments_cover_what_windows_cover(windows, hysteresis):
    spans = segments(windows, hysteresis=hysteresis)
    ends = sorted(time for start, end, _ in windows for time in (start, end))
    middles = [(one + other) / 2 for one, other in pairwise(ends)
               if other - one > 1e-5]  # fmt: skip
    for time in middles:
        covered = any(start < time < end for start, end, _ in windows)
        assert any(span.start_s < time < span.end_s for span in spans) == covered


@given(films(), st.booleans())
def test_the_same_scores_throughout_give_one_segment_a_stretch(windows, is_multi_label):
    windows = [(start, end, (0.9, 0.1, 0.0)) for start, end, _ in windows]
    spans = segments(windows, is_multi_label=is_multi_label)
    assert {span.target for span in spans} == {0}
    assert all(np.allclose(span.scores, (0.9, 0.1, 0.0)) for span in spans)
    if all(one[1] >= other[0] for one, other in pairwise(windows)):
        assert len(spans) == 1
        assert spans[0].num_windows == len(windows)


@given(films(), rules)
def test_labels_in_another_order_give_the_same_segments(windows, rule):
    distinct = [(s, e, [x + i * 1e-7 for i, x in enumerate(row)]) for s, e, row in windows]
    turned = [(start, end, row[::-1]) for start, end, row in distinct]
    rule = {**rule, "is_multi_label": True}
    spans = {(s.start_s, s.end_s, s.target) for s in segments(distinct, **rule)}
    assert spans == {(s.start_s, s.end_s, 2 - s.target) for s in segments(turned, **rule)}


@given(films(), rules, st.booleans(), st.floats(0, 1000))
def test_a_later_start_only_shifts_the_segments(windows, rule, is_multi_label, shift_s):
    shift_s = round(shift_s, 3)
    shifted = [(start + shift_s, end + shift_s, row) for start, end, row in windows]
    rule = {**rule, "is_multi_label": is_multi_label}
    spans, others = segments(windows, **rule), segments(shifted, **rule)
    if len(spans) == len(others):  # a microsecond may tip a minimum length
        for one, other in zip(spans, others, strict=True):
            assert other.start_s == pytest.approx(one.start_s + shift_s, abs=3e-6)
            assert other.target == one.target


@given(films(), rules)
def test_each_label_alone_gives_what_all_give_together(windows, rule):
    rule = {**rule, "is_multi_label": True}
    together = segments(windows, **rule)
    assert told(together) == sorted(told(together), key=lambda span: (span[0], span[2]))
    for target in range(3):
        alone = segments([(s, e, row[target : target + 1]) for s, e, row in windows], 1, **rule)
        of_it = [(span.start_s, span.end_s) for span in together if span.target == target]
        assert [(span.start_s, span.end_s) for span in alone] == of_it


@pytest.mark.parametrize("stride_s", [0.5, 1.0, 2.0, 4.0])
def test_an_alternation_is_found_within_a_stride(stride_s):
    # What happens changes every 20 s; a window scores what share of it shows A.
    def share(start_s):
        times = start_s + (np.arange(400) + 0.5) / 100
        a = float(((times // 20) % 2 == 0).mean())
        return (a, 1 - a, 0.0)

    starts = np.arange(0, 96.1, stride_s)
    spans = segments([(float(s), float(s) + 4, share(s)) for s in starts])
    assert [span.target for span in spans] == [0, 1, 0, 1, 0]
    for span, true_s in zip(spans[1:], (20, 40, 60, 80), strict=True):
        assert abs(span.start_s - true_s) <= stride_s


def test_a_cell_counts_a_window_most_at_its_middle():
    (span, other) = segments([(0, 4, (1, 0)), (2, 6, (0, 1))], 2)
    # From 2 to 4 the middle is 3: 1 from each middle, so both weigh 1/2 and A holds on.
    assert told([span, other]) == [(0, 4, 0), (4, 6, 1)]
    np.testing.assert_allclose(span.scores, [(2 * 1 + 2 * 0.5) / 4, (2 * 0.5) / 4])
    # The cell 1 to 2 is 0.5 from one middle (half length 1), 1.5 from the other (half length 2).
    (first, _) = segments([(0, 2, (1, 0)), (1, 5, (0, 1))], 2)
    weights = (1 - 0.5 / 1, 1 - 1.5 / 2)
    np.testing.assert_allclose(first.scores[0], (1 + weights[0] / sum(weights)) / 2)


def test_flicker_below_the_hysteresis_vanishes():
    rows = [(0.52, 0.48, 0), (0.48, 0.52, 0)] * 10
    windows = sliding(rows, 1.0, 1.0)
    assert len(segments(windows)) == 20
    assert told(segments(windows, hysteresis=0.05)) == [(0, 20, 0)]


def test_a_label_gives_way_only_beyond_the_hysteresis():
    windows = sliding([(0.5, 0.25, 0), (0.25, 0.5, 0)], 1.0, 1.0)
    assert told(segments(windows, hysteresis=0.25)) == [(0, 2, 0)]
    assert told(segments(windows, hysteresis=0.24)) == [(0, 1, 0), (1, 2, 1)]


def test_a_label_starts_at_the_threshold_and_holds_a_hysteresis_below_it():
    rows = [(0.49, 0, 0), (0.5, 0, 0), (0.41, 0, 0), (0.39, 0, 0), (0.45, 0, 0)]
    windows = sliding(rows, 1.0, 1.0)
    for is_multi_label in (False, True):
        rule = {"threshold": 0.5, "hysteresis": 0.1, "is_multi_label": is_multi_label}
        assert told(segments(windows, **rule)) == [(1, 3, 0)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([A, A, B, A, A], [(0, 5, 0)]),
        ([A, A, (0.1, 0.6, 0.3), C, C], [(0, 2, 0), (2, 5, 2)]),
        ([A, A, (0.3, 0.6, 0.1), C, C], [(0, 3, 0), (3, 5, 2)]),
        ([A, A, (0.2, 0.6, 0.2), C, C], [(0, 3, 0), (3, 5, 2)]),
        ([B, A, A], [(0, 3, 0)]),
        ([A, A, B], [(0, 3, 0)]),
        ([A, B, A, B, B], [(0, 5, 1)]),
        ([A], []),
        ([A, A, B, B], [(0, 2, 0), (2, 4, 1)]),
    ],
)
def test_a_short_segment_goes_to_the_neighbour_that_scores_higher(rows, expected):
    assert told(segments(sliding(rows, 1.0, 1.0), min_length_s=2.0)) == expected


def test_a_short_segment_without_a_neighbour_is_dropped():
    none = (0.3, 0.3, 0.3)
    rows = [A, A, none, B, none, A, A]
    found = told(segments(sliding(rows, 1.0, 1.0), threshold=0.5, min_length_s=2.0))
    assert found == [(0, 2, 0), (5, 7, 0)]


def test_time_between_windows_belongs_to_no_segment():
    for is_multi_label in (False, True):
        found = told(segments(sliding([A, A], 1.0, 3.0), is_multi_label=is_multi_label))
        assert found == [(0, 1, 0), (3, 4, 0)]


def test_after_uncovered_time_a_label_must_start_again():
    rows = [(0.6, 0, 0), (0.45, 0, 0), (0.6, 0, 0)]
    for is_multi_label in (False, True):
        rule = {"threshold": 0.5, "hysteresis": 0.1, "is_multi_label": is_multi_label}
        assert told(segments(sliding(rows, 1.0, 3.0), **rule)) == [(0, 1, 0), (6, 7, 0)]


def test_segments_of_several_labels_overlap():
    rows = [(0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]
    found = segments(sliding(rows, 1.0, 1.0), 2, is_multi_label=True)
    assert told(found) == [(0, 2, 0), (1, 3, 1)]


def test_short_gaps_of_a_label_close_before_short_segments_are_dropped():
    rows = [(x,) for x in (1, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0)]
    found = told(segments(sliding(rows, 1.0, 1.0), 1, is_multi_label=True, min_length_s=2.0))
    assert found == [(0, 5, 0)]


def test_a_gap_of_just_the_shortest_length_stays():
    rows = [(x,) for x in (1, 1, 0, 0, 1, 1)]
    found = told(segments(sliding(rows, 1.0, 1.0), 1, is_multi_label=True, min_length_s=2.0))
    assert found == [(0, 2, 0), (4, 6, 0)]


def test_segments_come_as_soon_as_they_are_settled():
    segmenter = Segmenter(SegmentRule(), 3)
    came = [len(segmenter.add(t, t + 1.0, np.array(row)))
            for t, row in enumerate([A, A, B, B, B, A, A])]  # fmt: skip
    assert came == [0, 0, 0, 1, 0, 0, 1]
    assert told(segmenter.finish()) == [(5, 7, 0)]


@settings(max_examples=5, deadline=None)
@given(st.booleans(), st.integers(0, 2**32 - 1))
def test_memory_does_not_grow_with_the_film(is_multi_label, seed):
    random = np.random.default_rng(seed)
    rule = SegmentRule(hysteresis=0.1, min_length_s=2.0, is_multi_label=is_multi_label)
    segmenter = Segmenter(rule, 3)
    held = []
    for i in range(3000):
        segmenter.add(i * 0.5, i * 0.5 + 4, random.random(3))
        held.append(segmenter.num_held)
    assert max(held) <= 8 + 2 * 3 + (12 if is_multi_label else 0)


def test_equal_windows_give_equal_cells():
    # Weights that do not sum to 1 exactly must tip neither a threshold nor a tie.
    windows = sliding([(0.1 + 0.2, 0.3, 0.3)] * 50, 0.7, 0.1)
    assert len(segments(windows)) == 1
    found = segments(windows, threshold=0.3, is_multi_label=True)
    assert [span.target for span in found] == [0, 1, 2]


def test_windows_out_of_order_are_refused():
    segmenter = Segmenter(SegmentRule(), 3)
    segmenter.add(1.0, 2.0, np.array(A))
    with pytest.raises(ValueError, match="out of order"):
        segmenter.add(0.5, 2.0, np.array(A))
    with pytest.raises(ValueError, match="no length"):
        segmenter.add(3.0, 3.0, np.array(A))
    with pytest.raises(ValueError, match="shape"):
        segmenter.add(3.0, 4.0, np.array([1.0]))


@pytest.mark.parametrize("bad", [{"hysteresis": -0.1}, {"min_length_s": float("nan")}])
def test_a_rule_below_zero_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        SegmentRule(**bad)
