"""What a report shows, as plain values that are ready for its templates."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actcli.render.report.charts import Plot
from actcli.render.report.numbers import seconds


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that stands large, its name, and what it depends on."""

    name: str
    value: str
    note: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame of a strip."""

    source: str
    """The file itself, as a data: address."""
    time_s: float

    @property
    def time(self) -> str:
        """When it is shown."""
        return seconds(self.time_s)


@dataclass(frozen=True, slots=True)
class Strip:
    """Frames of a video, or why there are none."""

    pictures: tuple[Picture, ...] = ()
    reason: str = ""

    @property
    def times(self) -> str:
        """The moments in words."""
        return ", ".join(one.time for one in self.pictures)


def make_strip(frames: Sequence[bytes], times_s: Sequence[float]) -> Strip:
    """A strip from small picture files (WebP or JPEG) and their times."""
    return Strip(tuple(map(Picture, map(_data_address, frames), times_s)))


def _data_address(file: bytes) -> str:
    kind = "webp" if file[:4] == b"RIFF" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A name with a length: of a label its score, of a class its share."""

    name: str
    length: float
    """0 to 100"""
    value: str
    more: str = ""
    key: float = 0.0
    """What it is sorted by."""
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A label of a timeline: its name, code letter, colour and how much of it there is."""

    name: str
    code: str
    tone: int
    share: str
    path: str
    """Of its score along the timeline."""
    best: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A coloured part of a timeline: neighbours of one label."""

    left: float
    width: float
    tone: int
    text: str


@dataclass(frozen=True, slots=True)
class Film:
    """The windows or segments of one video."""

    kind: str
    number: int
    marks: tuple[Mark, ...]
    stretches: tuple[Stretch, ...]
    ticks: tuple[tuple[float, str], ...]
    data: Mapping[str, Any]
    """For the script: where each window lies and what it shows."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """All that is known of one video."""

    id: str
    name: str
    facts: tuple[str, ...]
    bars: tuple[Bar, ...]
    strip: Strip
    warnings: tuple[str, ...] = ()
    verdict: str = ""
    """right, wrong, or nothing where the target is not known"""
    target: str = ""
    film: Film | None = None
    frames: Plot | None = None
    """Similarity of each frame."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A video that could not be used."""

    name: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Videos:
    """The videos of a run."""

    rows: tuple[tuple[Any, ...], ...]
    """For the table: see `actcli.render.report.collector.COLUMNS`."""
    first: tuple[Mapping[str, Any], ...]
    """The first rows as texts, for readers without scripts."""
    cards: tuple[Card, ...]
    counts: tuple[Bar, ...]
    failed: tuple[Failed, ...]
    has_targets: bool
    notes: tuple[str, ...] = ()
    score_note: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """How often each class was taken for each; rows are true classes."""

    labels: tuple[str, ...]
    rows: tuple[tuple[tuple[int, int], ...], ...]
    """(how often, tone from 0 to 10)"""
    has_numbers: bool


@dataclass(frozen=True, slots=True)
class Confused:
    """A mistake and how often it was made."""

    label: str
    taken_for: str
    number: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Clips whose score lies between two bounds: how many, how sure, how right."""

    low: float
    high: float
    number: int
    score: float
    right: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether scores mean what they say."""

    bins: tuple[Bin, ...]
    bars: tuple[tuple[float, float, float], ...]
    """(left, top, height) of each, 0 to 100"""
    path: str
    ece: str


@dataclass(frozen=True, slots=True)
class Hard:
    """A clip that was taken for something else, with a high score."""

    name: str
    target: str
    guess: str
    score: str
    rank: str
    strip: Strip


@dataclass(frozen=True, slots=True)
class Part:
    """One measured part of an evaluation."""

    name: str
    tiles: tuple[Tile, ...]
    classes: tuple[Bar, ...]
    matrix: Matrix | None
    confused: tuple[Confused, ...]
    reliability: Reliability | None
    hard: tuple[Hard, ...]
    num_wrong: int


@dataclass(frozen=True, slots=True)
class Training:
    """A training run."""

    plots: tuple[Plot, ...]
    epochs: tuple[tuple[str, ...], ...]
    """epoch, step, right, loss, best or not"""


@dataclass(frozen=True, slots=True)
class Support:
    """What few-shot examples are worth."""

    tiles: tuple[Tile, ...]
    classes: tuple[Bar, ...]
    confused: tuple[Confused, ...]
    suspects: tuple[Mapping[str, str], ...]
    twins: tuple[Mapping[str, str], ...]
    matchers: tuple[Bar, ...]
    notes: tuple[str, ...]
    failed: tuple[Failed, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report."""

    title: str
    command: str
    subtitle: str
    tiles: tuple[Tile, ...]
    conditions: tuple[tuple[str, str], ...]
    record: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    videos: Videos | None = None
    support: Support | None = None
    parts: tuple[Part, ...] = ()
    training: Training | None = None
    failed: tuple[Failed, ...] = ()
    version: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
