"""What a checkpoint says of itself: the types of its header, and what must agree in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from actcli.config import SamplingConfig
from actcli.types import Preprocessing

SCHEMA: Final = "actcli.checkpoint/1"


class _Part(BaseModel):
    # What a later version of the same schema adds is passed over.
    model_config = ConfigDict(frozen=True, extra="ignore")


class BackboneRef(_Part):
    """The backbone that a checkpoint belongs to."""

    name: str
    digest: str | None
    """None where the backbone was not at hand when the file was made, as in imports."""
    activation: Literal["gelu", "quick_gelu"]
    embed_dim: int
    licence: str = "unknown"


class SupportClip(_Part):
    """Where one support clip came from."""

    input: str
    label: str
    sha256: str | None = None
    start_s: float | None = None
    end_s: float | None = None


class CheckpointInfo(_Part):
    """All that a checkpoint says of itself."""

    method: str
    config: Mapping[str, Any]
    """of the method"""
    backbone: BackboneRef
    sampling: SamplingConfig
    transform: Preprocessing
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    templates: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    prompts: tuple[tuple[str, ...], ...] = ()
    support: tuple[SupportClip, ...] | None = None
    """The clips behind the embeddings, in their order; None in a file that is no few-shot file."""
    compact: bool = False
    """Whether only prototypes are kept, so that nothing can be added to a class or left out."""
    text_weight: float | None = None
    """The share of the words, settled when a compact file was made."""
    training: Mapping[str, Any] | None = None
    """What it was trained on, how, and with what result."""
    calibration: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = {}
    created: str = ""
    content: str = ""
    """Digest of what decides scores: all but when and by which versions it was made."""
    digest: str = ""
    """Of everything else in the file."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        """Whoever made the file: what it says of itself must make sense together."""
        if len(set(self.labels)) < len(self.labels) or not all(self.labels):
            raise ValueError("labels: empty, or twice")
        counts = {len(own) for own in self.prompts}
        if len(self.prompts) != len(self.labels) or len(counts) > 1 or 0 in counts:
            raise ValueError("prompts: not as many for each label")
        if any(template.count("{}") != 1 for template in self.templates):
            raise ValueError("templates: not one {} in each")
        if not {clip.label for clip in self.support or ()} <= set(self.labels):
            raise ValueError("support: a clip of a class that is not there")
        if self.text_weight is not None and not 0 <= self.text_weight <= 1:
            raise ValueError("text_weight: not a share")
        if self.compact and (self.text_weight is None or self.support is None):
            raise ValueError("compact: no text_weight, or no support")
        transform = self.transform
        if not 0 < transform.size_px <= (transform.scale_px or transform.size_px) <= 4096:
            raise ValueError("transform: not a size")
        return self

    @property
    def is_few_shot(self) -> bool:
        """Whether the file holds its own classes, as examples."""
        return self.support is not None

    def stated(self) -> dict[str, Any]:
        """As the header has it, in plain JSON values."""
        return {"schema": SCHEMA} | self.model_dump(mode="json")
