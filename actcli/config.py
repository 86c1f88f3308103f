"""Frozen settings: each task takes one of these whole; lower layers take explicit arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from actcli.errors import UsageError, did_you_mean, flag_of

DEFAULT_TEMPLATE = "a video of {}"


class Config(BaseModel):
    """Base of all settings: frozen, unknown keys rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SamplingConfig(Config):
    """Which frames of a video stand for it."""

    num_frames: int = Field(8, ge=1, le=256)
    """T, frames per clip."""
    num_views: int = Field(1, ge=1, le=64)
    """V, clips taken from different times of one video; scores are averaged."""
    stride_s: float | None = Field(None, gt=0)
    """Seconds between frames for dense sampling; None is uniform sampling."""


class LimitsConfig(Config):
    """What a single video may cost before it is refused."""

    max_pixels: int = Field(8192 * 8192, ge=1)
    """Width times height of a decoded frame."""
    max_duration_s: float = Field(24 * 3600.0, gt=0)
    timeout_s: float = Field(120.0, gt=0)
    """Wall time for one video; a worker that takes longer is replaced."""


class RunConfig(Config):
    """Where and how a run computes; nothing here may change a result."""

    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    batch_size: int | None = Field(None, ge=1, le=4096)
    """Clips per forward pass; None lets the device decide."""
    workers: int | None = Field(None, ge=0, le=256)
    """Decode processes; None is one per core (at most 16), 0 decodes in this process."""
    seed: int = 0
    cache_dir: str | None = None
    use_cache: bool = True
    on_error: Literal["continue", "stop"] = "continue"


class ClassifyConfig(Config):
    """Everything `classify` needs besides the videos and the labels."""

    model: str = "default"
    templates: tuple[str, ...] = (DEFAULT_TEMPLATE,)
    top: int = Field(5, ge=1)
    sampling: SamplingConfig = SamplingConfig()
    limits: LimitsConfig = LimitsConfig()
    run: RunConfig = RunConfig()
    offline: bool = False
    """Use models that are here only."""
    require_license: tuple[str, ...] = ()
    """Licences that the model may have, in lower case; `permissive` is all of that kind."""

    @model_validator(mode="after")
    def _templates_have_one_slot(self) -> ClassifyConfig:
        for template in self.templates:
            if template.count("{}") != 1:
                raise ValueError(f'--template: "{template}" needs exactly one {{}} for the label')
        return self


def with_options(config: ClassifyConfig, options: Mapping[str, Any]) -> ClassifyConfig:
    """`config` with flat options put where they belong and everything validated once.

    options: fields of the config or of its parts, by name (`num_frames=16`, `device="cpu"`).

    Raises UsageError naming the flag.
    """
    values = config.model_dump()
    homes = dict.fromkeys(values, values)
    for part in ("sampling", "limits", "run"):
        homes |= dict.fromkeys(values[part], values[part])
    for name, value in options.items():
        if name not in homes:
            raise UsageError(f"{name}: unknown option", hint=did_you_mean(name, homes))
        homes[name][name] = value
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise UsageError(first["msg"].removeprefix("Value error, ")) from error
        flag = flag_of(str(first["loc"][-1]))
        raise UsageError(f"{flag}: {first['msg']} (got {first['input']!r})") from error
