"""Find and check a weight file without reading a tensor, and without importing torch.

A safetensors file opens with the length of its header (8 bytes, little endian) and the header, a
JSON object of name -> dtype, shape and byte range. That is enough to know what the file holds and
whether it is whole.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from actcli.errors import ModelError, shorten_list
from actcli.reading import parse_json

PREFERRED_NAMES: Final = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
)
_PICKLED_SUFFIXES: Final = {".bin", ".pt", ".pth"}
_LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library
_AGAIN = "download or copy the file again"
_LFS_POINTER = b"version https://git-lfs"


def find_weights(folder: Path) -> Path:
    """The safetensors file of a model folder.

    Raises ModelError if there is none, or several of which none has a usual name.
    """
    for name in PREFERRED_NAMES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelError(
            f"{folder}: which weight file? (found {shorten_list(path.name for path in found)})",
            hint=f"name the right one {PREFERRED_NAMES[0]}",
        )
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLED_SUFFIXES)
    if pickled:
        file, made = (
            shlex.quote(str(path)) for path in (folder / pickled[0], f"{folder}-imported")
        )
        raise ModelError(
            f"{folder}: only pickled weights, which can run code when opened and are never read "
            f"(found {shorten_list(pickled)}, expected a .safetensors file)",
            hint=f"read its tensors alone: actcli models import {file} -o {made}",
        )
    raise ModelError(
        f"{folder}: no weights (expected {PREFERRED_NAMES[0]})",
        hint="put the model's .safetensors file beside its open_clip_config.json",
    )


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors file says of itself before its tensors."""

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of each tensor in a safetensors file; raises as `read_header`."""
    return read_header(path).shapes


def read_header(path: Path) -> Header:
    """Shapes and metadata of a safetensors file, read from its header alone.

    Raises ModelError if the file is a Git LFS pointer, truncated, or not a safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8 + len(_LFS_POINTER))
            header_size = _check_start(path, start, size)
            file.seek(8)
            header = file.read(header_size)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    parsed, data_size = _parse_header(path, header)
    _check_size(path, got=size, expected=8 + header_size + data_size)
    return parsed


def _check_start(path: Path, start: bytes, size: int) -> int:
    """The length of the header in bytes, for a file that can be what it says it is."""
    if start.startswith(_LFS_POINTER):
        raise ModelError(
            f"{path}: a Git LFS pointer, not the weights themselves ({size} bytes)",
            hint=f'fetch them with "git -C {shlex.quote(str(path.parent))} lfs pull"',
        )
    if start.startswith(b"PK"):
        raise ModelError(f"{path}: not a safetensors file (it is a zip archive, as .pt files are)")
    header_size = int.from_bytes(start[:8], "little")
    if size < 8:
        _check_size(path, got=size, expected=8)
    if header_size > _LARGEST_HEADER or (size > 8 and start[8:9] != b"{"):
        raise ModelError(
            f"{path}: not a safetensors file (it starts with {start[:8]!r})",
            hint=_AGAIN,
        )
    _check_size(path, got=size, expected=8 + header_size, exact=False)
    return header_size


def _parse_header(path: Path, header: bytes) -> tuple[Header, int]:
    """The header, and the number of bytes that the tensors take."""
    try:
        entries: Mapping[str, Mapping[str, Any]] = parse_json(header)
        tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in tensors.items()}
        ranges = [tuple(map(int, entry["data_offsets"])) for entry in tensors.values()]
        ends = [end for begin, end in ranges if 0 <= begin <= end]
        if len(ends) < len(ranges) or any(min(shape, default=0) < 0 for shape in shapes.values()):
            raise ValueError("a shape or a range below zero")
        metadata = {str(key): str(text) for key, text in entries.get("__metadata__", {}).items()}
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"{path}: not a safetensors file (its header cannot be read: {error})",
            hint=_AGAIN,
        ) from error
    return Header(shapes, metadata), max(ends, default=0)


def _check_size(path: Path, *, got: int, expected: int, exact: bool = True) -> None:
    if got < expected:
        bound = "" if exact else "at least "
        raise ModelError(
            f"{path}: truncated (got {got} bytes, expected {bound}{expected})", hint=_AGAIN
        )
    if exact and got > expected:
        raise ModelError(f"{path}: damaged (got {got} bytes, expected {expected})", hint=_AGAIN)
