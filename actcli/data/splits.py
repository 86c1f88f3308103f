"""The few-shot splits that papers report on: which classes are learned from, and which are new.

Each stands in a small file of `splits/`, its classes in the order of the lists published with
CLIP-FSAR (Wang et al., IJCV 2023), where the position of a class in its part is its number. The
splits themselves are older: of HMDB51 and UCF101 by ARN (Zhang et al., ECCV 2020), of Kinetics-100
and SSv2-Small by CMN (Zhu and Yang, ECCV 2018), of SSv2-Full by OTAM (Cao et al., CVPR 2020).

The published code has no prompt names for validation classes, since it never uses them; it chooses
checkpoints on the test classes, which is no example to follow. The twelve validation classes of
SSv2-Full are published as numbers only, so that `val` is empty there: their names can be had from
the dataset's own annotations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from actcli.errors import UsageError, close_names
from actcli.wording import match_key

SplitPart = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class SplitClass:
    """One class of a split."""

    name: str
    """As the bundled lists have it; of SSv2, the template without its brackets."""
    prompt_name: str | None
    """Exactly what the published code puts into its prompt, oddities and brackets included."""
    folder: str | None
    """Of its videos in the dataset; None where these lie in one folder."""
    part: SplitPart


@dataclass(frozen=True, slots=True)
class FewShotSplit:
    """The classes of a dataset, parted into those to learn from and new ones."""

    name: str
    train: tuple[SplitClass, ...]
    val: tuple[SplitClass, ...]
    test: tuple[SplitClass, ...]

    def part(self, part: SplitPart) -> tuple[SplitClass, ...]:
        """The classes of one part, by number."""
        return {"train": self.train, "val": self.val, "test": self.test}[part]

    @property
    def classes(self) -> tuple[SplitClass, ...]:
        """Those of all parts."""
        return self.train + self.val + self.test


def published_splits() -> tuple[str, ...]:
    """The names of the splits, as `read_split` takes them."""
    files = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in files if name.endswith(".json")))


@cache
def read_split(name: str) -> FewShotSplit:
    """A published split, its name spelled in any usual way.

    Raises UsageError naming the splits there are.
    """
    known = {match_key(split): split for split in published_splits()}
    found = known.get(match_key(name))
    if found is None:
        close = close_names(name, known.values())
        raise UsageError(
            f"{name}: no such published split" + (f" (close: {', '.join(close)})" if close else ""),
            hint=f"one of {', '.join(known.values())}",
        )
    stated = json.loads((_folder() / f"{found}.json").read_text(encoding="utf-8"))
    return FewShotSplit(found, _part(stated, "train"), _part(stated, "val"), _part(stated, "test"))


def split_videos(name: str, part: SplitPart) -> tuple[tuple[str, ...], ...] | None:
    """The videos of each class of a part, by their names without folder and suffix.

    None for splits that take all videos of a class, as those of HMDB51 and UCF101 do.
    """
    file = _folder() / "videos" / f"{read_split(name).name}.txt"
    if not file.is_file():
        return None
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    rows = [words for words in lines if words[0] == part]
    return tuple(tuple(names) for _, _, _, *names in sorted(rows, key=lambda row: int(row[1])))


def find_class(split: FewShotSplit, folder_or_name: str) -> SplitClass | None:
    """The class that a folder, a name or a prompt name means, in any usual spelling; or None.

    "draw_sword", "Draw Sword" and "DrawSword" are one class, as are "Opening [something]" and
    "opening something".
    """
    return _by_key(split).get(_key(folder_or_name))


@cache
def _by_key(split: FewShotSplit) -> dict[str, SplitClass]:
    return {
        _key(text): one
        for one in split.classes
        for text in (one.folder, one.prompt_name, one.name)
        if text
    }


def _key(text: str) -> str:
    return match_key(text.replace("[", "").replace("]", ""))


def _part(stated: dict[str, Any], part: SplitPart) -> tuple[SplitClass, ...]:
    return tuple(
        SplitClass(name, prompt_name, folder, part) for name, prompt_name, folder in stated[part]
    )


def _folder() -> resources.abc.Traversable:
    return resources.files("actcli.data") / "splits"
