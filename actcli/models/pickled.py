"""Read the tensors of other people's pickled weights, and nothing else of them.

A pickle is a program. torch's restricted reader runs none of it but the making of tensors and
plain containers, and refuses a file that asks for more. It is used where a user asks for an
import, never when a model is looked for.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from actcli.errors import ModelError, shorten_list
from actcli.models.tensor_file import load_tensors

_WRAPPERS: Final = ("state_dict", "model_state_dict", "model_state", "model")
_PREFIXES: Final = ("module.", "_orig_mod.")
"""Of DistributedDataParallel and of torch.compile."""
_FACTS: Final = {"input_resolution", "context_length", "vocab_size"}
"""Numbers that OpenAI's files keep among the weights."""
_SHOWN: Final = 120
_MOST_WRAPPERS: Final = 8
"""Of each kind, around one another: a pickle may hold itself."""
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_AGAIN = "download or copy the file again"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The weights in a file of torch's or a safetensors file, by names without wrappers' prefixes.

    Raises ModelError for a file that is absent, damaged or of another kind, or holds anything but
    tensors where weights should be.
    """
    return weights_in(path, read_content(path))


def read_content(path: Path) -> Any:
    """All that is in a file of torch's or a safetensors file: tensors and plain containers.

    Raises ModelError for a file that is absent or damaged, or asks for more than those.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return load_tensors(path)
    is_zip = start.startswith(b"PK")
    if is_zip:
        _check_archive(path)
    return _unpickle(path, is_zip=is_zip)


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            infos, names = archive.infolist(), archive.namelist()
    except (zipfile.BadZipFile, ValueError, LookupError, RuntimeError, OSError) as error:
        raise ModelError(f"{path}: truncated or damaged ({error})", hint=_AGAIN) from error
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise ModelError(f"{path}: not a file of weights (its archive is compressed)")
    if any(name.endswith("/constants.pkl") for name in names):
        raise ModelError(
            f"{path}: a TorchScript program, not a file of weights, and never run",
            hint="OpenAI's are on the hub as weights alone: actcli models list openai",
        )


def _unpickle(path: Path, *, is_zip: bool) -> Any:
    """What a file of torch.save holds; older ones, which are no archives, can't be mapped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of storage classes that are being renamed
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        asked = _GLOBAL.search(str(error))
        if asked is None:
            raise ModelError(f"{path}: not a file of weights, or damaged", hint=_AGAIN) from error
        raise ModelError(
            f"{path}: not read, for it holds more than tensors (it asks for {asked[1]})",
            hint="ask its authors for a file of weights alone, best a .safetensors file",
        ) from error
    except Exception as error:  # whatever its reader stumbles over in bytes that anyone wrote
        reason = str(error).split("\n", 1)[0][:_SHOWN] or type(error).__name__
        raise ModelError(f"{path}: truncated or damaged ({reason})", hint=_AGAIN) from error


def weights_in(path: Path, content: Any) -> dict[str, Tensor]:
    """The weights themselves, from among an optimizer's state and whatever else was saved."""
    for _ in range(_MOST_WRAPPERS):
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in _WRAPPERS if key in content), None)
        if not isinstance(inner, Mapping):
            break
        content = inner
    if not isinstance(content, Mapping) or not content:
        raise ModelError(
            f"{path}: no weights by name (got {type(content).__name__}, expected names and tensors)"
        )
    state = {str(name): value for name, value in content.items() if str(name) not in _FACTS}
    odd = [name for name, value in state.items() if not _is_plain(value)]
    if odd:
        raise ModelError(
            f"{path}: not the weights of a model ({shorten_list(odd, limit=3)}: no plain tensors)"
        )
    for _ in range(_MOST_WRAPPERS):
        prefix = next((p for p in _PREFIXES if all(n.startswith(p) for n in state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _is_plain(value: object) -> bool:
    """Whether it is a tensor with as many numbers as its shape says, not one number repeated."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        return False
    return value.nbytes <= value.untyped_storage().nbytes()
