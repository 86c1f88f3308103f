"""The windows or segments of one video as a timeline, gathered while they come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Final

from actcli.render.report.charts import (
    Plot,
    Series,
    cells,
    line_plot,
    scale,
    step_area,
    ticks,
)
from actcli.render.report.model import Film, Mark, Stretch
from actcli.render.report.numbers import count, percent, seconds
from actcli.types import Prediction, VideoRef

NUM_TONES: Final = 8
"""Labels with a colour of their own; all others share one."""
OTHER: Final = NUM_TONES
_MOST_WINDOWS, _LEAST_WINDOWS, _ALL_WINDOWS = 4000, 200, 40_000
_MOST_CELLS, _LEAST_CELLS, _ALL_CELLS = 800, 100, 20_000
"""Of a film, of one among very many, and of a whole page."""
_MOST_SPARK: Final = 300
_CODES: Final = "ABCDEFGH"
_NUM_FRAMES: Final = 12
EXPLAINED: Final = 3
"""Labels whose similarity is drawn frame by frame."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window: seconds from the first shown frame of its video, and its best labels."""

    start_s: float
    end_s: float
    ranked: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        """The best label."""
        return self.ranked[0][0]

    @property
    def score(self) -> float:
        """Of the best label."""
        return self.ranked[0][1]


@dataclass(slots=True)
class FilmRows:
    """One video's windows so far."""

    ref: VideoRef
    kind: str
    video_s: float
    windows: list[Window] = field(default_factory=list)
    warnings: dict[str, None] = field(default_factory=dict)
    similarity: dict[str, dict[float, float]] = field(default_factory=dict)
    """Of each label at each moment, where it was asked for."""

    def add(self, found: Prediction) -> None:
        """Take the next window."""
        start = found.start_s if found.ref.start_s is None else found.ref.start_s
        end = found.end_s if found.ref.end_s is None else found.ref.end_s
        ranked = tuple((one.label, one.score) for one in found.ranked)
        self.windows.append(Window(start, end, ranked))
        self.warnings.update(dict.fromkeys(found.warnings))
        for one in found.ranked:
            if one.frame_similarity is not None:
                known = self.similarity.setdefault(one.label, {})
                known.update(zip(found.frames_s, one.frame_similarity, strict=False))

    @property
    def span(self) -> tuple[float, float]:
        """From the start of the first window to the last end."""
        return self.windows[0].start_s, max(one.end_s for one in self.windows)

    @property
    def times_s(self) -> tuple[float, ...]:
        """Moments for its strip, spread evenly."""
        start, end = self.span
        return tuple(start + (i + 0.5) / _NUM_FRAMES * (end - start) for i in range(_NUM_FRAMES))

    @property
    def whole(self) -> VideoRef:
        """The video itself, for its strip."""
        return VideoRef(self.ref.path, id=self.ref.id)

    def main_label(self) -> tuple[str, float, int]:
        """The label of most windows, its highest score, and of how many it is the best."""
        label, number = Counter(one.label for one in self.windows).most_common(1)[0]
        return label, max(one.score for one in self.windows if one.label == label), number

    def frames(self) -> Plot | None:
        """The similarity of each frame to the most frequent labels, where it was asked for."""
        common = [label for label, _ in Counter(one.label for one in self.windows).most_common()]
        explained = [label for label in common if label in self.similarity][:EXPLAINED]
        series = [Series(label, sorted(self.similarity[label].items()), i)
                  for i, label in enumerate(explained)]  # fmt: skip
        return similarity_plot(series, *self.span)


def similarity_plot(series: Sequence[Series], start_s: float, end_s: float) -> Plot | None:
    """Similarity of frames along the time of a video; None where there is none."""
    return line_plot(
        "Similarity of each frame", series, x_name="time", x_range=(start_s, end_s),
        x_text=lambda time_s: _clock(time_s, end_s),
    )  # fmt: skip


def make_film(rows: FilmRows, num_films: int = 1) -> Film:
    """The timeline of a video's windows.

    num_films: on the page; of very many each gets less room
    """
    windows, notes = _thinned(rows, num_films)
    start, end = rows.span
    share = Counter(one.label for one in rows.windows)
    names = [label for label, _ in share.most_common()]
    tones = {label: min(i, OTHER) for i, label in enumerate(names)}
    few = _thin_for_sparks(windows)
    x = scale(start, end)
    edges = [(x(one.start_s), x(one.end_s)) for one in few]
    if rows.kind == "window":  # which overlap, while segments of one label never do
        edges = cells([(one.start_s, one.end_s) for one in few], start, end)
    elif any(b.start_s < a.end_s - 1e-6 for a, b in pairwise(rows.windows)):
        notes = (*notes, "segments overlap; the rows below show each label on its own")
    marks = []
    for label in names[:NUM_TONES]:
        values = [dict(one.ranked).get(label) for one in few]
        best = max(rows.windows, key=partial(_score_of, label))
        when = f"{seconds(best.start_s)} to {seconds(best.end_s)}"
        marks.append(Mark(
            label, _CODES[tones[label]], tones[label], percent(share[label] / len(rows.windows), 0),
            step_area(values, edges),
            f"highest {percent(_score_of(label, best))}, {when}",
        ))  # fmt: skip
    if len(names) > NUM_TONES:
        rest = sum(share[label] for label in names[NUM_TONES:])
        marks.append(Mark(count(len(names) - NUM_TONES, "other label"), "\u2026", OTHER,
                          percent(rest / len(rows.windows), 0), "", ""))  # fmt: skip
    stretches = _stretches(_drawn(windows, num_films), tones, (start, end))
    return Film(
        rows.kind, len(rows.windows), tuple(marks), stretches,
        tuple((round(x(t), 2), _clock(t, end)) for t in ticks(start, end, 6)),
        _data(windows, names, (start, end)), notes,
    )  # fmt: skip


def _score_of(label: str, one: Window) -> float:
    return dict(one.ranked).get(label, 0.0)


def _clock(time_s: float, longest_s: float) -> str:
    if longest_s < 60:
        return f"{time_s:g}\u202fs"
    minutes, rest = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if longest_s >= 3600 else f"{minutes}:{rest:02d}"


def _data(windows: list[Window], names: list[str], span: tuple[float, float]) -> dict[str, Any]:
    """Windows for the script: [start, end, number of the label, score] each."""
    number = {label: i for i, label in enumerate(names)}
    rows = [
        [round(one.start_s, 3), round(one.end_s, 3), number[one.label], round(one.score, 4)]
        for one in windows
    ]
    return {"labels": names, "windows": rows, "start": span[0], "end": span[1]}


def _thinned(rows: FilmRows, num_films: int) -> tuple[list[Window], tuple[str, ...]]:
    """Windows as many as a page can hold: of neighbours the one with the highest score."""
    most = min(_MOST_WINDOWS, max(_LEAST_WINDOWS, _ALL_WINDOWS // num_films))
    size = -(-len(rows.windows) // most)
    if size == 1:
        return rows.windows, ()
    note = f"of {size} neighbouring {rows.kind}s the one with the highest score is shown"
    return _grouped(rows.windows, size), (note,)


def _drawn(windows: list[Window], num_films: int) -> list[Window]:
    """As many as there are pixels to show them."""
    most = min(_MOST_CELLS, max(_LEAST_CELLS, _ALL_CELLS // num_films))
    return _grouped(windows, -(-len(windows) // most))


def _thin_for_sparks(windows: list[Window]) -> list[Window]:
    return _grouped(windows, -(-len(windows) // _MOST_SPARK))


def _grouped(windows: list[Window], size: int) -> list[Window]:
    """Groups of `size` neighbours as one each: all their time, the highest score of each label."""
    found = []
    for first in range(0, len(windows), size):
        group = windows[first : first + size]
        scores: dict[str, float] = {}
        for one in group:
            for label, score in one.ranked:
                scores[label] = max(score, scores.get(label, 0.0))
        ranked = tuple(sorted(scores.items(), key=lambda pair: -pair[1]))
        found.append(Window(group[0].start_s, max(one.end_s for one in group), ranked))
    return found


def _stretches(
    windows: list[Window], tones: dict[str, int], span: tuple[float, float]
) -> tuple[Stretch, ...]:
    """Neighbours of one label as one coloured part."""
    found: list[Stretch] = []
    places = cells([(one.start_s, one.end_s) for one in windows], *span)
    previous = ""
    for one, (left, right) in zip(windows, places, strict=True):
        last = found[-1] if found else None
        if last and one.label == previous and left - (last.left + last.width) < 0.01:
            found[-1] = Stretch(last.left, right - last.left, last.tone, last.text)
        else:
            found.append(Stretch(left, right - left, tones[one.label], one.label))
        previous = one.label
    return tuple(found)
