"""Results and runs as plain JSON values: the versioned schemas that scripts rely on.

Keys are never removed or renamed within a schema version. Numbers are rounded to six decimals
(scores, similarities, seconds), a number that is not finite is null, and text is written in ASCII,
so that names which are not UTF-8 survive as surrogate escapes.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from actcli.types import Failure, Part, Prediction, Run, ScoredLabel, VideoRef

PREDICTION_SCHEMA: Final = "actcli.prediction/1"
RUN_SCHEMA: Final = "actcli.run/1"
_DECIMALS: Final = 6


def to_record(result: Prediction | Failure) -> dict[str, Any]:
    """One result as the record of schema `actcli.prediction/1`."""
    return _ok_record(result) if isinstance(result, Prediction) else _failed_record(result)


def _ok_record(result: Prediction) -> dict[str, Any]:
    start_s, end_s = span(result)
    record = {
        "schema": PREDICTION_SCHEMA,
        "input": result.ref.id,
        "ok": True,
        "start": start_s,
        "end": end_s,
        "label": result.label,
        "score": rounded(result.score),
        "top": [_scored(scored) for scored in result.ranked],
        "score_kind": result.score_kind,
        "calibrated": result.calibrated,
        "method": result.method,
        "model": result.model,
        "frames_s": [rounded(time_s) for time_s in result.frames_s],
        "cached": result.cached,
        "warnings": list(result.warnings),
    }
    return record | _part(result.part) | _decided(result)


def _decided(result: Prediction) -> dict[str, Any]:
    """What `--reject` and `--multi-label` say; `label` stays the best guess all the same."""
    found: dict[str, Any] = {}
    if result.abstained is not None:
        found |= {"abstained": result.abstained, "confidence": rounded(result.confidence)}
    if result.present is not None:
        found["labels"] = list(result.present)
    return found


def _scored(scored: ScoredLabel) -> dict[str, Any]:
    item: dict[str, Any] = {
        "label": scored.label,
        "score": rounded(scored.score),
        "similarity": rounded(scored.similarity),
    }
    if scored.frame_similarity is not None:
        item["frame_similarity"] = [rounded(value) for value in scored.frame_similarity]
    return item


def _part(part: Part | None) -> dict[str, Any]:
    if part is None:
        return {}
    return {
        "part": part.kind,
        "first_frame": part.first_frame,
        "last_frame": part.last_frame,
        "video_s": rounded(part.video_s),
    }


def _failed_record(result: Failure) -> dict[str, Any]:
    start_s, end_s = span(result)
    error = result.error
    return {
        "schema": PREDICTION_SCHEMA,
        "input": result.ref.id,
        "ok": False,
        "start": start_s,
        "end": end_s,
        "method": result.method or None,
        "model": result.model or None,
        "error": {"kind": error.kind, "message": error.message, "hint": error.hint},
    }


def span(result: Prediction | Failure) -> tuple[float | None, float | None]:
    """Start and end of a record: as asked for where the video was trimmed, else as measured.

    What was asked for identifies the video again, even if it ended a little earlier.
    """
    ref = result.ref
    measured = (result.start_s, result.end_s) if isinstance(result, Prediction) else (None, None)
    start_s = measured[0] if ref.start_s is None else ref.start_s
    end_s = measured[1] if ref.end_s is None else ref.end_s
    return rounded(start_s), rounded(end_s)


def rounded(value: float | None) -> float | None:
    """Six decimals; None for a missing number and for one that is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), _DECIMALS) + 0.0  # no minus zero


def same_span(ref: VideoRef, start_s: float | None, end_s: float | None) -> bool:
    """True if a record with this start and end belongs to `ref`.

    The end of an untrimmed video is known only once it was read, so any will do.
    """
    if (start_s or 0.0) != (rounded(ref.start_s) or 0.0):
        return False
    return ref.end_s is None or end_s == rounded(ref.end_s)


def to_json(record: Mapping[str, Any]) -> str:
    """A record on one line, in ASCII."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


def run_record(
    run: Run,
    *,
    counts: Mapping[str, int] | None = None,
    timings: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The conditions of a run as the record of schema `actcli.run/1`.

    counts: how many results of which sort, e.g. ok, failed, cached
    timings: seconds (or rates) by name
    """
    fields = {item.name: getattr(run, item.name) for item in dataclasses.fields(run)}
    extra = {"counts": dict(counts or {}), "timings": dict(timings or {})}
    plain: dict[str, Any] = plain_value({"schema": RUN_SCHEMA, **fields, **extra})
    return plain


def plain_value(value: Any) -> Any:
    """The value as JSON can hold it: tuples as lists, other objects as text, NaN as null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain_value(item) for item in value]
    return str(value)
