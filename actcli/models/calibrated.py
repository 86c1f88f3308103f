"""What a calibration says: which scores it was fitted on, and what it makes of them.

A calibration holds for one model, label set and prompts. It is a JSON file of `actcli calibrate`,
or part of a checkpoint's header. Reading it imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from actcli.errors import InputError, ModelError, shorten_list
from actcli.reading import parse_json, read_at_most, shown
from actcli.types import ScoreKind

SCHEMA: Final = "actcli.calibration/1"
MOST_KEPT: Final = 2000
"""Confidences that are kept of each sort, for thresholds."""
_LARGEST: Final = 64_000_000
_STRONGEST: Final = 1e4
_OF_MODEL: Final = ("model", "checkpoint", "method", "options", "sampling", "frame_weights")


class Calibration(BaseModel):
    """One calibration, as it is stored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    schema_: Literal["actcli.calibration/1"] = "actcli.calibration/1"
    model_name: str = ""
    identity: Mapping[str, Any]
    """Of the model and its settings: digests, method, options, sampling."""
    labels: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    multi_label: bool = False
    score_kind: ScoreKind
    temperature: float = 1.0
    bias: float = 0.0
    rule: Literal["bank", "energy", "cosine", "softmax"] | None = None
    """Of `--reject`: the one that told unknown videos best."""
    known: Mapping[str, tuple[float, ...]] = {}
    unknown: Mapping[str, tuple[float, ...]] = {}
    """By rule, rising confidences of the videos it was fitted on."""
    label_thresholds: tuple[float, ...] | None = None
    """[C], where several labels may hold."""
    measured: Mapping[str, Any] = {}
    """What it was worth on videos that it was not fitted on."""
    created: str = ""
    versions: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if not 1 / _STRONGEST <= self.temperature <= _STRONGEST or abs(self.bias) > _STRONGEST:
            raise ValueError("temperature, bias: beyond all that is fitted")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: one twice")
        if len(self.prompts) != len(self.labels):
            raise ValueError("prompts: not as many as labels")
        if self.label_thresholds is not None and len(self.label_thresholds) != len(self.labels):
            raise ValueError("label_thresholds: not as many as labels")
        if self.rule is not None and self.rule not in self.unknown:
            raise ValueError("rule: without the confidences behind it")
        return self

    @property
    def digest(self) -> str:
        """Of what decides scores: all but when and by which versions it was made."""
        kept = self.model_dump(mode="json", exclude={"created", "versions", "measured"})
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()

    def thresholds_of(self, labels: Iterable[str]) -> tuple[float, ...] | None:
        """The score from which each of its labels holds, in the order of `labels`."""
        if self.label_thresholds is None:
            return None
        own = dict(zip(self.labels, self.label_thresholds, strict=True))
        return tuple(own[label] for label in labels)

    def stated(self) -> dict[str, Any]:
        """As a file or a header has it."""
        dumped = self.model_dump(mode="json")
        return {"schema": dumped.pop("schema_")} | dumped

    def mismatch(
        self, identity: Mapping[str, Any], labels: tuple[str, ...], prompts: Any, several: bool
    ) -> str | None:
        """What differs between the scores it was fitted on and those of a run, in words.

        identity: of the run; parts that this calibration doesn't have are not compared
        """
        for name in _OF_MODEL:
            got, expected = identity.get(name), self.identity.get(name, identity.get(name))
            if plain(got) != plain(expected):
                return f"another {name.replace('_', ' ')}"
        if changed := sorted(set(labels) ^ set(self.labels)):
            return f"other labels ({shorten_list(changed)})"
        own = dict(zip(self.labels, self.prompts, strict=True))
        if any(tuple(given) != own[label] for label, given in zip(labels, prompts, strict=True)):
            return "other prompts"
        if several != self.multi_label:
            return f"scores {'with' if self.multi_label else 'without'} --multi-label"
        return None


def plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value, sort_keys=True))


def parse(stated: Mapping[str, Any], source: str) -> Calibration:
    """A calibration out of a header or a file; raises ModelError for one that can't be used."""
    schema = stated.get("schema")
    if schema != SCHEMA:
        raise ModelError(
            f"{source}: not a calibration that this version reads (got schema {shown(schema)}, "
            f"expected {SCHEMA})",
            hint="actcli calibrate",
        )
    try:
        return Calibration.model_validate(dict(stated))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(f"{source}: damaged ({place}: {first['msg']})") from error


def read_calibration(path: str | Path) -> Calibration:
    """A file of `actcli calibrate`.

    Raises InputError if it can't be read, ModelError as `parse`.
    """
    try:
        content = read_at_most(path, _LARGEST)
    except OSError as error:
        raise InputError(f"--calibration {path}: can't be read ({error.strerror})") from error
    try:
        stated = None if content is None else parse_json(content)
    except ValueError:
        stated = None
    if not isinstance(stated, dict):
        raise ModelError(f"--calibration {path}: not a calibration", hint="actcli calibrate")
    return parse(stated, f"--calibration {path}")
