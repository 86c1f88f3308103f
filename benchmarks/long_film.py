"""Windows over long films: where segments begin, memory, frames decoded, and time.

    python benchmarks/long_film.py --minutes 10 --hours 2 -o long_film.json

A film is made of drawn clips with known boundaries, three to five of one action after another. It
is classified in windows by the demo model, and its segments are compared with what was drawn. Then
it is repeated to the given length, and the same is measured again: peak memory of the command and
of its workers, frames that leave the decoder, and the time against cutting the film into pieces
with ffmpeg and classifying these.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from actcli.config import LimitsConfig, SamplingConfig, WindowConfig
from actcli.demo.clips import FRAMES_PER_SECOND, SIZE, draw_clip
from actcli.demo.figures import demo_labels
from actcli.types import Preprocessing, VideoRef
from actcli.video.reader import Reader
from actcli.video.windows import WindowReading
from actcli.windows import WindowsRef

WINDOW_S, STRIDE_S = 2.0, 0.5


@dataclass(frozen=True)
class Stretch:
    label: str
    start_s: float
    end_s: float

    def iou(self, other: Stretch) -> float:
        shared = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        return max(0.0, shared) / (max(self.end_s, other.end_s) - min(self.start_s, other.start_s))


def make_film(path: Path, seconds: float, seed: int) -> list[Stretch]:
    draw = random.Random(seed)
    labels, truth, frames, last = demo_labels("single"), [], 0, ""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", FRAMES_PER_SECOND, {"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        while frames < seconds * FRAMES_PER_SECOND:
            label = draw.choice([label for label in labels if label != last])
            first, last = frames, label
            for _ in range(draw.randint(3, 5)):
                for picture in draw_clip(label, draw.getrandbits(62)):
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                    container.mux(stream.encode(frame))
                    frames += 1
            truth.append(Stretch(label, first / FRAMES_PER_SECOND, frames / FRAMES_PER_SECOND))
        container.mux(stream.encode(None))
    return truth


def repeat(film: Path, target: Path, times: int) -> None:
    """The same packets again and again, on one clock."""
    with av.open(str(target), "w") as written:
        out: Any = None
        shift = 0
        for _ in range(times):
            with av.open(str(film)) as read:
                stream = read.streams.video[0]
                out = out or written.add_stream_from_template(stream)
                end = 0
                for packet in read.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = out
                    written.mux(packet)
                shift += end


def matched(found: list[Stretch], truth: list[Stretch]) -> tuple[float, list[float]]:
    """F1 at an overlap of half, and how far off the boundaries of matched segments are."""
    left, off = list(truth), []
    hits = 0
    for one in found:
        best = max(left, key=one.iou, default=None)
        if best is not None and best.label == one.label and one.iou(best) >= 0.5:
            left.remove(best)
            hits += 1
            off += [abs(one.start_s - best.start_s), abs(one.end_s - best.end_s)]
    return 2 * hits / (len(found) + len(truth)), off


def classify(*words: object) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Records of a run, its time, and the peak memory of the command and of its largest worker."""
    run = [sys.executable, "-m", "actcli", "classify", *map(str, words), "--model", "demo", "-q",
           "--no-cache", "--format", "jsonl"]  # fmt: skip
    started, peaks = time.monotonic(), {"parent": 0, "worker": 0}
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(run, stdout=out)
        while process.poll() is None:
            for pid, parent in family(process.pid):
                who = "parent" if pid == process.pid else "worker"
                peaks[who] = max(peaks[who], peak_kib(pid))
                del parent
            time.sleep(0.2)
        wall = time.monotonic() - started
        out.seek(0)
        records = [json.loads(line) for line in out]
    return records, {"wall_s": round(wall, 2)} | {
        f"{who}_mib": round(kib / 1024, 1) for who, kib in peaks.items()
    }


def family(root: int) -> list[tuple[int, int]]:
    """A process and all below it."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(text.rpartition(")")[2].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return [(pid, parents.get(pid, 0)) for pid in found]


def peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM")), 0)


def count_decoded(path: Path) -> tuple[int, int]:
    """Frames that leave the decoder while all windows are read, and those of the file."""
    decoded = 0
    decode = Reader.decode

    def counting(self: Reader, packet: Any) -> Any:
        nonlocal decoded
        frames = decode(self, packet)
        decoded += len(frames)
        return frames

    Reader.decode = counting  # type: ignore[method-assign]
    windows = WindowConfig(window_s=WINDOW_S, window_stride_s=STRIDE_S)
    request = WindowsRef(VideoRef(str(path)))
    try:
        for _ in WindowReading(
            request, SamplingConfig(), windows, Preprocessing(64), LimitsConfig()
        ).blocks():
            pass
    finally:
        Reader.decode = decode  # type: ignore[method-assign]
    with av.open(str(path)) as container:
        return decoded, container.streams.video[0].frames


def cut_and_classify(film: Path, labels: Path, folder: Path, seconds: float) -> dict[str, float]:
    """What people do without windows: a piece for each, then all pieces."""
    started = time.monotonic()
    starts = [k * STRIDE_S for k in range(int((seconds - WINDOW_S) / STRIDE_S) + 1)]
    for n, start in enumerate(starts):
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-ss", f"{start}", "-i", film, "-t", f"{WINDOW_S}",
             "-c:v", "libx264", "-preset", "ultrafast", folder / f"{n:06d}.mp4"], check=True,
        )  # fmt: skip
    cut = time.monotonic() - started
    records, cost = classify(folder, "-L", labels)
    return {"pieces": len(records), "cut_s": round(cut, 2), "classify_s": cost["wall_s"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = measure(folder, options)
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    film, labels = folder / "film.mp4", folder / "labels.txt"
    truth = make_film(film, options.minutes * 60, options.seed)
    seconds = truth[-1].end_s
    labels.write_text("".join(f"{label}\n" for label in demo_labels("single")))
    cut = ("--window", WINDOW_S, "--stride", STRIDE_S)
    result: dict[str, Any] = {"machine": platform.processor() or platform.machine(),
                              "film_s": seconds, "stretches": len(truth)}  # fmt: skip
    records, cost = classify(film, "-L", labels, *cut, "--segments", "--min-length", 2)
    found = [Stretch(r["label"], r["start"], r["end"]) for r in records]
    f1, off = matched(found, truth)
    result["segments"] = {
        "found": len(found), "f1": round(f1, 4), "boundaries": len(off),
        "within_a_stride": sum(x <= STRIDE_S for x in off), "furthest_s": round(max(off), 3),
        **cost,
    }  # fmt: skip
    result["wrong"] = [asdict(one) for one in found if one.label not in
                       {t.label for t in truth if t.iou(one) > 0}]  # fmt: skip
    _, result["windows"] = classify(film, "-L", labels, *cut)
    result["decoded"] = dict(zip(("out", "frames"), count_decoded(film), strict=True))
    times = max(1, round(options.hours * 3600 / seconds))
    repeat(film, folder / "long.mp4", times)
    records, cost = classify(folder / "long.mp4", "-L", labels, *cut)
    result["long"] = {"hours": round(times * seconds / 3600, 2), "records": len(records), **cost}
    decoded = count_decoded(folder / "long.mp4")
    result["long"]["decoded"] = dict(zip(("out", "frames"), decoded, strict=True))
    if shutil.which("ffmpeg"):
        pieces = folder / "pieces"
        pieces.mkdir()
        result["pieces"] = cut_and_classify(film, labels, pieces, seconds)
    return result


if __name__ == "__main__":
    main()
