"""Miniature datasets in their official layouts, of drawn clips: missing, corrupt, oddly named ones.

The clips of a class show one drawn action, whatever its name; a pool of them is drawn once.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from actcli.data.splits import read_split, split_videos
from actcli.demo.clips import write_clip

ACTIONS = ("jump", "run", "wave", "punch", "kick")
PER_ACTION = 6


@dataclass(frozen=True)
class Pool:
    """Drawn clips: `clip("jump", 3)`."""

    folder: Path

    def clip(self, action: str, number: int) -> Path:
        return self.folder / f"{action}_{number}.mp4"

    def put(self, action: str, number: int, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.clip(action, number), path)


def draw_pool(folder: Path) -> Pool:
    for a, action in enumerate(ACTIONS):
        for i in range(PER_ACTION):
            write_clip(folder / f"{action}_{i}.mp4", action, seed=9000 + 100 * a + i)
    return Pool(folder)


UCF = {"JumpingJack": "jump", "Punch": "punch", "HandstandWalking": "run", "YoYo": "wave"}


def ucf101(root: Path, pool: Pool) -> Path:
    """Four classes of four training and two test clips, three splits; the second list has CRLF."""
    names = {}
    for label, action in UCF.items():
        for i in range(PER_ACTION):
            name = f"{label}/v_{label}_g{i + 1:02d}_c01.avi"
            pool.put(action, i, root / "UCF-101" / name)
            names[label, i] = name
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    numbers = {label: n + 1 for n, label in enumerate(sorted(UCF))}
    (lists / "classInd.txt").write_text("".join(f"{n} {label}\n" for label, n in numbers.items()))
    for split in (1, 2, 3):
        end = "\r\n" if split == 2 else "\n"
        test = {(split - 1) * 2, (split - 1) * 2 + 1}
        for use in ("train", "test"):
            rows = [
                names[label, i] + (f" {numbers[label]}" if use == "train" else "")
                for label in UCF for i in range(PER_ACTION) if (i in test) == (use == "test")
            ]  # fmt: skip
            (lists / f"{use}list0{split}.txt").write_text(end.join(rows) + end, newline="")
    return root


HMDB = {"jump": "jump", "run": "run", "wave": "wave", "ride_bike": "kick"}


def hmdb51(root: Path, pool: Pool) -> Path:
    """Four classes; names with blanks, `#`, brackets and quotes, as the real ones have them."""
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for label, action in HMDB.items():
        odd = ["a b", "c#d", "e(f)[g]", "h'i", "j&k", "l!m"]
        names = [f"{odd[i]}_{label}_f_nm_np1_{i}.avi" for i in range(PER_ACTION)]
        for i, name in enumerate(names):
            pool.put(action, i, root / "hmdb51_org" / label / name)
        for split in (1, 2, 3):
            test, unused = {split - 1, split + 2}, (split + 1) % PER_ACTION
            rows = [f"{name} {2 if i in test else 0 if i == unused else 1} \n"
                    for i, name in enumerate(names)]  # fmt: skip
            (lists / f"{label}_test_split{split}.txt").write_text("".join(rows))
    return root


KINETICS = {"clapping": "wave", "squat": "jump", "jogging": "run"}


def kinetics400(root: Path, pool: Pool) -> Path:
    """CSV lists and a folder for each label; one listed clip isn't there, one is no video."""
    for split, numbers in (("train", range(4)), ("val", (4, 5))):
        rows = []
        for label, action in KINETICS.items():
            for i in numbers:
                name = f"{label[:4]}_{i:06d}0"
                pool.put(action, i, root / split / label / f"{name}_000003_000013.mp4")
                rows.append((label, name, 3, 13, split))
        if split == "val":
            rows += [("squat", "not_there0_", 3, 13, split), ("squat", "corrupt000", 3, 13, split)]
            (root / split / "squat" / "corrupt000_000003_000013.mp4").write_bytes(b"\0" * 5000)
        with open(root / f"{split}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["label", "youtube_id", "time_start", "time_end", "split"])
            writer.writerows(rows)
    return root


SSV2 = {"Holding [something]": "wave", "Pushing [something] from left to right": "run",
        "Throwing [something]": "punch"}  # fmt: skip


def ssv2(root: Path, pool: Pool) -> Path:
    videos = root / "20bn-something-something-v2"
    number = 100
    for split, places in (("train", range(4)), ("validation", (4, 5))):
        rows = []
        for template, action in SSV2.items():
            for i in places:
                pool.put(action, i, videos / f"{number}.webm")
                rows.append({"id": str(number), "template": template, "label": "x"})
                number += 1
        (root / f"{split}.json").write_text(json.dumps(rows))
    names = {t.replace("[", "").replace("]", ""): str(n) for n, t in enumerate(SSV2)}
    (root / "labels.json").write_text(json.dumps(names))
    return root


def kinetics600(root: Path, pool: Pool) -> Path:
    """Folders only, and three draws of two classes each."""
    for label, action in KINETICS.items():
        for i in (4, 5):
            pool.put(action, i, root / "val" / label / f"{i}.mp4")
    (root / "draws").mkdir()
    for d, left_out in enumerate(KINETICS):
        names = [name for name in KINETICS if name != left_out]
        (root / "draws" / f"split{d + 1}.csv").write_text(
            "id,name\n" + "".join(f"{n},{name}\n" for n, name in enumerate(names))
        )
    return root


def few_shot(root: Path, pool: Pool, name: str, classes: int = 4) -> Path:
    """The first clips of the first test classes of a published split, under their names."""
    split, videos = read_split(name), split_videos(name, "test")
    for c, one in enumerate(split.test[:classes]):
        names = [f"{i}" for i in range(3)] if videos is None else list(videos[c][:3])
        for i, stem in enumerate(names):
            folder = root / (one.folder or "")
            pool.put(ACTIONS[c], i, folder / f"{stem}.mp4")
    return root
