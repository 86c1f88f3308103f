"""Many clips against other labels, their embeddings in the cache: no video is read.

    PYTHONPATH=. python benchmarks/rescoring.py --clips 10000 [-o rescoring.json]

Copies of the example clips, each with other bytes at its end, are embedded once by the demo model;
then the command is run on them with 400 labels, and one more time for its start alone. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from start_up import ACTCLI, CLIP, cost


def copy_clips(folder: Path, count: int) -> list[Path]:
    """Each with a box of its own at the end, which players skip."""
    sources = [path.read_bytes() for path in sorted(CLIP.parent.glob("*.mp4"))]
    paths = [folder / f"{number:05d}.mp4" for number in range(count)]
    for number, path in enumerate(paths):
        box = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        path.write_bytes(sources[number % len(sources)] + box)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        os.environ["ACTCLI_CACHE_DIR"] = str(Path(top, "cache"))
        folder = Path(top, "clips")
        folder.mkdir()
        listed = "\n".join(map(str, copy_clips(folder, args.clips))).encode()
        first = listed.partition(b"\n")[0]
        command = [*ACTCLI, "classify", "-", "--model", "demo", "--format", "jsonl", "--labels"]
        print(f"embedding {args.clips} clips", file=sys.stderr, flush=True)
        cost([*command, "run,jump"], listed)
        command[-1:] = ["--labels-file", "kinetics400"]
        cost(command, first)  # the prompts into the cache
        runs: dict[str, list[dict[str, float]]] = {"all": [], "one": []}
        for _ in range(args.rounds):
            runs["all"].append(cost(command, listed))
            runs["one"].append(cost(command, first))
    for name, found in runs.items():
        wall, cpu = (statistics.median(run[key] for run in found) for key in ("wall", "cpu"))
        count = args.clips if name == "all" else 1
        print(f"{count:6} clips x 400 labels: {wall:6.2f} s wall {cpu:6.2f} s CPU")
    if args.output:
        args.output.write_text(json.dumps({"clips": args.clips, "runs": runs}))


if __name__ == "__main__":
    main()
