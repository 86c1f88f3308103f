import pytest

from actcli.errors import VideoError
from actcli.types import Failure, Prediction, Run, ScoredLabel, VideoRef


def make_prediction(path="a.mp4", labels=("run", "jump"), **options):
    ranked = tuple(ScoredLabel(label, 0.83 / (i + 1), 0.27) for i, label in enumerate(labels))
    values = {
        "ref": VideoRef(path),
        "ranked": ranked,
        "score_kind": "softmax",
        "method": "clip",
        "model": "demo",
        "start_s": 0.0,
        "end_s": 4.2,
        "frames_s": (0.26, 0.79),
    }
    return Prediction(**{**values, **options})


def make_failure(path="bad.mp4", message="no video stream (found 1 audio stream)", **ref):
    error = VideoError("not_video", f"{path}: {message}", hint="ffprobe bad.mp4")
    return Failure(VideoRef(path, **ref), error, "clip", "demo")


def make_run(**changes):
    values = {
        "command": "classify",
        "config": {"sampling": {"num_frames": 8}, "run": {"device": "cpu"}, "top": 5},
        "versions": {"actcli": "0.1.0"},
        "model": "demo",
        "model_digest": "abc",
        "fingerprint": "f1",
        "labels": ("run", "jump"),
        "prompts": (("a video of run",), ("a video of jump",)),
        "device": "cpu",
        "precision": "fp32",
        "seed": 0,
        "started": "2026-01-01T00:00:00+00:00",
    }
    return Run(**{**values, **changes})


@pytest.fixture
def prediction():
    return make_prediction


@pytest.fixture
def failure():
    return make_failure


@pytest.fixture
def run():
    return make_run
