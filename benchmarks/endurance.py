"""Whether a long run leaks: memory, processes, open files and shared memory while it goes on.

    PYTHONPATH=. python benchmarks/endurance.py --records 20000 -o endurance.json

Draws a few clips, and gives them again and again to one `actcli classify -`, cache off, until there
are so many records. A quarter of the inputs is bad, of every kind in turn: no video, cut off in the
middle, missing. Every few seconds it looks at the run from outside: resident memory of the main
process and of its workers together, how many processes there are, open files of the main one,
entries in /dev/shm and in the folder of temporary files. The table has the samples; below it stand
the first and last of them after warming up, what is left when it ended, and whether every input
has its record, in order. Linux alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from actcli.demo.clips import write_clip

LABELS: Final = ("run", "jump", "wave", "bow", "clap", "squat")
_MB: Final = 1 << 20
_WARM, _ENDING = 0.2, 0.97
"""Of the records: caches of libraries fill until then, workers go from then on."""


def draw_inputs(folder: Path, count: int, seed: int) -> tuple[list[str], list[str]]:
    """Good clips, and inputs that fail."""
    good = []
    for number in range(count):
        path = folder / f"{number:02d}.mp4"
        write_clip(path, LABELS[number % len(LABELS)], seed=seed * 1000 + number)
        good.append(str(path))
    (folder / "words.mp4").write_text("no video")
    whole = (folder / "00.mp4").read_bytes()
    (folder / "torn.mp4").write_bytes(whole[: len(whole) // 2])
    return good, [str(folder / name) for name in ("words.mp4", "torn.mp4", "missing.mp4")]


def endless(good: list[str], bad: list[str], seed: int) -> Iterator[str]:
    rnd = random.Random(seed)
    while True:
        yield rnd.choice(bad if rnd.random() < 0.25 else good)


def feed(process: subprocess.Popen[bytes], names: list[str]) -> None:
    assert process.stdin is not None
    for name in names:
        process.stdin.write(os.fsencode(name) + b"\n")
    process.stdin.close()


def children(number: int) -> list[int]:
    """A process and all below it."""
    found = [number]
    for thread in Path(f"/proc/{number}/task").glob("*/children"):
        for child in thread.read_text().split():
            found += children(int(child))
    return found


def resident_mb(number: int) -> float:
    """Pages that it shares with others count in full, here and in each of them."""
    pages = int(Path(f"/proc/{number}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


def sample(number: int, out: Path, temporary: Path, began: float) -> dict[str, Any] | None:
    """How things stand; None if the run ended meanwhile."""
    try:
        below = children(number)
        states = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0]
                  for one in below]  # fmt: skip
        return {
            "seconds": round(time.monotonic() - began, 1),
            "records": out.read_bytes().count(b"\n") if out.exists() else 0,
            "main_mb": round(resident_mb(number), 1),
            "others_mb": round(sum(resident_mb(one) for one in below[1:]), 1),
            "processes": len(below),
            "zombies": states.count("Z"),
            "threads": len(os.listdir(f"/proc/{number}/task")),
            "files": len(os.listdir(f"/proc/{number}/fd")),
            "shm": len(os.listdir("/dev/shm")),
            "temporary": len(os.listdir(temporary)),
        }
    except (FileNotFoundError, ProcessLookupError):
        return None


def run(names: list[str], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One run over all names, looked at while it goes on."""
    out, temporary = folder / "out.jsonl", folder / "tmp"
    temporary.mkdir()
    shm = len(os.listdir("/dev/shm"))
    words = [sys.executable, "-m", "actcli", "classify", "-", "--labels", ",".join(LABELS),
             "--model", "demo", "--no-cache", "-q", "-o", str(out), *args.more]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )  # fmt: skip
    threading.Thread(target=feed, args=(process, names), daemon=True).start()
    samples = []
    while process.poll() is None:
        if (found := sample(process.pid, out, temporary, began)) is not None:
            samples.append(found)
            print_row(found)
        time.sleep(args.every)
    seconds = time.monotonic() - began
    time.sleep(3)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    return {
        "seconds": round(seconds, 1),
        "exit": process.returncode,
        "records": len(records),
        "failed": sum(not record["ok"] for record in records),
        "in_order": [record["input"] for record in records] == names,
        "left_processes": left(process.pid),
        "left_shm": len(os.listdir("/dev/shm")) - shm,
        "left_temporary": sorted(os.listdir(temporary)),
        "samples": samples,
    }


def left(group: int) -> int:
    """Processes of a group that ended, zombies too."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found += int(path.read_text().rpartition(")")[2].split()[2]) == group
        except (OSError, IndexError):
            continue
    return found


def print_row(values: dict[str, Any]) -> None:
    print("  ".join(f"{value:>9}" for value in values.values()), flush=True)


def growth(samples: list[dict[str, Any]], total: int) -> dict[str, Any]:
    """From the first sample after warming up to the last: by name, both and the difference."""
    warm = [one for one in samples if _WARM * total <= one["records"] <= _ENDING * total]
    if len(warm) < 2:
        return {}
    first, last = warm[0], warm[-1]
    return {name: [first[name], last[name], round(last[name] - first[name], 1)] for name in first}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=24, help="that are drawn")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", help="JSON")
    parser.add_argument("more", nargs="*", help="further words for actcli, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="endurance-") as name:
        folder = Path(name)
        good, bad = draw_inputs(folder, args.clips, args.seed)
        every = endless(good, bad, args.seed)
        names = [next(every) for _ in range(args.records)]
        print("  ".join(f"{name:>9}" for name in (
            "seconds", "records", "main MB", "others MB", "processes", "zombies", "threads",
            "files", "shm", "temporary")))  # fmt: skip
        found = run(names, folder, args)
    found["growth"] = growth(found["samples"], args.records)
    for key, value in found.items():
        if key not in ("samples", "growth"):
            print(f"{key}: {value}")
    for name, (first, last, more) in found["growth"].items():
        print(f"{name}: {first} when warm, {last} near the end, {more:+g}")
    if args.output:
        Path(args.output).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
