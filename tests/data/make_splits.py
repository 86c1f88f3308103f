"""Write actcli/data/splits/ from the facts about the published lists beside the project.

PYTHONPATH=. python tests/data/make_splits.py

A class is a row: name, what the published code puts into its prompt, its folder in the dataset. Of
splits that choose among the videos of a class, these stand in videos/*.txt, a class a line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from actcli.data.labels import LabelSet, bundled_lists
from tests.parity.reference import FOLDER

FACTS = FOLDER.parent.parent / "specs" / "splits"
NAMES = ("hmdb51", "kinetics100", "ssv2_full", "ssv2_small", "ucf101")
PARTS = ("train", "val", "test")
SPLITS = Path(__file__).parents[2] / "actcli" / "data" / "splits"
Row = tuple[str, str | None, str | None]


def make_rows(name: str, part: str) -> list[Row]:
    """The classes of a part in their order; none if not all of them have names."""
    facts = read_facts(name)["splits"][part]["classes"]
    labels = LabelSet.bundled(name) if name in bundled_lists() else None
    rows: list[Row] = []
    for position, one in enumerate(facts):
        assert one["id"] == position
        folder, prompt_name = one.get("folder"), one.get("prompt_name")
        if labels is not None:
            label = labels[labels.index(folder)]
        else:
            label = prompt_name or one.get("name_without_brackets") or ""
            label = label.replace("[", "").replace("]", "")
        rows.append((label, prompt_name, folder))
    return rows if all(label for label, _, _ in rows) else []


def read_facts(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((FACTS / f"{name}.json").read_text(encoding="utf-8"))
    return facts


def write_split(name: str) -> None:
    parts = []
    for part in PARTS:
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in make_rows(name, part))
        parts.append(f'"{part}": [' + (f"\n{rows}\n" if rows else "") + "]")
    SPLITS.mkdir(exist_ok=True)
    (SPLITS / f"{name}.json").write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


def read_videos(name: str) -> dict[str, list[list[str]]] | None:
    """[part][class] -> names of videos without folder and suffix; None if all of a class count."""
    path = FACTS / "videos" / f"{name}.json"
    if not path.is_file():
        return None
    facts: dict[str, dict[str, list[Any]]] = json.loads(path.read_text(encoding="utf-8"))
    return {
        part: [[Path(str(video)).stem for video in rows[str(c)]] for c in range(len(rows))]
        for part, rows in facts.items()
    }


def write_videos(name: str) -> None:
    if (found := read_videos(name)) is None:
        return
    facts = read_facts(name)["splits"]
    lines = [
        f"# {name}: one line a class: part, number in it, class folder, videos without suffix.\n",
        "# Source: the lists published with CLIP-FSAR (Wang et al., IJCV 2023).\n",
    ]
    for part in PARTS:
        for c, names in enumerate(found[part]):
            folder = facts[part]["classes"][c].get("folder") or "-"
            lines.append(" ".join([part, str(c), folder, *names]) + "\n")
    (SPLITS / "videos").mkdir(exist_ok=True)
    (SPLITS / "videos" / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for name in NAMES:
        write_split(name)
        write_videos(name)
