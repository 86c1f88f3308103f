"""A Ray cluster gives the records of this machine; what is missing is said in one line."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from actcli.config import ClassifyConfig, LimitsConfig, SamplingConfig, with_options
from actcli.demo.clips import write_clip
from actcli.engine_ray import RayEngine, _check_address, _connect, _translated
from actcli.engine_spec import EngineSpec
from actcli.errors import ModelError, ResourceError
from actcli.tasks.pipeline import Pipeline
from actcli.types import Clip, Failure, FrameEmbeddings, Preprocessing, VideoRef
from actcli.video.worker import ClipReader
from tests.test_engine_processes import classify, comparable


def needs_ray(test: Any) -> Any:
    missing = importlib.util.find_spec("ray") is None
    test = pytest.mark.skipif(missing, reason="Ray is not installed")(test)
    return pytest.mark.ray(pytest.mark.filterwarnings("ignore")(test))


class RayError(Exception):
    """As those of the library: what was raised there is its cause."""

    def __init__(self, cause: Exception | None) -> None:
        super().__init__("task failed\n\nlast line")
        self.cause = cause


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ResourceError, match="Ray is not installed") as caught:
        _connect(None)
    assert caught.value.hint == 'pip install "actcli[ray]"'


@pytest.mark.parametrize(
    "address", ["127.0.0.1:{free}", "ray://127.0.0.1:{free}", "nowhere", "a:b"]
)
def test_no_cluster_at_the_address_is_said_at_once(address: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free = taken.getsockname()[1]
        with pytest.raises(ResourceError, match="no cluster answers"):
            _check_address(address.format(free=free))


def test_what_our_code_says_on_the_cluster_is_said_here() -> None:
    said = ModelError("demo: its weights on node-3 are others")
    assert _translated(RayError(RayError(said))) is said
    assert "last line" in str(_translated(RayError(None)))


@dataclass(frozen=True)
class Poisoned:
    """Reads clips as the demo wants them, and dies of one that is named so."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    clip_bytes: int = 1 << 20

    def __call__(self, ref: VideoRef) -> Clip:
        if ref.path == "poison":
            os.kill(os.getpid(), signal.SIGSEGV)
        how = Preprocessing(64, resize="squash")
        return ClipReader(self.sampling, how, self.limits)(ref)


def demo_clip(folder: Path, label: str, seed: int) -> str:
    write_clip(folder / f"{label}.mp4", label, seed=seed)
    return str(folder / f"{label}.mp4")


@needs_ray
def test_the_records_are_those_of_this_machine(tmp_path: Path) -> None:
    videos = [demo_clip(tmp_path, label, n) for n, label in enumerate(("run", "jump", "wave"))]
    videos.insert(1, "none.mp4")
    there = comparable(classify(videos, backend="ray"))
    assert there == comparable(classify(videos, workers=0))


@needs_ray
def test_a_clip_that_kills_its_decoder_costs_itself(tmp_path: Path) -> None:
    config = with_options(ClassifyConfig(), {"model": "demo", "use_cache": False})
    plan = Pipeline(config).plan
    spec = EngineSpec(plan.build, Poisoned(), None, 1, 1, None)  # type: ignore[arg-type]
    refs = [VideoRef(demo_clip(tmp_path, label, 1)) for label in ("run", "jump")]
    refs.insert(1, VideoRef("poison"))
    with RayEngine(spec, None) as engine:
        found = list(engine.embed(refs))
    assert [result.ref for result in found] == refs
    assert isinstance(found[1], Failure)
    assert found[1].error.kind == "crashed"
    assert isinstance(found[0], FrameEmbeddings)
    assert isinstance(found[2], FrameEmbeddings)
