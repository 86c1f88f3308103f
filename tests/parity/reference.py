"""The stored outputs of the authors' code: where they are, and how a case is read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(
    os.environ.get("ACTCLI_FIXTURES")
    or Path(__file__).parents[2].parent / "shared" / "fixtures" / "reference"
)
WHY_ABSENT = f"no stored outputs of the authors' code (no {FOLDER}; set ACTCLI_FIXTURES)"


@dataclass(frozen=True)
class Case:
    """One case of the manifest, its file read."""

    name: str
    kind: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    path: Path

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Tensors below a prefix, their names without it."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.tensors.items()
            if name.startswith(prefix)
        }


def is_there() -> bool:
    return (FOLDER / "manifest.json").is_file()


def case_names(method: str) -> list[str]:
    """Names of all cases of a method; none where the folder is absent."""
    return [entry["case"] for entry in _entries(method)] if is_there() else []


def read_case(method: str, name: str) -> Case:
    (entry,) = [entry for entry in _entries(method) if entry["case"] == name]
    path = FOLDER / entry["file"]
    tensors = load_file(path) if path.suffix == ".safetensors" else {}
    return Case(name, entry["kind"], entry["config"], tensors, path)


def read_tensors(file: str) -> dict[str, Tensor]:
    """A file that cases share, named relative to the folder."""
    return load_file(FOLDER / file)


def _entries(method: str) -> list[dict[str, Any]]:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    return [entry for entry in manifest["cases"] if entry["method"] == method]
