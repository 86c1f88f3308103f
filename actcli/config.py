"""Frozen settings: each task takes one of these whole; lower layers take explicit arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from actcli.errors import UsageError, did_you_mean, flag_of

_PARTS = ("sampling", "limits", "run", "train", "windows", "decisions")
DEFAULT_TEMPLATE = "a video of {}"

T = TypeVar("T", bound="TaskConfig")


class Config(BaseModel):
    """Base of all settings: frozen, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SamplingConfig(Config):
    """Which frames of a video stand for it."""

    num_frames: int = Field(8, ge=1, le=256)
    """T, frames per clip."""
    num_views: int = Field(1, ge=1, le=64)
    """V, clips taken from different times of one video; scores are averaged."""
    num_crops: Literal[1, 3] = 1
    """Squares cut from each clip: the centre, or start, centre and end of the longer side, each a
    view of its own."""
    stride_s: float | None = Field(None, gt=0)
    """Seconds between frames for dense sampling; None is uniform sampling."""
    decode: Literal["exact", "fast", "nvdec"] = "exact"
    """fast takes the last key frame before each moment instead, where the file tells which these
    are: up to some seconds early, and for short clips the same one again and again. nvdec takes the
    same frames as exact, decoded by a GPU where it can, whose colours may differ by a level."""
    scheme: Literal["time", "actionclip", "clip-fsar"] = "time"
    """time: by seconds, as above. Others: by frame number, as the published code of a method."""
    rate: int = Field(50, ge=1)
    """SAMPLING_RATE of CLIP-FSAR's published configs; other schemes have no use for it.

    Above 40 a random frame of each of T segments is taken, else T evenly spaced ones: 50 was
    published for HMDB51, UCF101 and SSv2, 35 for Kinetics-100."""

    @model_validator(mode="after")
    def _published_schemes_have_their_own_clip(self) -> Self:
        for name, own in (("num_views", 1), ("stride_s", None)):
            given = getattr(self, name)
            if self.scheme != "time" and given != own:
                raise ValueError(
                    f"{flag_of(name)}: the sampling of {self.scheme} knows one clip a video and no "
                    f"stride (got {given}, expected {own or 'none'})"
                )
        return self


class WindowConfig(Config):
    """How a video is cut into windows, and what becomes of their scores."""

    window_s: float | None = Field(None, gt=0)
    """Seconds of a window; None takes each video as a whole."""
    window_stride_s: float | None = Field(None, gt=0)
    """Seconds from one window's start to the next; None is a window's length."""
    shots: bool = False
    """Let no window reach across a cut."""
    segments: bool = False
    """Merge windows into segments; see `actcli.models.segments`."""
    threshold: float | None = Field(None, ge=0, le=1)
    """Score from which a label starts; None is none, or 0.5 for sigmoid scores."""
    hysteresis: float = Field(0.1, ge=0, le=1)
    """How much better a label must be to take over, or may fall below the threshold."""
    min_length_s: float = Field(0.0, ge=0)
    """Shorter segments go to their neighbours."""

    @model_validator(mode="after")
    def _windows_are_asked_for(self) -> Self:
        if self.window_s is None and self.model_fields_set - {"window_s"}:
            name = flag_of(sorted(self.model_fields_set - {"window_s"})[0])
            raise ValueError(f"{name}: is for windows (expected --window SECONDS)")
        idle = sorted(self.model_fields_set & {"threshold", "hysteresis", "min_length_s"})
        if idle and not self.segments:
            raise ValueError(f"{flag_of(idle[0])}: is for --segments")
        return self

    @property
    def stride_s(self) -> float:
        """Seconds from one window's start to the next."""
        return self.window_stride_s or self.window_s or float("inf")


class DecisionConfig(Config):
    """What is made of scores: none of the labels, several of them, calibrated ones."""

    reject: bool = False
    """Say where a video shows none of the labels."""
    reject_rule: Literal["bank", "energy", "cosine", "softmax"] | None = None
    """See `actcli.models.rejection`; None is the calibration's, else the bank, or the softmax for
    classes made of examples."""
    reject_threshold: float | None = None
    """Confidence below which a video shows none of the labels; None is the calibration's, or that
    of a few-shot file's examples, else 0.5."""
    target_false_accept: float | None = Field(None, ge=0, lt=1)
    """Share of videos of none of the labels that may pass for one, by the calibration."""
    multi_label: bool = False
    """Judge each label on its own, so that several may hold, or none."""
    label_threshold: float | None = Field(None, ge=0, le=1)
    """Score from which a label holds; None is the calibration's for each label, else 0.5."""
    calibration: str | None = None
    """A file of `actcli calibrate`; "none" leaves out what a checkpoint carries."""
    frame_weights: bool = False
    """Let frames count the more, the better they fit a label."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.reject and self.multi_label:
            raise ValueError("--reject: --multi-label tells none of these by an empty list already")
        for name in ("reject_rule", "target_false_accept", "reject_threshold"):
            if getattr(self, name) is not None and not self.reject:
                flag = "--threshold" if name == "reject_threshold" else flag_of(name)
                raise ValueError(f"{flag}: is for --reject")
        if self.label_threshold is not None and not self.multi_label:
            raise ValueError("--threshold: is for --multi-label")
        if self.reject_threshold is not None and self.target_false_accept is not None:
            raise ValueError("--threshold and --target-false-accept: give one of them")
        return self


class LimitsConfig(Config):
    """What a single video may cost before it is refused."""

    max_pixels: int = Field(8192 * 8192, ge=1)
    """Width times height of a decoded frame."""
    max_duration_s: float = Field(24 * 3600.0, gt=0)
    max_frames: int = Field(20_000_000, ge=1)
    """Of the whole video: times of all of them are held. A day of 200 a second has fewer."""
    timeout_s: float = Field(120.0, gt=0, le=1e6)
    """Wall time for one video; a worker that takes longer is replaced."""
    max_memory_mib: int = Field(4096, ge=64, le=2**24)
    """Of one worker, beyond what it needs to start; held where the system can (Linux)."""
    sandbox: Literal["auto", "require", "off"] = "auto"
    """Whether workers give up all rights that decoding does not need: where they can, or else the
    run ends, or never."""

    HELD_BY_WORKERS: ClassVar[tuple[str, ...]] = ("timeout_s", "max_memory_mib", "sandbox")
    """No result depends on these: a video that kept to them is the same under others."""


class RunConfig(Config):
    """Where and how a run computes; nothing here may change a result."""

    device: str = "auto"
    devices: tuple[str, ...] = ()
    """Several, each with an engine in a process of its own; `all` is every CUDA device."""
    backend: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    """Of a cluster; None is the one of RAY_ADDRESS, or one that is started here."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    batch_size: int | None = Field(None, ge=1, le=4096)
    """Clips per forward pass; None lets the device decide."""
    workers: int | None = Field(None, ge=0, le=256)
    """Decode processes; None is one per core (at most 16), 0 decodes in this process."""
    seed: int = Field(0, ge=0, lt=2**63)
    cache_dir: str | None = None
    use_cache: bool = True
    on_error: Literal["continue", "stop"] = "continue"


class TaskConfig(Config):
    """What every task needs that runs a model on videos.

    Where the model is a checkpoint, what was not set here is as the checkpoint has it.
    """

    model: str = "default"
    backbone: str | None = None
    """Where the backbone of a checkpoint is now, if not under the name that it gives."""
    options: dict[str, Any] = {}
    """Of the method's own config, over its defaults or over what a checkpoint has."""
    templates: tuple[str, ...] = (DEFAULT_TEMPLATE,)
    sampling: SamplingConfig = SamplingConfig()
    limits: LimitsConfig = LimitsConfig()
    run: RunConfig = RunConfig()
    offline: bool = False
    """Use models that are here only."""
    require_license: tuple[str, ...] = ()
    """Licences that the model may have, in lower case; `permissive` is all of that kind."""

    @model_validator(mode="after")
    def _templates_have_one_slot(self) -> Self:
        for template in self.templates:
            if template.count("{}") != 1:
                raise ValueError(f'--template: "{template}" needs exactly one {{}} for the label')
        return self


class ClassifyConfig(TaskConfig):
    """Everything `classify` needs besides the videos and the labels."""

    top: int = Field(5, ge=1)
    windows: WindowConfig = WindowConfig()
    decisions: DecisionConfig = DecisionConfig()
    explain: bool = False
    """Tell the similarity of each frame alone to the best labels."""

    @model_validator(mode="after")
    def _segments_have_a_threshold_of_their_own(self) -> Self:
        if self.windows.segments and self.decisions.reject:
            raise ValueError(
                "--reject: segments have --threshold, below which time is left without a label"
            )
        return self


class FewShotConfig(ClassifyConfig):
    """Everything `fewshot` needs besides the examples and the videos."""

    matcher: Literal["mean", "otam", "bimhm", "diag"] | None = None
    """How frames are compared; None is the method's own choice."""
    text_weight: float | Literal["auto"] | None = None
    """Share of the words in the scores, in [0, 1]; None is the method's own choice."""

    @model_validator(mode="after")
    def _decisions_are_for_classify(self) -> Self:
        if self.decisions != DecisionConfig():
            raise ValueError(
                "decisions: are for classify (fewshot --save FILE, then classify --model FILE)"
            )
        return self

    @model_validator(mode="after")
    def _text_weight_is_a_share(self) -> Self:
        if isinstance(self.text_weight, float) and not 0 <= self.text_weight <= 1:
            raise ValueError(f"--text-weight: not a share (got {self.text_weight:g}, expected 0-1)")
        return self

    def method_options(self) -> dict[str, Any]:
        """What is set of the method's own config."""
        options = dict(self.options)
        if self.matcher is not None:
            options["matcher"] = self.matcher
        if self.text_weight is not None:
            options["text_weight"] = None if self.text_weight == "auto" else self.text_weight
        return options


def with_options(config: T, options: Mapping[str, Any]) -> T:
    """`config` with flat options put where they belong and everything validated once.

    options: fields of the config or of its parts, by name (`num_frames=16`, `device="cpu"`).

    Raises UsageError naming the flag.
    """
    # Only what was set: what a checkpoint decides must not look as if a user had.
    values = config.model_dump(exclude_unset=True)
    homes = dict.fromkeys(type(config).model_fields, values)
    parts = [name for name in _PARTS if hasattr(config, name)]
    for part in parts:
        kind = type(getattr(config, part))
        homes |= dict.fromkeys(kind.model_fields, values.setdefault(part, {}))
    for name, value in options.items():
        if name not in homes:
            raise UsageError(f"{name}: unknown option", hint=did_you_mean(name, homes))
        homes[name][name] = value
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":  # one of ours, which names the flag
            raise UsageError(first["msg"].removeprefix("Value error, ")) from error
        flag = flag_of(str(first["loc"][-1]))
        raise UsageError(f"{flag}: {first['msg']} (got {first['input']!r})") from error


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def first_problem(error: ValidationError) -> str:
    """The first thing that a validation says, with its place."""
    first = error.errors()[0]
    place, said = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if place else str(said)
