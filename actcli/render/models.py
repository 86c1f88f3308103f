"""Models as text: a table, one model line by line, and records of `--format jsonl` and json."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from actcli.render.console import is_unicode, printable
from actcli.render.records import to_json
from actcli.types import ModelInfo

if TYPE_CHECKING:
    from actcli.checkpoint_info import CheckpointInfo
    from actcli.config import SamplingConfig

MODEL_SCHEMA = "actcli.model/1"


def model_record(info: ModelInfo) -> dict[str, object]:
    """A model as a record of schema `actcli.model/1`."""
    fields = dataclasses.asdict(info)
    return {"schema": MODEL_SCHEMA, **fields, "downloaded": info.folder is not None}


def model_lines(infos: Iterable[ModelInfo]) -> Iterator[str]:
    """One JSON record a line."""
    for info in infos:
        yield to_json(model_record(info))


def print_models(console: Console, infos: Iterable[ModelInfo]) -> None:
    """A table, one model a row; what can't be used is dim, and restrictive licences are marked."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("model", overflow="fold")  # the only one that gives way
    for heading in ("size", "licence", "tokens", "input", "resize", ""):
        right = heading in ("size", "tokens", "input")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    check = "✓" if is_unicode(console) else "+"
    for info in infos:
        alias = f" ({info.alias})" if info.alias else ""
        state = "x" if info.refused else ""
        table.add_row(
            printable(info.name) + alias,
            size_text(info),
            info.licence + ("" if info.permissive else " !"),
            _text(info.context_length),
            _text(info.input_px),
            info.resize or "",
            check if info.folder else state,
            style="dim" if info.refused else None,
        )
    console.print(table)
    console.print(
        f"{check} downloaded   x can't be used   ! licence not permissive   ~ estimated",
        style="dim",
    )


def show_lines(info: ModelInfo) -> Iterator[str]:
    """One model, a fact a line; what is not known is left out."""
    licence = info.licence + ("" if info.permissive else " (not permissive)")
    facts = {
        "model": info.name,
        "alias": info.alias,
        "licence": licence,
        "weights": size_text(info) or None,
        "input": info.input_px and f"{info.input_px} px, {info.resize}, {info.interpolation}",
        "tokens": info.context_length,
        "tokenizer": info.tokenizer,
        "embedding": info.embed_dim,
        "activation": info.activation,
        "scores": info.score_kind,
        "repository": info.repository,
        "commit": info.commit,
        "folder": info.folder or "not downloaded",
        "refused": info.refused,
    }
    for name, fact in facts.items():
        if fact is not None:
            yield f"{name:12}{printable(str(fact))}"


def checkpoint_lines(info: CheckpointInfo, path: Path) -> Iterator[str]:
    """A checkpoint file, a fact a line: what it is, of what it was made, with what result."""
    backbone, sampling, transform = info.backbone, info.sampling, info.transform
    counts = {
        label: sum(clip.label == label for clip in info.support or ()) for label in info.labels
    }
    classes = [f"{name} ({count})" if count else name for name, count in counts.items()]
    facts: dict[str, object] = {
        "checkpoint": path,
        "size": bytes_text(path.stat().st_size),
        "method": info.method + _options_text(info.config),
        "backbone": f"{backbone.name}, {backbone.licence}, {backbone.activation}",
        "frames": _sampling_text(sampling),
        "input": f"{transform.size_px} px, {transform.resize}, {transform.interpolation}"
        + (f" to {transform.scale_px} px, plain" if transform.scale_px else ""),
        "templates": " | ".join(info.templates) or None,
        "classes": len(classes) or None,
        "examples": None if info.support is None else len(info.support),
        "compact": "prototypes only" if info.compact else None,
    }
    facts |= {f"  {key}": value for key, value in (info.training or {}).items()
              if key != "sketches"}  # fmt: skip
    facts |= {"created": info.created, "by": f"actcli {info.versions.get('actcli', '?')}"}
    for name, fact in facts.items():
        if fact is not None:
            yield f"{name:18}{printable(str(fact))}"
    for text in classes:
        yield f"  {printable(text)}"


def _options_text(config: Mapping[str, object]) -> str:
    return " (" + ", ".join(f"{key} {value}" for key, value in config.items()) + ")"


def _sampling_text(sampling: SamplingConfig) -> str:
    how = "spread" if sampling.stride_s is None else f"every {sampling.stride_s:g} s"
    how = how if sampling.scheme == "time" else f"as {sampling.scheme}, rate {sampling.rate}"
    return f"{sampling.num_frames}, {how}"


def size_text(info: ModelInfo) -> str:
    """The size of the weights, `~` in front of an estimate."""
    if info.num_bytes is None:
        return ""
    return ("" if info.folder else "~") + bytes_text(info.num_bytes)


def bytes_text(num_bytes: float) -> str:
    """A number of bytes as people read it: 349 MB, 1.79 GB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            value = num_bytes / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{num_bytes:.0f} B"


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
