"""Broken videos by the ten thousand through decode processes: crashes, hangs, leaks, exit codes.

    PYTHONPATH=. python benchmarks/mutants.py [--mutants 20000] [--odd FOLDER] [-o mutants.json]

Mutants are those of tests/hostile/mutants.py, made by their seeds from drawn files and those of a
folder. Each is read in one of eight ways; the first batches of a thousand also go through
`actcli classify` as folders, whose exit codes and records are checked. Mutants that end as none
should are kept in --keep. What is left in memory and on disk is looked for once all has ended.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actcli.types import Clip, Failure, VideoRef
from actcli.video.bounds import Bounds
from actcli.video.loader import IDLE, Loader
from tests.hostile.mutants import Whole, drawn_files, found_files, mutant
from tests.hostile.reading import ADDRESS, LIMITS, AnyReader, way_of

BATCH = 1000


@dataclass
class Tally:
    """What happened so far, of all threads."""

    ended: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    slowest: list[tuple[float, str, str]] = field(default_factory=list)
    peak_mib: float = 0.0
    first_mib: float = 0.0
    most_files: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def note(self, seconds: float, name: str, how: str) -> None:
        with self.lock:
            self.ended[how] += 1
            self.slowest = sorted([*self.slowest, (seconds, name, how)], reverse=True)[:5]


def status(pid: int, name: str) -> float:
    """A size of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def read_batch(seeds: range, corpus: list[Whole], tally: Tally, keep: Path) -> None:
    """One after another, so that each one's time is known."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant"
        with Loader(AnyReader(), workers=1, bounds=Bounds.of(LIMITS, 1 << 20), window=1) as loader:

            def requests() -> Any:
                for seed in seeds:
                    made, way = mutant(seed, corpus), way_of(seed)
                    path.write_bytes(made.content)
                    current[:] = [f"{way}:{made.name}", time.perf_counter()]
                    yield VideoRef(ADDRESS * (way == "remote") + str(path), id=current[0])
                    done.wait()
                    done.clear()

            current: list[Any] = []
            done = threading.Event()
            count = 0
            for item in loader.load(requests()):
                if item is IDLE:
                    continue
                seconds, name = time.perf_counter() - current[1], current[0]
                how = item.error.kind if isinstance(item, Failure) else "frames"
                assert isinstance(item, Clip | Failure)
                if how in ("crashed", "timeout"):
                    tally.bad.append(f"{name}: {item.error.message}")  # type: ignore[union-attr]
                    (keep / name.replace("/", "_")).write_bytes(path.read_bytes())
                tally.note(seconds, name, how)
                count += 1
                if count % 50 == 0:
                    measure(loader, tally)
                done.set()


def measure(loader: Loader, tally: Tally) -> None:
    assert loader._pool is not None
    for worker in list(loader._pool._workers):
        try:
            mib, files = (
                status(worker.process.pid, "VmHWM"),
                os.listdir(f"/proc/{worker.process.pid}/fd"),
            )
        except OSError:
            continue
        tally.first_mib = tally.first_mib or status(worker.process.pid, "VmRSS")
        tally.peak_mib = max(tally.peak_mib, mib)
        tally.most_files = max(tally.most_files, len(files))


def classify(seeds: range, corpus: list[Whole]) -> str | None:
    """What is wrong with the exit code or the records of a run over a folder of mutants."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for seed in seeds:
            (folder / f"{seed}.mp4").write_bytes(mutant(seed, corpus).content)
        command = [sys.executable, "-m", "actcli", "classify", folder, "--labels", "run,jump", "-q",
                   "--model", "demo", "--no-cache", "--timeout", "20"]  # fmt: skip
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        usable = sum(record["ok"] for record in records)
        wanted = 0 if usable == len(seeds) else 3 if usable else 4
        if done.returncode != wanted:
            return f"exit code {done.returncode} instead of {wanted}: {done.stderr[-300:]}"
        if len(records) != len(seeds) or "Traceback" in done.stderr:
            return f"{len(records)} records of {len(seeds)}: {done.stderr[-300:]}"
        if any(record.get("error", {}).get("kind") in ("crashed", "timeout") for record in records):
            return "a crash or a hang among the records"
    return None


def run_apart() -> int:
    """This script again, in a session and with temporary files of its own; then look around."""
    shared = Path("/dev/shm")
    before = set(os.listdir(shared)) if shared.is_dir() else set()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, *sys.argv[1:], "--inner"]
        own = os.environ | {"TMPDIR": folder}
        inner = subprocess.Popen(command, start_new_session=True, env=own)
        inner.wait()
        for _ in range(20):  # whoever adopted them takes a moment to bury them
            listed = subprocess.run(["ps", "-s", str(inner.pid), "-o", "pid=,stat=,args="],
                                    capture_output=True, text=True, check=False)  # fmt: skip
            if not listed.stdout:
                break
            time.sleep(0.5)
        # PyTorch makes this one, empty, once for a user.
        left = [name for name in os.listdir(folder) if not name.startswith("torchinductor_")]
        left += listed.stdout.splitlines()
    left += sorted(set(os.listdir(shared)) - before) if shared.is_dir() else []
    print(f"{'left behind':24} {left}")
    return inner.returncode


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--odd", type=Path, help="a folder of further files to break")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--classify", type=int, default=2, help="batches that `classify` reads too")
    parser.add_argument("--keep", type=Path, default=Path("mutants-kept"))
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.inner:
        sys.exit(run_apart())
    args.keep.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = list(drawn_files(Path(folder)))
    corpus += list(found_files(args.odd, 120_000)) if args.odd else []
    tally, start = Tally(), time.perf_counter()
    end = args.first_seed + args.mutants
    batches = [range(s, min(s + BATCH, end)) for s in range(args.first_seed, end, BATCH)]
    with ThreadPoolExecutor(args.jobs) as pool:
        for number, _ in enumerate(
            pool.map(lambda b: read_batch(b, corpus, tally, args.keep), batches)
        ):
            print(f"{(number + 1) * BATCH} {dict(tally.ended)} bad {len(tally.bad)} peak "
                  f"{tally.peak_mib:.0f} MiB", file=sys.stderr, flush=True)  # fmt: skip
    wrong = [text for batch in batches[: args.classify] if (text := classify(batch, corpus))]
    table = {
        "mutants": tally.ended.total(), "of files": len(corpus), "ended": dict(tally.ended),
        "crashes": sum("crash" in text or "internal" in text for text in tally.bad),
        "hangs": sum("not decoded after" in text for text in tally.bad),
        "wrong exit codes": len(wrong),
        "slowest": tally.slowest, "worker MiB at first": tally.first_mib,
        "worker peak MiB": tally.peak_mib, "open files of a worker": tally.most_files,
        "seconds": time.perf_counter() - start, "bad": tally.bad, "wrong": wrong,
    }  # fmt: skip
    for key, value in table.items():
        print(f"{key:24} {value}")
    if args.output:
        args.output.write_text(json.dumps(table, indent=1))
    sys.exit(bool(tally.bad or wrong))


if __name__ == "__main__":
    main()
