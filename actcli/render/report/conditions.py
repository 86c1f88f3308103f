"""The conditions of a run, as rows that people read; the whole record stands below them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

_DIGEST: Final = 12
_MOST_TEMPLATES: Final = 4


def short_digest(digest: object) -> str:
    """The first figures of a digest, enough to tell two apart."""
    return str(digest)[:_DIGEST]


def conditions_of(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values from a record of schema `actcli.run/1`, those that are known."""
    notes, config = run.get("notes") or {}, run.get("config") or {}
    rows = [
        ("model", run.get("model")),
        ("digest of the model", short_digest(run.get("model_digest") or "")),
        ("checkpoint", short_digest(notes.get("checkpoint_digest") or "")),
        ("licence of the weights", notes.get("model_licence")),
        ("method", notes.get("method") or config.get("method")),
        ("labels", f"{len(run['labels']):,}" if run.get("labels") else ""),
        ("prompts", _templates(config)),
        ("frames", _sampling(config.get("sampling") or {})),
        ("device", run.get("device")),
        ("precision", run.get("precision")),
        ("seed", run.get("seed")),
        ("started", _when(run.get("started"))),
        ("took", _wall(run.get("timings") or {})),
        ("versions", ", ".join(f"{k} {v}" for k, v in (run.get("versions") or {}).items())),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _templates(config: Mapping[str, Any]) -> str:
    templates = config.get("templates") or ()
    if len(templates) > _MOST_TEMPLATES:
        return f"{len(templates)} templates"
    return ", ".join(f"\u201c{one}\u201d" for one in templates)


def _sampling(sampling: Mapping[str, Any]) -> str:
    if not sampling:
        return ""
    views = f"{sampling.get('num_views', 1)} \u00d7 {sampling.get('num_crops', 1)} views"
    stride = sampling.get("stride_s")
    how = "spread evenly" if stride is None else f"every {stride:g} s"
    return f"{sampling.get('num_frames', '?')} a clip, {how}, {views}, {sampling.get('decode')}"


def _when(started: object) -> str:
    return str(started or "").replace("T", " ").replace("+00:00", " UTC")


def _wall(timings: Mapping[str, Any]) -> str:
    wall = timings.get("wall_s")
    return "" if wall is None else f"{wall:,.1f} s"


def base_name(path: str) -> str:
    """The last part of a path, for titles."""
    return os.path.basename(path.rstrip("/\\")) or path
