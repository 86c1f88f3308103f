"""Windows to embeddings: shared frames once, the same values as windows alone, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from actcli.cache import Cache
from actcli.config import LimitsConfig, SamplingConfig, WindowConfig
from actcli.engine_windows import WindowEngine
from actcli.errors import VideoError
from actcli.methods.base import Method
from actcli.types import Failure, FrameEmbeddings, VideoRef
from actcli.video.bounds import Bounds
from actcli.video.loader import Loader
from actcli.video.timeline import Timeline
from actcli.video.window_plan import plan_windows
from actcli.windows import WindowBlock, WindowsRef
from tests.test_engine import SIDE, FakeBackbone

WINDOWS = WindowConfig(window_s=2.0, window_stride_s=1.0)
SAMPLING = SamplingConfig(num_frames=4)


class Together(Method):
    """Embeds clips as a whole: each frame's embedding less the clip's mean."""

    def embed(self, frames: Tensor) -> Tensor:
        values = super().embed(frames)
        return values - values.mean(1, keepdim=True)


class Reading:
    """Frame i of a film of 10 frames a second is all i; the name says for how many seconds."""

    def __init__(self) -> None:
        self.requests: list[int] = []

    def __call__(self, request: WindowsRef) -> Iterator[WindowBlock]:
        self.requests.append(request.first_block)
        kind, seconds = Path(request.video.path).stem.split("-")
        frames = int(seconds) * 10
        timeline = Timeline(np.arange(frames) / 10, frames / 10, has_timestamps=True)
        plan = plan_windows(request.video, SAMPLING, WINDOWS, timeline)
        for number, (first, end, windows, is_last) in enumerate(plan.blocks(0)):
            if number >= request.first_block:
                if kind == "bad" and number:
                    raise VideoError("truncated", "no more")
                shape = (end - first, 1, 3, SIDE, SIDE)
                pixels = np.empty(shape, np.uint8)
                pixels[:] = (plan.wanted[first:end] % 251)[:, None, None, None, None]
                yield WindowBlock(
                    request.video, pixels, number, first, windows, frames / 10, is_last,
                    warnings=("w",) if kind == "warned" else (),
                )  # fmt: skip


def engine(
    method: Method | None = None, read: Any = None, cache: Cache | None = None
) -> WindowEngine:
    loader = Loader(read or Reading(), workers=0, bounds=Bounds(9.0), window=4)
    return WindowEngine(
        method or Method(FakeBackbone()), loader, cache or Cache(None),  # type: ignore[arg-type]
        sampling=SAMPLING, limits=LimitsConfig(), precision="fp32", batch_size=4,
    )  # fmt: skip


def embed(made: WindowEngine, *names: object) -> list[FrameEmbeddings | Failure]:
    return list(made.embed_windows([VideoRef(str(name)) for name in names], WINDOWS))


def film(folder: Path, name: str) -> Path:
    (folder / name).write_text(name)
    return folder / name


def first_values(results: list[Any]) -> list[list[int]]:
    return [r.values[0, :, 0].round().int().tolist() for r in results]


def test_a_window_has_the_embeddings_of_its_frames() -> None:
    results = embed(engine(), "a-4")
    assert first_values(results) == [[2, 7, 12, 17], [12, 17, 22, 27], [22, 27, 32, 37]]
    (first, *_) = results
    assert isinstance(first, FrameEmbeddings)
    assert (first.start_s, first.end_s, first.ref.start_s, first.ref.end_s) == (0, 2, 0, 2)
    assert first.part is not None
    assert (first.part.first_frame, first.part.last_frame, first.part.video_s) == (0, 19, 4.0)


def test_a_frame_that_windows_share_is_embedded_once() -> None:
    backbone = FakeBackbone()
    results = embed(engine(Method(backbone)), "a-100")  # type: ignore[arg-type]
    assert len(results) == 99
    assert sum(backbone.frames_seen) == 2 * 100


def test_frames_of_many_short_videos_are_embedded_together() -> None:
    backbone = FakeBackbone()
    embed(engine(Method(backbone)), *["a-2"] * 12)  # type: ignore[arg-type]
    assert backbone.frames_seen == [16, 16, 16]


def test_a_method_that_sees_clips_as_a_whole_gets_whole_windows() -> None:
    results = embed(engine(Together(FakeBackbone())), "a-100")  # type: ignore[arg-type]
    assert len(results) == 99
    first = results[0]
    assert isinstance(first, FrameEmbeddings)
    assert first.values[0, :, 0].tolist() == [-7.5, -2.5, 2.5, 7.5]
    assert all(abs(r.values.sum()) < 1e-3 for r in results if isinstance(r, FrameEmbeddings))


@pytest.mark.parametrize("kind", [Method, Together])
def test_windows_out_of_the_cache_are_the_same_bits_and_read_nothing(
    kind: type[Method], tmp_path: Path
) -> None:
    path, read = film(tmp_path, "a-100"), Reading()
    with Cache(tmp_path / "cache") as cache:
        fresh = embed(engine(kind(FakeBackbone()), read, cache), path)  # type: ignore[arg-type]
        again = embed(engine(kind(FakeBackbone()), read, cache), path)  # type: ignore[arg-type]
    assert read.requests == [0]
    assert [r.cached for r in again if isinstance(r, FrameEmbeddings)] == [True] * 99
    for one, other in zip(fresh, again, strict=True):
        assert isinstance(one, FrameEmbeddings)
        assert isinstance(other, FrameEmbeddings)
        assert torch.equal(one.values, other.values)
        assert (one.ref, one.times_s, one.part) == (other.ref, other.times_s, other.part)


def test_methods_that_embed_frames_and_windows_do_not_take_each_others_values(
    tmp_path: Path,
) -> None:
    path = film(tmp_path, "a-4")

    class Alike(Together):
        def cache_key(self) -> str:
            return Method.cache_key(Method(self.backbone))

    with Cache(tmp_path / "cache") as cache:
        first = embed(engine(Method(FakeBackbone()), cache=cache), path)  # type: ignore[arg-type]
        second = embed(engine(Alike(FakeBackbone()), cache=cache), path)  # type: ignore[arg-type]
    assert first_values(first) != first_values(second)
    assert [r.cached for r in second if isinstance(r, FrameEmbeddings)] == [False] * 3


@pytest.mark.parametrize(("kind", "first_block"), [(Method, 2), (Together, 0)])
def test_a_run_that_was_cut_short_goes_on_where_the_cache_ends(
    kind: type[Method], first_block: int, tmp_path: Path
) -> None:
    path, read = film(tmp_path, "a-100"), Reading()
    whole = embed(engine(kind(FakeBackbone())), path)  # type: ignore[arg-type]
    with Cache(tmp_path / "cache") as cache:
        made = engine(kind(FakeBackbone()), read, cache)  # type: ignore[arg-type]
        stream = made.embed_windows([VideoRef(str(path))], WINDOWS)
        for _ in range(40):
            next(stream)
        made._loader.close()
        rest = embed(engine(kind(FakeBackbone()), read, cache), path)  # type: ignore[arg-type]
    assert read.requests == [0, first_block]
    assert first_values(rest) == first_values(whole)


def test_what_is_left_of_a_broken_video_is_a_failure_after_its_windows() -> None:
    results = embed(engine(), "bad-100", "a-2")
    kinds = [r.error.kind if isinstance(r, Failure) else r.ref.path for r in results]
    assert kinds == ["bad-100"] * 31 + ["truncated", "a-2"]


def test_warnings_of_a_video_are_said_with_its_first_window() -> None:
    results = embed(engine(), "warned-100", "warned-2")
    said = [r.warnings for r in results if isinstance(r, FrameEmbeddings)]
    assert said == [("w",), *[()] * 98, ("w",)]


def test_a_file_that_was_replaced_meanwhile_is_not_kept_under_its_old_content(
    tmp_path: Path,
) -> None:
    path = film(tmp_path, "a-4")

    class Replacing(Reading):
        def __call__(self, request: WindowsRef) -> Iterator[WindowBlock]:
            path.write_text("another film")
            return super().__call__(request)

    with Cache(tmp_path / "cache") as cache:
        embed(engine(read=Replacing(), cache=cache), path)
        assert cache.count() == 0


def test_few_frames_are_held_of_a_long_film() -> None:
    made = engine()
    most = 0
    for _ in made.embed_windows([VideoRef("a-1000")], WINDOWS):
        most = max(most, len(made._places))
    assert most < 150
