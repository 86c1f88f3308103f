"""The values that modules hand to one another, from a path to a prediction.

Tensors are held without importing torch: annotations are strings and checks read `.shape`.
Shape letters: B videos, V views, N = B * V clips, T frames, X model input side, D embedding
dimension, C classes, P prompts per class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from actcli.errors import VideoError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

ScoreKind = Literal["softmax", "sigmoid"]
ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["bicubic", "bilinear"]


def check_rank(owner: str, name: str, value: Any, letters: str) -> None:
    """Raise ValueError unless a tensor has as many axes as there are letters."""
    axes = letters.split()
    if len(value.shape) != len(axes):
        raise ValueError(f"{owner}.{name}: wrong shape (got {tuple(value.shape)}, expected {axes})")


@dataclass(frozen=True, slots=True)
class VideoRef:
    """One media file, optionally trimmed, as the user named it."""

    path: str
    """Where the bytes are; may hold surrogate escapes for names that are not UTF-8."""
    start_s: float | None = None
    """Seconds from the first shown frame; None is the beginning."""
    end_s: float | None = None
    """Seconds from the first shown frame, exclusive; None is the end."""
    id: str = ""
    """What the user typed; the `input` of records. Defaults to the path."""
    label: str | None = None
    """The true label, where a manifest gave one."""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", self.path)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a probe knows of a video: sizes in pixels as shown, times in seconds."""

    duration_s: float
    num_frames: int
    average_rate: float
    """Frames per second over the whole video, `num_frames / duration_s`."""
    width: int
    height: int
    rotation_deg: int
    codec: str
    container: str
    has_timestamps: bool


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """Which frames to take: a time, or a frame index, for each view and position."""

    timestamps_s: tuple[tuple[float, ...], ...] | None = None  # [V][T]
    indices: tuple[tuple[int, ...], ...] | None = None  # [V][T]

    def __post_init__(self) -> None:
        if (self.timestamps_s is None) == (self.indices is None):
            raise ValueError("SamplePlan: give timestamps_s or indices, not both and not neither")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a model wants its frames: the size and crop belong to the host, mean and std to the
    device."""

    size_px: int
    """X, side of the square that the model reads."""
    resize: ResizeMode = "shortest"
    """shortest: shorter side to X, centre crop; longest: longer side to X, pad; squash: both."""
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    fill: int = 0
    """Grey level of padding, for `longest`."""
    scale_px: int | None = None
    """What `resize` scales to instead of X, before the crop of the central X by X."""
    antialias: bool = True
    """False: each pixel is mixed from its nearest neighbours alone, however much is shrunk."""
    by_pil: bool = False
    """Resample as PIL does, to the last grey level, at three times the cost; antialiased only."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """The frames sampled from one video, scaled and cropped for a model."""

    ref: VideoRef
    frames: np.ndarray[Any, Any]
    """uint8 [V, T, 3, X, X]"""
    times_s: np.ndarray[Any, Any]
    """float64 [V, T], seconds from the first shown frame"""
    start_s: float
    end_s: float
    warnings: tuple[str, ...] = ()
    """What a user should know about this video though it could be read."""

    def __post_init__(self) -> None:
        check_rank("Clip", "frames", self.frames, "V T 3 X X")
        check_rank("Clip", "times_s", self.times_s, "V T")


@dataclass(frozen=True, slots=True, eq=False)
class FrameEmbeddings:
    """One video's frame embeddings, un-normalised, with where in time they come from."""

    ref: VideoRef
    values: Tensor
    """[V, T', D] on the CPU, in the dtype that was computed"""
    times_s: tuple[tuple[float, ...], ...]  # [V][T]
    start_s: float
    end_s: float
    warnings: tuple[str, ...] = ()
    cached: bool = False
    part: Part | None = None
    """Where in its video a window lies; None is the whole of `ref`."""

    def __post_init__(self) -> None:
        check_rank("FrameEmbeddings", "values", self.values, "V T D")


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """The embedded prompts of a label set."""

    labels: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]  # [C][P]
    values: Tensor
    """[C, P, D], un-normalised"""

    def __post_init__(self) -> None:
        check_rank("Text", "values", self.values, "C P D")
        if self.values.shape[0] != len(self.labels) or len(self.prompts) != len(self.labels):
            raise ValueError(
                f"Text: {len(self.labels)} labels, {len(self.prompts)} prompt lists, "
                f"values {tuple(self.values.shape)} (expected one row per label)"
            )


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a video a window or segment is."""

    kind: Literal["window", "segment"]
    first_frame: int
    """Index among all shown frames of the video, from 0."""
    last_frame: int
    """The last one that is still in it."""
    video_s: float
    """Duration of the whole video in seconds."""


@dataclass(frozen=True, slots=True)
class ScoredLabel:
    """One label with its score and, where the method has one, its cosine similarity."""

    label: str
    score: float
    similarity: float | None = None
    frame_similarity: tuple[float, ...] | None = None
    """The cosine of each frame of `Prediction.frames_s` alone, where it was asked for."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What happens in one video, or in one window or segment of it: the best labels, best first.

    A window's or segment's `ref` is trimmed to it.
    """

    ref: VideoRef
    ranked: tuple[ScoredLabel, ...]
    score_kind: ScoreKind
    method: str
    model: str
    start_s: float
    end_s: float
    frames_s: tuple[float, ...]
    calibrated: bool = False
    cached: bool = False
    warnings: tuple[str, ...] = ()
    part: Part | None = None
    """Where in its video a window or segment lies; None is the whole of `ref`."""
    abstained: bool | None = None
    """Whether it shows none of the labels, the best of which is a guess then; None: not asked."""
    confidence: float | None = None
    """How sure the rule of `--reject` is that it shows one of the labels."""
    present: tuple[str, ...] | None = None
    """The labels that hold, best first, where several may; None: not asked."""

    @property
    def label(self) -> str:
        """The label with the highest score."""
        return self.ranked[0].label

    @property
    def score(self) -> float:
        """The highest score."""
        return self.ranked[0].score

    ok = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A video that could not be used, in its place in the stream of results."""

    ref: VideoRef
    error: VideoError
    method: str = ""
    model: str = ""

    ok = False


@dataclass(frozen=True, slots=True)
class Run:
    """The conditions of a run: enough to repeat it and to know whether two runs compare."""

    command: str
    config: dict[str, Any]
    versions: dict[str, str]
    model: str
    model_digest: str
    fingerprint: str
    """Digest of all that decides the scores: model, labels, prompts, sampling, transform."""
    labels: Sequence[str]
    prompts: Sequence[Sequence[str]]
    device: str
    precision: str
    seed: int
    started: str
    """UTC, ISO 8601"""
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model by its name, whether or not it is here."""

    name: str
    alias: str | None
    licence: str
    permissive: bool
    """Whether the licence lets the weights be used for anything."""
    num_bytes: int | None
    """Of the weights: measured where they are here, else estimated from their number."""
    context_length: int | None
    input_px: int | None
    resize: str | None
    folder: str | None
    """Where its files are; None if it isn't here."""
    refused: str | None = None
    """Why this version can't use it, if it can't."""
    repository: str | None = None
    commit: str | None = None
    activation: str | None = None
    embed_dim: int | None = None
    score_kind: str | None = None
    interpolation: str | None = None
    tokenizer: str | None = None
    """Of Hugging Face, where it isn't open_clip's own."""
