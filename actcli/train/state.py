"""The state of a run in one file, from which it goes on as if it had never stopped.

Nothing is pickled: tensors by name in a safetensors file, the rest as JSON in its header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from actcli.errors import ModelError
from actcli.models.tensor_file import digest_of, load_tensors, save_tensors
from actcli.models.weight_file import read_header
from actcli.reading import parse_json
from actcli.train.events import Validation

_KEY: Final = "actcli.run"
_SCHEMA: Final = "actcli.training/1"
_ANEW: Final = "begin another run with -o NEW"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    step: int = 0
    best: Validation | None = None
    epochs_since_best: int = 0
    is_done: bool = False
    epochs: int = 0
    """that came to their end: validated, and kept"""


def save_state(path: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Write weights, optimiser and random state; the old file stays until the new one is whole.

    Raises ResourceError if it can't be written.
    """
    stated: dict[str, Any] = {"schema": _SCHEMA, **asdict(progress)}
    text = json.dumps(stated, sort_keys=True)
    save_tensors(path, tensors, {_KEY: text, "digest": digest_of(tensors, text)})


def load_state(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """What `save_state` wrote.

    Raises ModelError for a file that is absent, damaged or of another version.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no state to continue from", hint=_ANEW)
    try:
        header = read_header(path)
        tensors, text = load_tensors(path), header.metadata.get(_KEY, "")
    except ModelError as error:
        raise ModelError(error.message, hint=_ANEW) from error
    if digest_of(tensors, text) != header.metadata.get("digest"):
        raise ModelError(f"{path}: damaged, or no state of a run", hint=_ANEW)
    try:
        stated = dict(parse_json(text))
        if stated.pop("schema") != _SCHEMA:
            raise ModelError(f"{path}: of another version of actcli", hint=_ANEW)
        return tensors, _progress(stated)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: damaged, or no state of a run", hint=_ANEW) from error


def _progress(stated: Mapping[str, Any]) -> Progress:
    """How far a state says that its run is; raises ValueError, KeyError, TypeError."""
    best = None if stated["best"] is None else Validation(**stated["best"])
    found = Progress(**{**stated, "best": best})
    counts = [found.step, found.epochs_since_best, found.epochs, *([best.clips] if best else [])]
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("a count that is none")
    if type(found.is_done) is not bool or (best and not _is_sane(best)):
        raise ValueError("another type")
    return found


def _is_sane(best: Validation) -> bool:
    is_number = all(isinstance(value, int | float) for value in (best.top1, best.loss))
    return is_number and 0 <= best.top1 <= 1


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by the number of its parameter: `3.exp_avg` -> tensor."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the state that `optimizer_tensors` took back.

    Raises ValueError for that of other parameters.
    """
    stated = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        if not number.isdecimal() or int(number) >= len(parameters):
            raise ValueError(f"a state of parameter {number}, of {len(parameters)}")
        if value.dim() and value.shape != parameters[int(number)].shape:
            raise ValueError(f"{key} has another shape than its parameter")
        states.setdefault(int(number), {})[name] = value
    stated["state"] = states
    optimizer.load_state_dict(stated)


def random_tensors() -> dict[str, Tensor]:
    """The state of torch's random generators."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_random(tensors: Mapping[str, Tensor]) -> None:
    """Put the state that `random_tensors` took back."""
    torch.set_rng_state(tensors["cpu"])
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if f"cuda{i}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda{i}"], i)
