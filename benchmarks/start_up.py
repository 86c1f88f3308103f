"""What a command costs before it works: --help, and one clip from the cache.

    PYTHONPATH=. python benchmarks/start_up.py [-o start_up.json]

Each is a process of its own, in turn; medians of wall and CPU seconds, beside those of a bare
interpreter and of `import torch`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIP = Path(__file__).resolve().parents[1] / "examples" / "clips" / "wave.mp4"
ACTCLI = [sys.executable, "-m", "actcli"]


def cost(command: list[str], stdin: bytes | None = None) -> dict[str, float]:
    """Wall and CPU seconds of a command that must succeed, with the children it waits for."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, input=stdin, capture_output=True, check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ACTCLI_CACHE_DIR"] = cache
        cached = [*ACTCLI, "classify", str(CLIP), "--labels", "run,jump,wave", "--model", "demo"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import torch": [sys.executable, "-c", "import torch"],
            "actcli --help": [*ACTCLI, "--help"],
            "classify one cached clip": cached,
        }
        for command in commands.values():
            cost(command)  # files into memory, the clip into the cache
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                runs[name].append(cost(command))
    for name, found in runs.items():
        wall, cpu = (statistics.median(run[key] for run in found) for key in ("wall", "cpu"))
        torch_cpu = statistics.median(run["cpu"] for run in runs["import torch"])
        print(f"{name:26} {1000 * wall:6.0f} ms wall {1000 * cpu:6.0f} ms CPU "
              f"({cpu / torch_cpu:4.2f}x of import torch)")  # fmt: skip
    if args.output:
        args.output.write_text(json.dumps({"runs": runs}))


if __name__ == "__main__":
    main()
