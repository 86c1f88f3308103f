"""Looking frames up beside counting them, over kinds of files at 640x360: never much slower.

    PYTHONPATH=. python benchmarks/matrix.py [--quick] [-o matrix.json]

One thread, the two in turn within one process; medians of CPU milliseconds a clip of 10 s, at
224 px. The pixels must be the same. A file that can't be looked up is counted either way.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actcli.config import LimitsConfig, SamplingConfig
from actcli.types import Preprocessing, VideoRef
from actcli.video.clips import read_clip
from actcli.video.decode import read_frames
from tests.video.matrix import Recipe, make_file, recipes

SIDE, WIDTH, HEIGHT = 224, 640, 360
CONTAINERS = {"h264": "mp4", "hevc": "mp4", "vp9": "webm", "av1": "mkv"}
COUNTED = {
    Recipe("h264", "ts", 48, "b", "25", "whole"),
    Recipe("mpeg4", "avi", 48, "b", "25", "whole"),
    Recipe("mpeg2video", "ts", 12, "b", "25", "whole"),
    Recipe("mjpeg", "avi", 1, "plain", "25", "whole"),
}
"""Files whose frames can't be looked up."""


def chosen_recipes(*, quick: bool) -> list[Recipe]:
    """Whole files of the codecs that can be looked up, cuts of them, and some that can't be."""
    gops, orders = (1, 12, 48, 250), ("plain", "b", "hidden")
    if quick:
        gops, orders = (12, 250), ("b", "hidden")
    found = []
    for recipe in recipes():
        usual = CONTAINERS.get(recipe.codec)
        is_exact = recipe.container == usual and recipe.rate == "25"
        is_cut = recipe.cut == "edit-list" and recipe.gop == 48 and recipe.order == "b"
        wanted = recipe.cut == "whole" or (is_cut and usual == "mp4" and not quick)
        wanted &= recipe.gop in gops and recipe.order in orders
        if (is_exact and wanted) or (recipe in COUNTED and not quick):
            found.append(recipe)
    return found


def draw(number: int) -> Any:
    """A textured ground that pans, with squares that move over it."""
    frame = GROUND[number : number + HEIGHT, 2 * number : 2 * number + WIDTH].copy()
    for thing in range(4):
        y, x = 60 + 60 * thing, int(300 + 280 * np.sin(number / (20 + 7 * thing)))
        frame[y : y + 50, x : x + 50] = (60 * thing, 255 - 50 * thing, 128)
    return frame


def draw_ground() -> Any:
    rng = np.random.default_rng(0)
    small = torch.from_numpy(rng.integers(0, 256, (1, 3, 24, 48)).astype(np.float32))
    large = torch.nn.functional.interpolate(small, scale_factor=45, mode="bilinear")[0]
    grain = rng.integers(-6, 7, (1080, 2160, 1))
    return np.clip(large.permute(1, 2, 0).numpy() + grain, 0, 255).astype(np.uint8)


GROUND = draw_ground()


def is_counted(path: Path) -> bool:
    def nothing(*_: object) -> Any:
        return np.zeros(0, np.uint8)

    return read_frames(path, lambda _: [0], nothing, LimitsConfig()).is_counted


def measure(path: Path, frames: int, rounds: int) -> dict[str, Any]:
    ways: dict[str, bool | None] = {"looked up": None, "counted": False}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        clips = {}
        for name in list(ways)[:: 1 if number % 2 else -1]:
            started = time.process_time()
            sampling, ref = SamplingConfig(num_frames=frames), VideoRef(str(path))
            clips[name] = read_clip(
                ref, sampling, Preprocessing(SIDE), LimitsConfig(), seek=ways[name]
            )
            if number:  # the first round warms up
                times[name].append(1000 * (time.process_time() - started))
    assert np.array_equal(clips["looked up"].frames, clips["counted"].frames), path
    own, other = (statistics.median(times[name]) for name in ways)
    return {"frames": frames, "ms": times, "looked_up_ms": own, "counted_ms": other,
            "ratio": other / own, "is_counted": is_counted(path)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a few files of 4 s")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["SVT_LOG"] = "1"
    runs = []
    for recipe in chosen_recipes(quick=args.quick):
        with tempfile.TemporaryDirectory() as folder:
            path = make_file(recipe, Path(folder), draw, 100 if args.quick else 250)
            for frames in (8, 32):
                found = {"file": recipe.name, **measure(path, frames, args.rounds)}
                runs.append(found)
                way = "counted either way" if found["is_counted"] else "looked up"
                own, other = found["looked_up_ms"], found["counted_ms"]
                print(f"{recipe.name:34} {frames:2} frames: {own:6.1f} ms, counted {other:6.1f} ms "
                      f"({found['ratio']:5.2f}x; {way})", flush=True)  # fmt: skip
    worst = min(runs, key=lambda run: run["ratio"])
    print(f"{len(runs)} measurements; the lowest ratio is {worst['ratio']:.2f} ({worst['file']})")
    if args.output:
        args.output.write_text(json.dumps({"runs": runs}))


if __name__ == "__main__":
    main()
