"""What comes out of a decode process is checked before anything is made of it."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actcli.config import LimitsConfig, SamplingConfig
from actcli.errors import VideoError
from actcli.types import Clip, Failure, Preprocessing, VideoRef
from actcli.video import decode_process, messages, worker
from actcli.video.bounds import Bounds
from actcli.video.loader import IDLE, Loader
from actcli.video.messages import Answer, Ended, MessageError, Ready, StillAtWork, receive, send
from actcli.video.worker import ClipReader
from actcli.windows import Window, WindowBlock, WindowsRef

REF = VideoRef("a.mp4", id="A")
FILM = WindowsRef(REF, 2)
CLIP_HEAD = {
    "kind": "clip", "shape": [1, 2, 3, 4, 4], "times_s": [[0.1, 0.2]], "start_s": 0.0,
    "end_s": 1.0, "warnings": [],
}  # fmt: skip


def pipe() -> tuple[Connection, Connection]:
    ours, theirs = multiprocessing.Pipe()
    return ours, theirs


def sent(value: Any, max_bytes: int = 1 << 20) -> Answer:
    ours, theirs = pipe()
    send(theirs, value)
    return receive(ours, max_bytes)


def clip(warnings: tuple[str, ...] = ()) -> Clip:
    frames = np.arange(1 * 2 * 3 * 4 * 4, dtype=np.uint8).reshape(1, 2, 3, 4, 4)
    return Clip(REF, frames, np.array([[0.1, 1 / 3]]), -0.5, 2**-40, warnings)


def test_a_clip_arrives_bit_by_bit() -> None:
    was = clip(("one", "two"))
    now = sent(was).of(REF)
    assert isinstance(now, Clip)
    assert np.array_equal(now.frames, was.frames)
    assert now.times_s.tolist() == was.times_s.tolist()
    assert (now.ref, now.start_s, now.end_s, now.warnings) == (REF, -0.5, 2**-40, ("one", "two"))


def test_a_block_arrives_with_its_windows() -> None:
    frames = np.ones((2, 1, 3, 4, 4), np.uint8)
    windows = (Window(0.1, 1.1, 3, 9, ((0, 1), (1, 1)), ((0.1, 0.2), (0.3, 0.3))),)
    was = WindowBlock(REF, frames, 4, 7, windows, 9.5, True, may_keep=False, warnings=("w",))
    now = sent(was).of(FILM)
    assert isinstance(now, WindowBlock)
    assert np.array_equal(now.frames, frames)
    for name in ("number", "first_place", "windows", "video_s", "is_last", "may_keep", "warnings"):
        assert getattr(now, name) == getattr(was, name), name


def test_an_error_arrives_with_its_hint() -> None:
    now = sent(VideoError("truncated", "cut off", hint="copy it again")).of(REF)
    assert isinstance(now, VideoError)
    assert (now.kind, now.message, now.hint) == ("truncated", "cut off", "copy it again")
    assert sent(VideoError("timeout", "late")).of(REF).hint is None  # type: ignore[union-attr]


def test_signs_arrive() -> None:
    assert isinstance(sent(Ready()).head, Ready)
    assert isinstance(sent(StillAtWork()).head, StillAtWork)
    assert sent(Ended()).of(FILM) is None
    with pytest.raises(MessageError, match="ready is no answer"):
        sent(Ready()).of(REF)


def test_an_answer_is_of_what_was_asked_for() -> None:
    frames = np.ones((2, 1, 3, 4, 4), np.uint8)
    block = WindowBlock(REF, frames, 1, 7, (), 9.5, is_last=True)
    wrong: list[tuple[Any, VideoRef | WindowsRef, str]] = [
        (clip(), FILM, "clip is no answer"),
        (block, REF, "block is no answer"),
        (block, FILM, "another block than was asked for"),
        (Ended(), REF, "end is no answer"),
        (StillAtWork(), REF, "beat is no answer"),
        (replace(clip(), times_s=np.zeros((1, 3))), REF, "not a time for each frame"),
        (replace(clip(), times_s=np.zeros((2, 2))), REF, "not a time for each frame"),
    ]
    for value, request, message in wrong:
        with pytest.raises(MessageError, match=message):
            sent(value).of(request)


def test_names_that_are_not_utf8_and_long_texts_do_not_stop_a_message() -> None:
    now = sent(clip(("bad \udcff name", "x" * 20_000))).of(REF)
    assert isinstance(now, Clip)
    assert now.warnings[0] == "bad ? name"
    assert len(now.warnings[1]) == 10_000
    error = sent(VideoError("crashed", "y" * 20_000, hint="\udc80")).of(REF)
    assert isinstance(error, VideoError)
    assert (len(error.message) <= 10_000, error.hint) == (True, "?")


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in CLIP_HEAD.items() if key != name}


@pytest.mark.parametrize(
    "head",
    [
        [], None, 7, "clip", {}, {"kind": "shell"}, without("shape"), without("kind"),
        CLIP_HEAD | {"extra": 1}, CLIP_HEAD | {"shape": [1, 2, 3, 4]},
        CLIP_HEAD | {"shape": [1, 2, 3, 4, -4]}, CLIP_HEAD | {"shape": [1, 2, 3, 4, 0]},
        CLIP_HEAD | {"shape": [1, 2, 3, 4, 2**80]}, CLIP_HEAD | {"shape": [1, 2, 3, 4, 4.5]},
        CLIP_HEAD | {"end_s": float("nan")}, CLIP_HEAD | {"times_s": [[float("inf")]]},
        CLIP_HEAD | {"times_s": 7}, CLIP_HEAD | {"warnings": ["x" * 20_000]},
        CLIP_HEAD | {"warnings": ["x"] * 200}, CLIP_HEAD | {"warnings": [7]},
        {"kind": "failed", "error": "gone", "message": "m", "hint": None},
        {"kind": "failed", "error": "crashed", "message": 7, "hint": None},
    ],
    ids=lambda head: json.dumps(head)[:40],
)  # fmt: skip
def test_a_head_of_another_form_is_refused(head: object) -> None:
    ours, theirs = pipe()
    theirs.send_bytes(json.dumps(head).encode())
    with pytest.raises(MessageError, match="not a message"):
        receive(ours, 1 << 20)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"kind":"clip",'])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    ours, theirs = pipe()
    theirs.send_bytes(text)
    with pytest.raises(MessageError, match="not a message"):
        receive(ours, 1 << 20)


@pytest.mark.parametrize(
    ("count", "message"), [(95, "fewer pixels"), (0, "fewer pixels"), (97, "bad message length")]
)
def test_pixels_are_as_many_as_the_head_says(count: int, message: str) -> None:
    ours, theirs = pipe()
    theirs.send_bytes(json.dumps(CLIP_HEAD).encode())
    theirs.send_bytes(bytes(count))
    with pytest.raises((MessageError, OSError), match=message):
        receive(ours, 1 << 20)


def test_nothing_is_allocated_for_more_pixels_than_were_asked_for() -> None:
    ours, theirs = pipe()
    theirs.send_bytes(json.dumps(CLIP_HEAD | {"shape": [2**30, 2**30, 3, 2**20, 1]}).encode())
    with pytest.raises(MessageError, match="more pixels than were asked for"):
        receive(ours, 1 << 20)


class Touch:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def taken_over(ref: VideoRef) -> Clip:
    """A reader that a file has taken over, as far as the id says."""
    if ref.id == "good":
        return clip()
    path = Path(ref.path)

    def say(connection: Connection, *_: object) -> None:
        LIES[ref.id](connection, path)

    messages._send_head = say
    return clip()


def drip(connection: Connection, _: Path) -> None:
    for byte in b"\x00\x00\x10\x00" + bytes(300):
        os.write(connection.fileno(), bytes([byte]))
        time.sleep(0.2)


def half(connection: Connection, _: Path) -> None:
    os.write(connection.fileno(), b"\x00\x00\x10\x00half of it")
    time.sleep(60)


LIES: dict[str, Callable[[Connection, Path], object]] = {
    "pickle": lambda connection, path: connection.send(Touch(path)),
    "pickle as pixels": lambda connection, path: (
        connection.send_bytes(json.dumps(CLIP_HEAD).encode()),
        connection.send_bytes(pickle.dumps(Touch(path))),
    ),
    "ready": lambda connection, _: connection.send_bytes(b'{"kind":"ready"}'),
    "end": lambda connection, _: connection.send_bytes(b'{"kind":"end"}'),
    "beat": lambda connection, _: connection.send_bytes(b'{"kind":"beat"}'),
    "length": lambda connection, _: (
        connection.send_bytes(json.dumps(CLIP_HEAD).encode()),
        os.write(connection.fileno(), b"\xff\xff\xff\xff" + (2**62).to_bytes(8, "big")),
    ),
    "huge": lambda connection, _: connection.send_bytes(
        json.dumps(CLIP_HEAD | {"shape": [1, 1, 3, 2**20, 2**20]}).encode()
    ),
    "flood": lambda connection, _: connection.send_bytes(bytes(17 << 20)),
    "half": half,
    "drip": drip,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_worker_that_was_taken_over_costs_its_video(
    tmp_path: Path, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_process, "_ANSWER_S", 1.0)
    path = tmp_path / "touched"
    refs = [VideoRef(str(path), id=name) for name in ("good", lie, "good")]
    with Loader(taken_over, workers=1, bounds=Bounds(1.0), window=4) as loader:
        items = [item for item in loader.load(refs) if item is not IDLE]
    assert [type(item) for item in items] == [Clip, Failure, Clip]
    assert isinstance(items[1], Failure)
    assert items[1].error.kind == "crashed"
    assert not path.exists()


def too_many(request: WindowsRef) -> Iterator[WindowBlock]:
    """A film of three blocks; of another name it is a flood, or goes around in circles."""
    if request.video.path != "good":
        worker.BLOCKS_AHEAD = 10**6  # so that it waits for nobody
    numbers: Iterable[int] = {"good": range(3), "flood": range(10**6)}.get(
        request.video.path, itertools.repeat(0)
    )
    for number in numbers:
        frames = np.zeros((2, 1, 3, 64, 64), np.uint8)
        yield WindowBlock(request.video, frames, number, 2 * number, (), 9.0, is_last=number == 2)


@pytest.mark.parametrize("kind", ["flood", "circles"])
def test_a_flood_of_blocks_ends_at_the_second_that_nobody_took(kind: str) -> None:
    refs = [WindowsRef(VideoRef(name)) for name in (kind, "good")]
    with Loader(too_many, workers=1, bounds=Bounds(60.0), window=4) as loader:
        items = []
        for item in loader.load(refs):
            time.sleep(0.3)
            items += [] if item is IDLE else [item]
    failed = next(i for i, item in enumerate(items) if isinstance(item, Failure))
    assert failed < 20
    assert [type(item) for item in items[failed + 1 :]] == [WindowBlock] * 3


class Square:
    """A reader that knows the shape of its clips, and does not keep to it."""

    def __call__(self, ref: VideoRef) -> Clip:
        side = 8 if ref.path == "good" else 7
        return Clip(ref, np.zeros((1, 1, 3, side, side), np.uint8), np.zeros((1, 1)), 0.0, 1.0)

    def fits(self, shape: tuple[int, ...]) -> bool:
        return shape == (1, 1, 3, 8, 8)


def test_pictures_of_another_shape_cost_their_video() -> None:
    refs = [VideoRef(name) for name in ("good", "bad", "good")]
    with Loader(Square(), workers=1, bounds=Bounds(60.0), window=4) as loader:
        items = [item for item in loader.load(refs) if item is not IDLE]
    assert [type(item) for item in items] == [Clip, Failure, Clip]


def test_clips_fit_as_the_run_samples_them() -> None:
    sampling = SamplingConfig(num_frames=4, num_views=2, num_crops=3)
    read = ClipReader(sampling, Preprocessing(32), LimitsConfig())
    assert read.fits((6, 4, 3, 32, 32))
    assert not read.fits((6, 4, 3, 32, 31))
    assert read.clip_bytes == 6 * 4 * 3 * 32 * 32
