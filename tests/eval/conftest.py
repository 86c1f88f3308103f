"""A pool of drawn clips, and what the demo model makes of a clip, computed a second way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from actcli.config import LimitsConfig, SamplingConfig
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.types import VideoRef
from actcli.video.clips import read_clip
from actcli.wording import clean_label
from tests.eval.miniature import Pool, draw_pool

Array = NDArray[np.float64]


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return draw_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("eval-cache")
    return {"model": "demo", "workers": 0, "device": "cpu", "cache_dir": str(folder)}


@pytest.fixture(scope="session")
def embed() -> Callable[[str], Array]:
    """Path -> [T, D], by decoder and tower alone."""
    backbone = OpenClipBackbone(find_backbone("demo"))
    known: dict[str, Array] = {}

    def of(path: str) -> Array:
        if path not in known:
            clip = read_clip(VideoRef(path), SamplingConfig(), backbone.spec.preprocessing,
                             LimitsConfig())  # fmt: skip
            with torch.inference_mode():
                known[path] = backbone.encode_frames(torch.from_numpy(clip.frames[0])).numpy()
        return known[path].astype(np.float64)

    return of


@pytest.fixture(scope="session")
def scores_of(embed: Callable[[str], Array]) -> Callable[[str, list[str]], Array]:
    """Path and labels -> softmax over the labels, in plain NumPy."""
    backbone = OpenClipBackbone(find_backbone("demo"))

    def unit(x: Array) -> Array:
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    def of(path: str, labels: list[str]) -> Array:
        with torch.inference_mode():
            text = backbone.encode_text([f"a video of {clean_label(name)}" for name in labels])
            scale = float(backbone.logit_scale.exp())
        words = unit(text.numpy().astype(np.float64))
        logits = scale * unit(unit(embed(path)).mean(0)) @ words.T
        odds = np.exp(logits - logits.max())
        return np.asarray(odds / odds.sum())

    return of
