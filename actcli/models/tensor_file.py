"""Tensors to and from safetensors files: a file is there whole, or as it was before."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from actcli.drafts import draft_of
from actcli.errors import ModelError, ResourceError


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by name, on the CPU.

    Raises ModelError for a file that is absent, damaged or none of safetensors.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: cannot be read ({error})", hint="download or copy the file again"
        ) from error


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a file beside its place, then move it there, with the permissions of other files.

    Raises ResourceError if it can't be written; what stood at `path` is then still there.
    """
    try:
        with draft_of(path) as draft:
            # The library's files are for their owner alone, whatever the umask says.
            draft.touch()
            mode = draft.stat().st_mode
            save_file(owned(tensors), draft, {"format": "pt"} | dict(metadata or {}))
            draft.chmod(mode)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
    except (SafetensorError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResourceError(f"{path}: cannot be written ({reason})") from error


def owned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors of which no two share memory, as a safetensors file keeps them."""
    seen: set[int] = set()
    own = {}
    for name, tensor in state.items():
        kept = tensor.detach().cpu().contiguous()
        place = kept.untyped_storage().data_ptr()
        own[name] = kept.clone(memory_format=torch.contiguous_format) if place in seen else kept
        seen.add(place)
    return own


def digest_of(tensors: Mapping[str, Tensor], about: str) -> str:
    """Hex digest of names, types, shapes and bytes of tensors, and of what is said about them."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
