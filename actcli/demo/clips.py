"""The demo on disk: labelled H.264 clips in folders, with a label list and a manifest."""

import csv
import io
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from actcli.demo.figures import Which, demo_labels, draw_scene, pair_of
from actcli.drafts import draft_of

Split: TypeAlias = Literal["support", "query"]

SIZE = (320, 240)
FRAMES_PER_SECOND = 15
SUPPORT_PER_CLASS, QUERY_PER_CLASS = 5, 10
MANIFEST_COLUMNS = ("path", "label", "split", "seed", "pair", "reversed")

_MIN_FRAMES, _MAX_FRAMES = 24, 45
# One encoder thread: the stream's bytes would depend on the number of threads.
_ENCODER_OPTIONS = {"crf": "28", "preset": "veryfast", "threads": "1"}


def clip_seed(seed: int, label: str, split: str, index: int) -> int:
    """Seed of one clip, the same in every process, below 2**63.

    The demo model was trained on scenes with seeds of 2**63 and above, so that no clip a user
    can ask for was among them.
    """
    key = (zlib.crc32(label.encode()), zlib.crc32(split.encode()), index)
    state = np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def count_demo(which: Which = "single", per_class: int | None = None) -> int:
    """Number of clips that `write_demo` writes."""
    return len(demo_labels(which)) * (SUPPORT_PER_CLASS + _num_queries(per_class))


def write_demo(
    directory: Path, *, which: Which = "single", per_class: int | None = None, seed: int = 0
) -> Iterator[Path]:
    """Write a set of labelled clips and yield the path of each as soon as it is complete.

    There are 5 support clips a class, and 10 query clips unless `per_class` gives their number.
    `labels.txt` comes first, `manifest.csv` when all clips are there. The same seed gives the
    same pixels; files of the same name are replaced, nothing is deleted.
    """
    labels = demo_labels(which)
    directory.mkdir(parents=True, exist_ok=True)
    _write_atomically(directory / "labels.txt", "".join(f"{label}\n" for label in labels))
    rows: list[tuple[str | int, ...]] = []
    counts: dict[Split, int] = {"support": SUPPORT_PER_CLASS, "query": _num_queries(per_class)}
    for split, count in counts.items():
        for label in labels:
            folder = directory / split / label
            folder.mkdir(parents=True, exist_ok=True)
            pair = pair_of(label)
            for index in range(count):
                number = clip_seed(seed, label, split, index)
                path = folder / f"{label.replace(' ', '_')}_{index:03d}.mp4"
                write_clip(path, label, number)
                is_reversed = pair is not None and label == pair.second
                name = "" if pair is None else pair.name
                place = path.relative_to(directory).as_posix()
                rows.append((place, label, split, number, name, int(is_reversed)))
                yield path
    _write_atomically(directory / "manifest.csv", _manifest(rows))


def draw_clip(label: str, seed: int) -> npt.NDArray[np.uint8]:
    """Draw all frames of one clip, 1.6 to 3 seconds long.

    returns:  [T, H, W, 3]
    """
    num_frames = int(np.random.default_rng((seed, 1)).integers(_MIN_FRAMES, _MAX_FRAMES + 1))
    when = (np.arange(num_frames) + 0.5) / num_frames
    return draw_scene(label, seed).frames(when, SIZE)


def write_clip(path: Path, label: str, seed: int) -> None:
    """Draw one clip and write it as an H.264 MP4; a half-written file never has its name."""
    with draft_of(path) as draft, av.open(str(draft), "w", format="mp4") as container:
        stream = container.add_stream("libx264", FRAMES_PER_SECOND, dict(_ENCODER_OPTIONS))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        for picture in draw_clip(label, seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _num_queries(per_class: int | None) -> int:
    return QUERY_PER_CLASS if per_class is None else per_class


def _manifest(rows: Iterable[tuple[str | int, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(MANIFEST_COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def _write_atomically(path: Path, text: str) -> None:
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")
