"""One command, one table: all that can be measured of speed on this machine.

    pip install opencv-python-headless transformers torchcodec decord   # or some of them
    PYTHONPATH=. python benchmarks/all.py [--quick] [-o all.json] > table.md

Runs the other scripts one after another and prints a Markdown table with the facts of the machine;
every run of each is in the JSON. Baselines that are not installed are left out, with a line.
Ratios are of CPU time, which other work on the machine hardly changes; wall time is beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Rows = Iterator[tuple[str, str, str]]
LIBRARIES = ("actcli", "torch", "av", "open_clip_torch", "opencv-python-headless", "transformers",
             "torchcodec", "decord")  # fmt: skip
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd")


def median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def end_to_end(found: dict[str, Any]) -> Rows:
    runs, args = found["runs"], found["args"]
    own = median(runs["ours fp32"], "cpu")
    for name, timed in runs.items():
        wall, cpu = median(timed, "wall"), median(timed, "cpu")
        what = f"{args['model']}, {args['clips']} clips of 10 s: {name}"
        yield what, f"{cpu:.1f} s CPU, {wall:.1f} s wall", f"{cpu / own:.2f}x of ours fp32"


def decoding(found: dict[str, Any]) -> Rows:
    for run in found["runs"]:
        ms = {name: statistics.median(times) for name, times in run["ms"].items()}
        ratios = [f"{name} {value / ms['ours']:.2f}x" for name, value in ms.items()]
        what = f"decoding, GOP {run['gop']}, {run['frames']} frames"
        yield what, f"{ms['ours']:.1f} ms a clip", ", ".join(ratios[1:])


def matrix(found: dict[str, Any]) -> Rows:
    runs = [run for run in found["runs"] if not run["is_counted"]]
    for codec in dict.fromkeys(run["file"].partition("-")[0] for run in runs):
        own = [run for run in runs if run["file"].startswith(f"{codec}-")]
        ratios = sorted(run["ratio"] for run in own)
        middle = statistics.median(run["looked_up_ms"] for run in own)
        spread = f"counting {ratios[0]:.2f}x to {ratios[-1]:.2f}x"
        yield f"looking up, {codec}, {len(own)} measurements", f"{middle:.1f} ms a clip", spread


def rescoring(found: dict[str, Any]) -> Rows:
    many, one = (found["runs"][name] for name in ("all", "one"))
    wall, cpu = median(many, "wall"), median(many, "cpu")
    each = 1000 * (cpu - median(one, "cpu")) / found["clips"]
    yield (
        f"{found['clips']} cached clips x 400 labels",
        f"{cpu:.1f} s CPU, {wall:.1f} s wall",
        f"{each:.2f} ms a clip after the start",
    )


def start_up(found: dict[str, Any]) -> Rows:
    whole = median(found["runs"]["import torch"], "cpu")
    for name, runs in found["runs"].items():
        wall, cpu = median(runs, "wall"), median(runs, "cpu")
        what = f"{1000 * cpu:.0f} ms CPU, {1000 * wall:.0f} ms wall"
        yield name, what, f"{cpu / whole:.2f}x of import torch"


# Each script with the options of a short run.
SCRIPTS: dict[str, tuple[Callable[[dict[str, Any]], Rows], list[str]]] = {
    "start_up": (start_up, []),
    "decoding": (decoding, ["--clips", "1"]),
    "matrix": (matrix, ["--quick"]),
    "rescoring": (rescoring, ["--clips", "200"]),
    "end_to_end": (end_to_end, ["--clips", "4"]),
}


def machine() -> dict[str, Any]:
    """What decides speed here."""
    info = Path("/proc/cpuinfo")
    pairs = (line.partition(":") for line in info.open()) if info.exists() else ()
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {found.name: found.version for found in distributions() if found.name in LIBRARIES}
    return {"cpu": facts.get("model name") or platform.processor() or platform.machine(),
            "cores": cores, "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "instructions": [name for name in INSTRUCTIONS if name in flags],
            "system": platform.platform(), "python": platform.python_version(),
            "threads": os.environ.get("OMP_NUM_THREADS", "all"), "versions": versions}  # fmt: skip


def run(name: str, options: list[str]) -> dict[str, Any] | None:
    """The JSON of one script; None, with a line, where it failed."""
    print(f"{name} {' '.join(options)}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.json")
        command = [sys.executable, str(HERE / f"{name}.py"), *options, "-o", str(output)]
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        if done.returncode == 0:
            return {"options": options, **json.loads(output.read_text())}
    print(f"{name}: left out (exit code {done.returncode})", file=sys.stderr)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    parser.add_argument("--only", nargs="*", choices=list(SCRIPTS), default=list(SCRIPTS))
    parser.add_argument("--model", default="ViT-B-32", help="whose shapes run end to end")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    facts, found, rows = machine(), {}, []
    for name in args.only:
        read, short = SCRIPTS[name]
        options = ["--rounds", "1", *short] if args.quick else []
        options += ["--model", args.model] if name == "end_to_end" else []
        if (result := run(name, options)) is not None:
            found[name] = result
            rows += list(read(result))
    facts["versions"] = ", ".join(f"{name} {at}" for name, at in facts["versions"].items())
    facts["instructions"] = ", ".join(facts["instructions"])
    print("; ".join(f"{key}: {value}" for key, value in facts.items()) + "\n")
    print("| what | median | beside |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    if args.output:
        args.output.write_text(json.dumps({"machine": facts, **found}, default=str))


if __name__ == "__main__":
    main()
