"""The engine packs views of many videos into batches, keeps order, and computes nothing twice."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from actcli.cache import Cache
from actcli.config import LimitsConfig, SamplingConfig
from actcli.engine import Engine, embed_text
from actcli.errors import ResourceError, VideoError
from actcli.methods.base import Method
from actcli.models.backbone import CutPrompt
from actcli.types import Clip, Failure, FrameEmbeddings, Preprocessing, VideoRef
from actcli.video.bounds import Bounds
from actcli.video.loader import Loader

SIDE = 4


class FakeBackbone(nn.Module):
    """D = 8: each frame's mean pixel times fixed numbers, each prompt's digest as numbers."""

    digest = "fake"
    device = torch.device("cpu")
    spec = SimpleNamespace(name="fake", context_length=5, preprocessing=Preprocessing(size_px=SIDE))
    score_kind = "softmax"
    image_tower_is_original = True
    text_tower_is_original = True
    cut_prompts: tuple[CutPrompt, ...] = ()

    def __init__(self, *, fits: int = 1000, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.frames_seen: list[int] = []
        self.prompts_seen: list[str] = []
        self.fits, self.dtype = fits, dtype

    def encode_frames(self, frames: Tensor) -> Tensor:
        if len(frames) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.frames_seen.append(len(frames))
        return (frames.float().mean((1, 2, 3))[:, None] * torch.arange(1.0, 9.0)).to(self.dtype)

    def encode_text(self, prompts: list[str]) -> Tensor:
        self.prompts_seen += prompts
        rows = [list(hashlib.sha256(prompt.encode()).digest()[:8]) for prompt in prompts]
        return torch.tensor(rows, dtype=torch.float32).to(self.dtype)


def read(ref: VideoRef, *, views: int = 1) -> Clip:
    """The clip named by a number, or by the last number of a file's name."""
    name = Path(ref.path).stem
    if not name.isdigit():
        raise VideoError("not_video", "not a video")
    frames = np.full((views, 2, 3, SIDE, SIDE), int(name), dtype=np.uint8)
    times = np.arange(views * 2.0).reshape(views, 2)
    return Clip(ref, frames, times, 0.0, 4.0, ("w",) if name == "3" else ())


def engine(
    backbone: FakeBackbone,
    *,
    cache: Cache | None = None,
    batch_size: int = 4,
    views: int = 1,
    read: Callable[..., Clip] = read,
    ahead: int = 0,
) -> Engine:
    loader = Loader(
        lambda ref: read(ref, views=views), workers=0, bounds=Bounds(9.0), window=2 * batch_size
    )
    sampling = SamplingConfig(num_frames=2, num_views=views)
    made = Engine(
        Method(backbone), loader, cache or Cache(None),
        sampling=sampling, limits=LimitsConfig(), precision="fp32", batch_size=batch_size,
    )  # fmt: skip
    made._passes.ahead = ahead
    return made


def refs(names: Iterable[object]) -> list[VideoRef]:
    return [VideoRef(str(name)) for name in names]


def numbers(results: Iterable[FrameEmbeddings | Failure]) -> list[object]:
    return [
        round(r.values[0, 0, 0].item()) if isinstance(r, FrameEmbeddings) else r.error.kind
        for r in results
    ]


def files(folder: Path, count: int) -> list[VideoRef]:
    """Files whose names are numbers and whose contents differ."""
    for number in range(count):
        (folder / f"{number}").write_bytes(b"%d" % number)
    return refs(folder / f"{number}" for number in range(count))


@pytest.mark.parametrize("ahead", [0, 1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_results_come_in_order_with_failures_in_their_place(batch_size: int, ahead: int) -> None:
    made = engine(FakeBackbone(), batch_size=batch_size, ahead=ahead)
    results = made.embed(refs([1, 2, "x", 4, 5]))
    assert numbers(results) == [1, 2, "not_video", 4, 5]


def test_batches_are_filled_across_videos_and_views() -> None:
    backbone = FakeBackbone()
    list(engine(backbone, batch_size=4, views=3).embed(refs(range(3))))
    assert backbone.frames_seen == [8, 8, 2]  # 9 views of 2 frames, 4 views a pass


@pytest.mark.parametrize("ahead", [0, 1])
def test_views_return_to_their_videos(ahead: int) -> None:
    made = engine(FakeBackbone(), batch_size=2, views=3, ahead=ahead)
    results = list(made.embed(refs([1, 2])))
    assert [tuple(r.values.shape) for r in results if isinstance(r, FrameEmbeddings)] == [
        (3, 2, 8)
    ] * 2
    assert numbers(results) == [1, 2]


@pytest.mark.parametrize(("ahead", "order"), [(0, "s0 t0 s1 t1 s2 t2"), (1, "s0 s1 t0 s2 t1 t2")])
def test_the_next_pass_starts_before_one_is_waited_for_where_a_device_computes_apart(
    ahead: int, order: str
) -> None:
    made, seen = engine(FakeBackbone(), batch_size=2, ahead=ahead), list[str]()
    start = made._passes.start

    def watched(frames: Tensor) -> Callable[[], Tensor]:
        number = sum(step.startswith("s") for step in seen)
        seen.append(f"s{number}")
        values = start(frames)

        def take() -> Tensor:
            seen.append(f"t{number}")
            return values()

        return take

    made._passes.start = watched  # type: ignore[method-assign]
    assert numbers(made.embed(refs(range(6)))) == list(range(6))
    assert " ".join(seen) == order


@pytest.mark.parametrize("ahead", [0, 1])
def test_out_of_memory_halves_the_batch_and_says_so(
    caplog: pytest.LogCaptureFixture, ahead: int
) -> None:
    backbone = FakeBackbone(fits=4)
    results = engine(backbone, batch_size=8, ahead=ahead).embed(refs(range(16)))
    assert numbers(results) == list(range(16))
    assert set(backbone.frames_seen) == {4}
    assert caplog.text.count("out of memory") == 2  # 8 -> 4 -> 2 clips of 2 frames


def test_a_clip_that_never_fits_is_a_resource_error() -> None:
    with pytest.raises(ResourceError, match="one clip does not fit"):
        list(engine(FakeBackbone(fits=1)).embed(refs([1])))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cached_embeddings_are_the_fresh_ones_bit_for_bit(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    videos = files(tmp_path, 5)
    with Cache(tmp_path / "cache") as cache:
        fresh = list(engine(FakeBackbone(dtype=dtype), cache=cache).embed(videos))
        backbone = FakeBackbone(dtype=dtype)
        cached = list(engine(backbone, cache=cache).embed(videos))
    assert backbone.frames_seen == []
    for before, after in zip(fresh, cached, strict=True):
        assert isinstance(before, FrameEmbeddings)
        assert isinstance(after, FrameEmbeddings)
        assert torch.equal(before.values, after.values)
        assert before.values.dtype == after.values.dtype == dtype
        assert (before.cached, after.cached) == (False, True)
        assert replace(after, cached=False, values=before.values) != after
        for name in ("times_s", "start_s", "end_s", "warnings"):
            assert getattr(before, name) == getattr(after, name)


def test_a_copy_of_a_video_under_another_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"same")
    (tmp_path / "2").write_bytes(b"same")
    backbone = FakeBackbone()
    with Cache(tmp_path / "cache") as cache:
        list(engine(backbone, cache=cache).embed(refs([tmp_path / "1"])))
        list(engine(backbone, cache=cache).embed(refs([tmp_path / "2"])))
    assert backbone.frames_seen == [2]


@pytest.mark.parametrize("change", ["trim", "views", "precision", "limits"])
def test_other_conditions_are_not_confused(tmp_path: Path, change: str) -> None:
    videos = files(tmp_path, 1)
    backbone = FakeBackbone()
    with Cache(tmp_path / "cache") as cache:
        list(engine(backbone, cache=cache).embed(videos))
        other = engine(backbone, cache=cache, views=2 if change == "views" else 1)
        if change == "precision":
            other._key_parts["precision"] = "bf16"
        if change == "limits":
            other._key_parts["limits"] = {"max_pixels": 10, "max_duration_s": 1.0}
        trimmed = [replace(videos[0], end_s=2.0)] if change == "trim" else videos
        list(other.embed(trimmed))
    assert len(backbone.frames_seen) == 2


@pytest.mark.parametrize(
    "change", [{"scale_px": 8}, {"antialias": False}, {"resize": "squash"}, {"mean": (0.5,) * 3}]
)
def test_frames_prepared_otherwise_are_not_confused(tmp_path: Path, change: dict[str, Any]) -> None:
    videos = files(tmp_path, 1)
    backbone = FakeBackbone()
    other = FakeBackbone()
    prepared = replace(backbone.spec.preprocessing, **change)
    other.spec = SimpleNamespace(name="fake", context_length=5, preprocessing=prepared)
    with Cache(tmp_path / "cache") as cache:
        list(engine(backbone, cache=cache).embed(videos))
        list(engine(other, cache=cache).embed(videos))
    assert other.frames_seen == [2]


def test_many_cached_videos_do_not_pile_up_behind_one_that_is_not(tmp_path: Path) -> None:
    videos = files(tmp_path, 200)
    taken = 0

    def watched() -> Iterator[VideoRef]:
        nonlocal taken
        for ref in videos:
            taken += 1
            yield ref

    with Cache(tmp_path / "cache") as cache:
        list(engine(FakeBackbone(), cache=cache).embed(videos[1:]))
        stream = engine(FakeBackbone(), cache=cache, batch_size=8).embed(watched())
        assert numbers([next(stream)]) == [0]
        assert taken < 130
        assert len(list(stream)) == 199


@pytest.mark.parametrize(("batch_size", "ahead"), [(64, 0), (64, 1), (1, 1)])
def test_a_batch_that_does_not_fill_is_flushed_when_nothing_comes(
    batch_size: int, ahead: int
) -> None:
    gate = threading.Event()

    def slow() -> Iterator[VideoRef]:
        yield VideoRef("1")
        gate.wait(30)

    stream = engine(FakeBackbone(), batch_size=batch_size, ahead=ahead).embed(slow())
    assert numbers([next(stream)]) == [1]
    gate.set()


def test_text_is_embedded_once_and_found_prompt_by_prompt(tmp_path: Path) -> None:
    backbone = FakeBackbone()
    with Cache(tmp_path) as cache:
        first = embed_text(
            Method(backbone), cache, ("a", "b"), (("x a",), ("x b",)), precision="fp32"
        )
        again = embed_text(
            Method(backbone), cache, ("b", "c"), (("x b",), ("x c",)), precision="fp32"
        )
    assert backbone.prompts_seen == ["x a", "x b", "x c"]
    assert torch.equal(first.values[1], again.values[0])
    assert first.values.shape == (2, 1, 8)


def test_a_prompt_that_was_cut_is_said_again_when_it_comes_from_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = FakeBackbone()
    backbone.cut_prompts = (CutPrompt("a very long prompt", "a very"),)
    with Cache(tmp_path) as cache:
        for said in (0, 1):
            prompts = (("a very long prompt",),)
            embed_text(Method(backbone), cache, ("x",), prompts, precision="fp32")
            assert caplog.text.count('cut (1): "a very"') == said


def test_a_file_that_changes_while_it_is_decoded_is_not_stored(tmp_path: Path) -> None:
    (video,) = files(tmp_path, 1)

    def read_and_replace(ref: VideoRef, *, views: int) -> Clip:
        Path(ref.path).write_bytes(b"something else")
        return read(ref, views=views)

    backbone = FakeBackbone()
    with Cache(tmp_path / "cache") as cache:
        list(engine(backbone, cache=cache, read=read_and_replace).embed([video]))
        Path(video.path).write_bytes(b"0")
        list(engine(backbone, cache=cache).embed([video]))
    assert backbone.frames_seen == [2, 2]
