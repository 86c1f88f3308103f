"""The models that open_clip knows by name: where their weights are, and what is true of them.

open_clip's own tables say the same and cost five seconds to import. Ours is checked against them
by a test; the architectures themselves are read from open_clip's package files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from actcli.errors import ModelError, close_names, shorten_list

ALIASES: Final[Mapping[str, str]] = {
    "default": "PE-Core-B-16/meta",
    "fast": "ViT-B-32/datacomp_xl_s13b_b90k",
    "best": "PE-Core-L-14-336/meta",
    "paper": "ViT-B-16/openai",
}
HUB_PREFIX: Final = "hf-hub:"
TABLE_PATH: Final = Path(__file__).with_name("catalog.json")
PERMISSIVE: Final = frozenset(
    {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "unlicense"}
)
"""Licences that let weights be used for anything, sold products included."""

WEIGHT_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")


@dataclass(frozen=True, slots=True)
class Entry:
    """One set of weights, by open_clip's names."""

    name: str
    """ARCHITECTURE/TAG."""
    repository: str
    """On the hub, as organisation/name."""
    file: str
    """The weight file where it has a name of its own; empty for the usual ones."""
    quick_gelu: bool
    """Whether these weights were trained with QuickGELU, whatever the architecture's file says."""
    licence: str
    num_parameters: int | None
    preprocess: Mapping[str, Any]
    """`preprocess_cfg` as open_clip writes it."""

    @property
    def architecture(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]

    @property
    def alias(self) -> str | None:
        """The short name that stands for it, if one does."""
        return next((alias for alias, name in ALIASES.items() if name == self.name), None)

    @property
    def about_bytes(self) -> int | None:
        """Size of the weights if they are kept in float32, as most are."""
        return None if self.num_parameters is None else 4 * self.num_parameters

    @property
    def weight_names(self) -> tuple[str, ...]:
        """File names to try, in order; pickled weights are never among them."""
        if not self.file:
            return WEIGHT_NAMES
        return (Path(self.file).with_suffix(".safetensors").name, *WEIGHT_NAMES)

    def model_config(self) -> dict[str, Any]:
        """`model_cfg` of the architecture, with the activation that these weights need.

        Raises ModelError if the architecture's file contradicts the weights.
        """
        config = read_architecture(self.architecture)
        if config.get("quick_gelu") and not self.quick_gelu:
            raise ModelError(
                f"{self.name}: the architecture has QuickGELU, these weights were trained without",
                hint="use the open_clip that these names come from, or report this",
            )
        return config | {"quick_gelu": True} if self.quick_gelu else config


@cache
def entries() -> Mapping[str, Entry]:
    """All weights by name, in open_clip's order."""
    rows: dict[str, dict[str, Any]] = json.loads(TABLE_PATH.read_text(encoding="utf-8"))
    return {name: Entry(name, **row) for name, row in rows.items()}


def find_entry(name: str) -> Entry | None:
    """The weights that a name or an alias stands for, if open_clip knows them."""
    return entries().get(ALIASES.get(name, name))


def entry_of_repository(repository: str) -> Entry | None:
    """The first weights that live in a repository of the hub."""
    return next((e for e in entries().values() if e.repository == repository), None)


def read_architecture(name: str) -> dict[str, Any]:
    """`model_cfg` of an architecture, from the files of the installed open_clip.

    Finding a package imports nothing of it.

    Raises ModelError if this open_clip doesn't have it.
    """
    found = find_spec("open_clip")
    if found is None or found.origin is None:
        raise ModelError("open_clip is not installed", hint="pip install open_clip_torch")
    path = Path(found.origin).parent / "model_configs" / f"{name}.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{name}: the installed open_clip can't describe it ({error})",
            hint="pip install --upgrade open_clip_torch",
        ) from error
    return config


def refuse_unknown(name: str, *, also: tuple[str, ...] = ()) -> ModelError:
    """The error for a name that stands for nothing, with those that are close to it.

    also: further names that a user may have meant
    """
    architecture, _, tag = name.partition("/")
    tags = [e.name.partition("/")[2] for e in entries().values() if e.architecture == architecture]
    if tags:
        tags = list(dict.fromkeys([*close_names(tag, tags), *tags]))
        got = f' (got "{tag}")' if tag else ""
        return ModelError(
            f"{architecture}: which weights?{got}",
            hint=f"they are {shorten_list(tags)}: type --model {architecture}/{tags[0]}, "
            f"or see them all with: actcli models list {architecture}",
        )
    known = [*also, *ALIASES, *entries()]
    close = close_names(name, known)
    meant = f"did you mean {shorten_list(close)}? " if close else ""
    return ModelError(f'unknown model (got "{name}")', hint=f"{meant}all names: actcli models list")
