"""Windows and segments of the classify task: when something happens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import actcli
from actcli.demo.clips import draw_clip
from actcli.errors import UsageError
from actcli.types import Failure, Prediction
from tests.video.making import write_video

LABELS = ("run", "wave", "cartwheel", "bow")
RATE = 15


def make_film(path: Path, labels: Sequence[str], *, rate: int = RATE, **more: Any) -> list[float]:
    """A film of drawn clips one after another; returns where each begins, and the end."""
    clips = [draw_clip(label, 900 + n) for n, label in enumerate(labels)]
    pictures = np.concatenate(clips)
    write_video(
        path, codec="h264-b", num_frames=len(pictures), picture=lambda i: pictures[i], rate=rate,
        gop=24, **more,
    )  # fmt: skip
    return [0.0, *(np.cumsum([len(clip) for clip in clips]) / RATE).tolist()]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[float]]:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    edges = make_film(path, ["run", "wave", "wave", "cartwheel", "run"])
    return str(path), [edges[0], edges[1], edges[3], edges[4], edges[5]]


def classify(video: str, **options: Any) -> list[Any]:
    options = {"model": "demo", "use_cache": False, "workers": 0} | options
    return actcli.classify(video, LABELS, **options)


def test_each_window_is_a_result_with_the_scores_of_the_trimmed_video(
    film: tuple[str, list[float]],
) -> None:
    windows = classify(film[0], window_s=1.0, window_stride_s=0.5)
    assert [w.start_s for w in windows[:4]] == [0.0, 0.5, 1.0, 1.5]
    for window in windows[::5]:
        (alone,) = actcli.classify(
            [actcli.VideoRef(film[0], window.start_s, window.end_s)], LABELS,
            model="demo", use_cache=False, workers=0,
        )  # fmt: skip
        assert isinstance(alone, Prediction)
        for one, other in zip(window.ranked, alone.ranked, strict=True):
            assert one.label == other.label
            assert one.score == pytest.approx(other.score, abs=1e-4)
        assert window.frames_s == alone.frames_s


def test_a_window_as_long_as_the_video_has_its_scores(film: tuple[str, list[float]]) -> None:
    (whole,) = classify(film[0])
    (window,) = classify(film[0], window_s=1000.0)
    assert [s.label for s in window.ranked] == [s.label for s in whole.ranked]
    assert [s.score for s in window.ranked] == pytest.approx([s.score for s in whole.ranked])
    assert (window.start_s, window.end_s) == (whole.start_s, whole.end_s)
    assert (window.part.kind, whole.part) == ("window", None)


def test_segments_begin_and_end_within_a_stride_of_what_was_drawn(
    film: tuple[str, list[float]],
) -> None:
    path, edges = film
    found = classify(path, window_s=1.0, window_stride_s=0.25, segments=True, min_length_s=0.5)
    assert [segment.label for segment in found] == ["run", "wave", "cartwheel", "run"]
    for segment, start, end in zip(found, edges, edges[1:], strict=False):
        assert segment.start_s == pytest.approx(start, abs=0.25 + 1 / RATE)
        assert segment.end_s == pytest.approx(end, abs=0.25 + 1 / RATE)


def test_segments_tell_their_frames_and_touch(film: tuple[str, list[float]]) -> None:
    found = classify(film[0], window_s=1.0, window_stride_s=0.25, segments=True)
    with av.open(film[0]) as container:
        times = [float(f.time or 0) for f in container.decode(video=0)]
    assert found[0].part.first_frame == 0
    assert found[-1].part.last_frame == len(times) - 1
    for one, following in pairwise(found):
        assert following.part.first_frame == one.part.last_frame + 1
        assert following.start_s == one.end_s
        assert times[one.part.last_frame] < one.end_s
    assert all(s.start_s <= t < s.end_s for s in found for t in s.frames_s)


def test_below_the_threshold_nothing_holds(film: tuple[str, list[float]]) -> None:
    all_of_it = classify(film[0], window_s=1.0, segments=True, threshold=0.0)
    none = classify(film[0], window_s=1.0, segments=True, threshold=1.0, hysteresis=0.0)
    assert all_of_it[-1].end_s == pytest.approx(all_of_it[-1].part.video_s)
    assert len(none) < len(all_of_it)


def test_a_seconds_are_those_of_the_frames_where_the_rate_varies(tmp_path: Path) -> None:
    clips = [draw_clip(label, 900 + n) for n, label in enumerate(["run", "wave", "run"])]
    ticks = np.cumsum([0, *[2] * len(clips[0]), *[6] * len(clips[1]), *[2] * len(clips[2])])
    times = ticks[:-1].tolist()  # the second clip plays at a third of the pace
    make_film(tmp_path / "a.mp4", ["run", "wave", "run"], rate=30, times=times)
    found = classify(
        str(tmp_path / "a.mp4"), window_s=1.0, window_stride_s=0.25, segments=True, min_length_s=0.5
    )
    edges = [0, times[len(clips[0])] / 30, times[len(clips[0]) + len(clips[1])] / 30]
    assert [s.label for s in found] == ["run", "wave", "run"]
    assert [s.start_s for s in found] == pytest.approx(edges, abs=0.3)


def test_a_broken_video_among_windows_is_a_failure_in_its_place(
    film: tuple[str, list[float]], tmp_path: Path
) -> None:
    results = actcli.classify(
        [film[0], str(tmp_path / "none.mp4"), film[0]], LABELS,
        model="demo", use_cache=False, workers=1, window_s=2.0, segments=True,
    )  # fmt: skip
    failed = [i for i, result in enumerate(results) if isinstance(result, Failure)]
    assert failed == [len(results) // 2]
    assert [r.ok for r in results].count(True) == 2 * failed[0]


def test_explaining_tells_the_similarity_of_each_frame_alone(
    film: tuple[str, list[float]],
) -> None:
    (found,) = classify(film[0], explain=True, num_frames=6)
    assert len(found.frames_s) == 6
    for scored in found.ranked:
        assert len(scored.frame_similarity) == 6
    (plain,) = classify(film[0], num_frames=6)
    assert plain.ranked[0].frame_similarity is None
    ref = actcli.VideoRef(film[0], found.frames_s[2], found.frames_s[2] + 0.01)
    (alone,) = actcli.classify(
        [ref], LABELS, model="demo", use_cache=False, workers=0, num_frames=1
    )
    assert isinstance(alone, Prediction)
    by_label = {s.label: s.similarity for s in alone.ranked}
    for scored in found.ranked:
        assert scored.frame_similarity[2] == pytest.approx(by_label[scored.label], abs=1e-5)


def test_settings_of_windows_without_windows_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--segments: is for windows .*--window"):
        classify("a.mp4", segments=True)


def test_windows_change_the_fingerprint() -> None:
    from actcli.config import ClassifyConfig, with_options
    from actcli.data.labels import LabelSet
    from actcli.tasks.classify import Classification

    def fingerprint(**options: Any) -> str:
        config = with_options(ClassifyConfig(), {"model": "demo", **options})
        return Classification(LabelSet.from_names(LABELS), config).fingerprint

    made = [fingerprint(), fingerprint(window_s=1.0), fingerprint(window_s=1.0, segments=True)]
    assert len(set(made)) == 3
