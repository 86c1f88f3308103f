"""Broken videos by the thousand, each made from a whole one by a seed alone.

`mutant(seed, corpus)` cuts, flips, forges, swaps and shuffles as fuzzers of containers do: at the
borders of boxes and elements, in the fields that say how long something is, and anywhere else.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from PIL import Image

from tests.video.making import number_picture, remux, write_video

_CONTAINERS: Final = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"moof",
                      b"traf", b"mvex", b"udta"}  # fmt: skip
_NAMES: Final = re.compile(
    rb"ftyp|moov|mvhd|trak|tkhd|edts|elst|mdia|mdhd|hdlr|minf|vmhd|stbl|stsd|stts|ctts|stss|stsc|"
    rb"stsz|stco|co64|mdat|moof|mfhd|traf|tfhd|tfdt|trun|mvex|trex|sidx|avc1|avcC|hvc1|hvcC|av01|"
    rb"av1C|vp09|vpcC|colr|pasp|RIFF|LIST|hdrl|avih|strl|strh|strf|movi|idx1|\x1a\x45\xdf\xa3|"
    rb"\x18\x53\x80\x67|\x11\x4d\x9b\x74|\x15\x49\xa9\x66|\x16\x54\xae\x6b|\x1c\x53\xbb\x6b|"
    rb"\x1f\x43\xb6\x75|\x00\x00\x01[\xb3\xb7\xb8\xba\xbb\xbd\xe0\x00\x67\x65\x68]"
)
_EXTREMES: Final = (0, 1, 7, 8, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1,
                    2**63 - 1, 2**64 - 1)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken file, and how it came about."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Whole:
    """A file to break, and where its structure shows."""

    name: str
    content: bytes
    marks: tuple[int, ...]
    """Offsets of known names of boxes, chunks, elements and start codes, at most a thousand."""

    @classmethod
    def of(cls, name: str, content: bytes) -> Whole:
        """With its marks found."""
        found = [match.start() for match in _NAMES.finditer(content)]
        return cls(name, content, tuple(found[:1000]))


def drawn_files(folder: Path) -> Iterator[Whole]:
    """Small numbered videos in every container and codec that can be written here."""
    h264 = write_video(folder / "h264.mp4", codec="h264-b", num_frames=24)
    made = [
        h264,
        write_video(folder / "hevc.mp4", codec="hevc-b", num_frames=16),
        write_video(folder / "vp9.webm", codec="vp9", num_frames=16),
        write_video(folder / "vp8.webm", codec="vp8", num_frames=16),
        write_video(folder / "mpeg4.avi", codec="mpeg4", num_frames=16),
        write_video(folder / "mpeg2.mpg", codec="mpeg2video", num_frames=16),
        write_video(folder / "flv.flv", codec="flv", num_frames=16),
        write_video(folder / "wmv.asf", codec="wmv2", num_frames=16),
        write_video(folder / "mjpeg.mov", codec="mjpeg", num_frames=6, pixel_format="yuvj420p"),
        write_video(folder / "ffv1.mkv", codec="ffv1", num_frames=4),
        write_video(folder / "fragments.mp4", num_frames=24,
                    container_options={"movflags": "frag_keyframe+empty_moov"}),
        write_video(folder / "start.mp4", num_frames=24,
                    container_options={"movflags": "faststart"}),
        remux(h264, folder / "h264.mkv"),
        remux(h264, folder / "h264.ts"),
        remux(h264, folder / "h264.nut"),
        remux(folder / "vp8.webm", folder / "vp8.ivf"),
        write_video(folder / "raw.h264", num_frames=16, container="h264"),
    ]  # fmt: skip
    pictures = [Image.fromarray(number_picture(i)) for i in range(6)]
    pictures[0].save(folder / "a.gif", save_all=True, append_images=pictures[1:], duration=40)
    for path in (*made, folder / "a.gif"):
        yield Whole.of(path.name, path.read_bytes())


def found_files(folder: Path, most_bytes: int) -> Iterator[Whole]:
    """The files of a folder that are not too large to be copied by the thousand."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and 0 < path.stat().st_size <= most_bytes:
            yield Whole.of(path.name, path.read_bytes())


def mutant(seed: int, corpus: Sequence[Whole]) -> Mutant:
    """The mutant of a seed: a whole file, broken in one to three ways."""
    random = Random(seed)
    whole = random.choice(corpus)
    content, ways = whole.content, []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        way = random.choice(_WAYS)
        ways.append(way.__name__)
        content = way(random, Whole(whole.name, content, whole.marks), corpus)
    return Mutant(f"{seed}-{whole.name}-{'-'.join(ways)}", content)


def truncate(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """Cut off near a mark, or anywhere."""
    return whole.content[: _place(random, whole)]


def behead(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """Without its beginning."""
    return whole.content[_place(random, whole) :]


def flip(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """One to 64 bits, close together or anywhere."""
    content = bytearray(whole.content)
    count = 2 ** random.randint(0, 6)
    start, reach = _place(random, whole), random.choice((64, 4096, len(content)))
    for _ in range(count if content else 0):
        place = (start + random.randrange(reach + 1)) % len(content)
        content[place] ^= 1 << random.randrange(8)
    return bytes(content)


def resize_box(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """The length before a mark becomes another: extreme, or a little more or less."""
    if not whole.marks:
        return forge(random, whole, _)
    place = random.choice(whole.marks)
    before, after = place - 4, place + 4
    at = random.choice((before, before, after))
    if not 0 <= at <= len(whole.content) - 4:
        return whole.content
    old = int.from_bytes(whole.content[at : at + 4], "big")
    new = random.choice((*_EXTREMES, old - 1, old + 1, old + 8, old * 2, len(whole.content)))
    return _put(whole.content, at, struct.pack(">I", new % 2**32))


def forge(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """A whole number somewhere becomes an extreme one, in either order of bytes."""
    place, width = _place(random, whole), random.choice((1, 2, 4, 8))
    value = random.choice(_EXTREMES) % 256**width
    order: Any = random.choice(("big", "little"))
    return _put(whole.content, place, value.to_bytes(width, order))


def forge_after_mark(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """As `forge`, in the first fields of a box or element: its counts, sizes and times."""
    if not whole.marks:
        return forge(random, whole, _)
    place = random.choice(whole.marks) + 4 + 4 * random.randrange(24)
    value = random.choice(_EXTREMES) % 2**32
    return _put(whole.content, place, struct.pack(random.choice((">I", "<I")), value))


def cut_out(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """Without a piece of its middle."""
    start = _place(random, whole)
    return whole.content[:start] + whole.content[start + _length(random, whole) :]


def repeat(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """A piece, once to a hundred times more."""
    start = _place(random, whole)
    piece = whole.content[start : start + min(4096, _length(random, whole))]
    return whole.content[:start] + piece * random.choice((2, 3, 100)) + whole.content[start:]


def shuffle(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """Pieces in another order; of a transport stream, its packets."""
    size = 188 if whole.name.endswith(".ts") else random.choice((64, 512, 4096))
    pieces = [whole.content[i : i + size] for i in range(0, len(whole.content), size)]
    first = random.randrange(len(pieces) + 1)
    some = pieces[first : first + random.choice((2, 16, len(pieces)))]
    random.shuffle(some)
    return b"".join((*pieces[:first], *some, *pieces[first + len(some) :]))


def fill(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """A piece becomes zeros, ones or noise."""
    start = _place(random, whole)
    count = min(_length(random, whole), max(0, len(whole.content) - start))
    piece = random.choice((bytes(count), b"\xff" * count, random.randbytes(count)))
    return _put(whole.content, start, piece)


def swap_containers(random: Random, whole: Whole, corpus: Sequence[Whole]) -> bytes:
    """The beginning of one file and the end of another."""
    other = random.choice(corpus)
    return whole.content[: _place(random, whole)] + other.content[_place(random, other) :]


def graft(random: Random, whole: Whole, corpus: Sequence[Whole]) -> bytes:
    """A piece of another file laid over this one."""
    other = random.choice(corpus)
    start = _place(random, other)
    return _put(whole.content, _place(random, whole), other.content[start : start + 4096])


def nest_boxes(random: Random, whole: Whole, _: Sequence[Whole]) -> bytes:
    """Boxes inside boxes, thousands deep, where one began."""
    depth, name = random.choice((50, 5_000)), random.choice(sorted(_CONTAINERS))
    at = random.choice(whole.marks) - 4 if whole.marks else 0
    head = b"".join(struct.pack(">I4s", 8 * (depth - i), name) for i in range(depth))
    return whole.content[: max(0, at)] + head + whole.content[max(0, at) :]


_WAYS: Final[tuple[Callable[[Random, Whole, Sequence[Whole]], bytes], ...]] = (
    truncate, truncate, behead, flip, flip, flip, resize_box, resize_box, resize_box, forge, forge,
    forge_after_mark, forge_after_mark, forge_after_mark, cut_out, repeat, shuffle, fill,
    swap_containers, swap_containers, graft, nest_boxes,
)  # fmt: skip


def _place(random: Random, whole: Whole) -> int:
    """Near a mark as often as near the start, near the end, or anywhere."""
    size, kind = len(whole.content), random.randrange(4)
    if kind == 0 and whole.marks:
        return min(size, max(0, random.choice(whole.marks) + random.randint(-9, 40)))
    if kind == 1:
        return random.randint(0, min(size, 600))
    if kind == 2:
        return size - random.randint(0, min(size, 600))
    return random.randint(0, size)


def _length(random: Random, whole: Whole) -> int:
    return random.choice((1, 4, 16, 256, 4096, random.randint(1, len(whole.content) + 1)))


def _put(content: bytes, place: int, piece: bytes) -> bytes:
    """The content with a piece laid over it, as long as before."""
    return (content[:place] + piece + content[place + len(piece) :])[: len(content)]
