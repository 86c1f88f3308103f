"""The same results on a CUDA device as on the CPU, and the ways that only such a device has."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

import actcli
from actcli.config import LimitsConfig, SamplingConfig
from actcli.demo.clips import write_clip
from actcli.passes import Passes
from actcli.types import Prediction, Preprocessing, VideoRef
from actcli.video.clips import read_clip

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
LABELS = ("run", "jump", "wave", "squat", "bow")
SMALL = Preprocessing(64)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    for number, label in enumerate(LABELS * 4):
        write_clip(folder / f"{number:02d}.mp4", label, seed=700 + number)
    return sorted(map(str, folder.iterdir()))


def classify(clips: list[str], **options: Any) -> list[Prediction]:
    found = actcli.classify(clips, LABELS, model="demo", use_cache=False, **options)
    assert all(isinstance(one, Prediction) for one in found)
    return found  # type: ignore[return-value]


def similarities(found: list[Prediction]) -> list[list[float]]:
    return [
        [s.similarity or 0.0 for s in sorted(one.ranked, key=lambda s: s.label)] for one in found
    ]


def test_scores_in_fp32_are_those_of_the_cpu(clips: list[str]) -> None:
    cpu = classify(clips, device="cpu", precision="fp32")
    gpu = classify(clips, device="cuda", precision="fp32", batch_size=3)
    assert np.allclose(similarities(cpu), similarities(gpu), atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close(clips: list[str], precision: str) -> None:
    cpu = classify(clips, device="cpu", precision="fp32")
    gpu = classify(clips, device="cuda", precision=precision, batch_size=3)
    assert np.allclose(similarities(cpu), similarities(gpu), atol=0.02)


def test_values_of_passes_under_way_are_those_of_each() -> None:
    factor = torch.arange(1.0, 9.0, device="cuda")

    def compute(frames: torch.Tensor) -> torch.Tensor:
        return frames.float().mean((2, 3, 4))[..., None] * factor  # [n, T, 8]

    passes = Passes(compute, torch.device("cuda"), clip_frames=2, batch_size=4)
    assert passes.ahead == 1
    batches = [np.full((4, 2, 3, 64, 64), number, np.uint8) for number in range(50)]
    packed = [passes.pack(list(batch)) for batch in batches]
    assert all(one.is_pinned() for one in packed)
    under_way = [passes.start(one) for one in packed]
    del packed  # memory that a copy still reads must not be given to another
    for number, values in enumerate(under_way):
        assert torch.equal(values(), number * factor.cpu().expand(4, 2, 8))


def test_a_batch_that_does_not_fit_is_halved() -> None:
    free, _ = torch.cuda.mem_get_info()
    passes = Passes(
        lambda frames: torch.zeros(len(frames) * (free // 2), dtype=torch.uint8, device="cuda")
        .view(len(frames), -1)[:, :8, None]
        .float(),
        torch.device("cuda"), clip_frames=1, batch_size=8,
    )  # fmt: skip
    frames = torch.zeros(8, 1, 3, 8, 8, dtype=torch.uint8)
    assert passes.start(frames)().shape == (8, 8, 1)
    assert passes.batch_size < 4


@pytest.mark.skipif(
    importlib.util.find_spec("torchcodec") is None, reason="torchcodec is not installed"
)
def test_frames_of_the_hardware_decoder_are_ours(clips: list[str]) -> None:
    for path in clips[:5]:
        exact, gpu = (
            read_clip(VideoRef(path), SamplingConfig(decode=how), SMALL, LimitsConfig())
            for how in ("exact", "nvdec")
        )
        assert gpu.warnings == ()
        assert np.array_equal(exact.times_s, gpu.times_s)
        assert np.abs(exact.frames.astype(int) - gpu.frames).mean() < 2


@pytest.mark.skipif(
    importlib.util.find_spec("torchcodec") is None, reason="torchcodec is not installed"
)
def test_workers_decode_on_the_gpu(clips: list[str]) -> None:
    cpu = classify(clips, device="cuda", precision="fp32")
    gpu = classify(clips, device="cuda", precision="fp32", decode="nvdec", workers=2)
    assert all(one.warnings == () for one in gpu)
    assert np.allclose(similarities(cpu), similarities(gpu), atol=0.02)
