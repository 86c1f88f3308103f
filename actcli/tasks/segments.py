"""Windows of videos to segments, as `actcli.models.segments` says, one video after another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace

from actcli.config import WindowConfig
from actcli.models.segments import Segmenter, SegmentRule, Span
from actcli.models.window_cells import Scores, micro
from actcli.tasks.scoring import Scorer, scores_of
from actcli.types import Failure, FrameEmbeddings, Part, Prediction, ScoredLabel, VideoRef
from actcli.windows import goes_on

_MOST_FRAMES = 16
"""Times of frames that a segment names, spread over it."""


def rule_of(windows: WindowConfig, scorer: Scorer) -> SegmentRule:
    """The rule for the scores of a model: each label on its own where they are sigmoids."""
    return SegmentRule(
        windows.threshold,
        windows.hysteresis,
        windows.min_length_s,
        is_multi_label=scorer.score_kind == "sigmoid",
    )


class SegmentStream:
    """Segments of videos from the embeddings of their windows.

    top: labels that a segment tells, its own first
    """

    def __init__(
        self, windows: WindowConfig, scorer: Scorer, *, method: str, model: str, top: int
    ) -> None:
        self._rule = rule_of(windows, scorer)
        self._scorer = scorer
        self._method, self._model, self._top = method, model, top
        self._video: _Video | None = None
        self._before: FrameEmbeddings | None = None

    def of(self, windows: Iterable[FrameEmbeddings | Failure]) -> Iterator[Prediction | Failure]:
        """Yield each segment once it has ended, and failures where they come."""
        for window in windows:
            if isinstance(window, Failure):
                yield from self._finish()
                yield window
                continue
            if self._video is None or not goes_on(self._before, window):
                yield from self._finish()
                self._video = _Video(window, Segmenter(self._rule, len(self._scorer.labels)))
            self._before = window
            scores = scores_of(window, self._scorer).numpy()
            for span in self._video.add(window, scores):
                yield self._prediction(self._video, span)
        yield from self._finish()

    def _finish(self) -> Iterator[Prediction]:
        video, self._video = self._video, None
        if video is not None:
            for span in video.segmenter.finish():
                yield self._prediction(video, span)

    def _prediction(self, video: _Video, span: Span) -> Prediction:
        order = sorted(range(len(span.scores)), key=lambda c: (c != span.target, -span.scores[c]))
        ranked = tuple(
            ScoredLabel(self._scorer.labels[c], float(span.scores[c])) for c in order[: self._top]
        )
        warnings, video.warnings = video.warnings, ()
        return Prediction(
            ref=replace(video.ref, start_s=span.start_s, end_s=span.end_s),
            ranked=ranked,
            score_kind=self._scorer.score_kind,
            method=self._method,
            model=self._model,
            start_s=span.start_s,
            end_s=span.end_s,
            frames_s=video.times_between(span.start_s, span.end_s),
            calibrated=self._scorer.is_calibrated,
            cached=video.cached,
            warnings=warnings,
            part=video.part(span),
        )


class _Video:
    """What segments need of the windows that they are made of."""

    def __init__(self, window: FrameEmbeddings, segmenter: Segmenter) -> None:
        assert window.part is not None, "a window"
        self.segmenter = segmenter
        self.ref: VideoRef = window.ref
        self.warnings: tuple[str, ...] = ()
        self.cached = True
        self._video_s = window.part.video_s
        self._times_s: list[float] = []
        self._first: dict[int, int] = {}
        """By start of a window in microseconds, the frame on screen then."""
        self._last: dict[int, int] = {}
        """By end of a window, its last frame."""

    def add(self, window: FrameEmbeddings, scores: Scores) -> list[Span]:
        """The segments that end with a window."""
        assert window.part is not None, "a window"
        self._first[micro(window.start_s)] = window.part.first_frame
        self._last[micro(window.end_s)] = window.part.last_frame
        for time_s in {t for view in window.times_s for t in view}:
            place = bisect_left(self._times_s, time_s)
            if self._times_s[place : place + 1] != [time_s]:
                self._times_s.insert(place, time_s)
        self.warnings += window.warnings
        self.cached &= window.cached
        return self.segmenter.add(window.start_s, window.end_s, scores)

    def times_between(self, start_s: float, end_s: float) -> tuple[float, ...]:
        """Times of frames that were looked at, at most so many, spread evenly."""
        first, last = bisect_left(self._times_s, start_s), bisect_left(self._times_s, end_s)
        count = last - first
        if count <= _MOST_FRAMES:
            return tuple(self._times_s[first:last])
        places = [first + (2 * i + 1) * count // (2 * _MOST_FRAMES) for i in range(_MOST_FRAMES)]
        return tuple(self._times_s[place] for place in places)

    def part(self, span: Span) -> Part:
        """Where a segment lies; the next one begins after its last frame."""
        start, end = micro(span.start_s), micro(span.end_s)
        first = self._first[start] if start in self._first else self._last[start] + 1
        last = self._first[end] - 1 if end in self._first else self._last[end]
        return Part("segment", first, max(first, last), self._video_s)
