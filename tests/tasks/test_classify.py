"""The classify task: the same scores whatever the batches, the workers, the order or the cache."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import actcli
from actcli.config import ClassifyConfig, with_options
from actcli.data.labels import LabelSet
from actcli.demo.clips import write_clip
from actcli.errors import ResourceError, UsageError, VideoError
from actcli.tasks.classify import Classification
from actcli.types import Failure, Prediction, VideoRef

LABELS = ("run", "jump", "wave", "squat", "bow")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"{label}.mp4" for label in LABELS]
    for number, path in enumerate(paths):
        write_clip(path, path.stem, seed=500 + number)
    return [str(path) for path in paths]


def scores(results: list[Prediction | Failure]) -> list[dict[str, tuple[float, float | None]]]:
    return [
        {s.label: (s.score, s.similarity) for s in r.ranked}
        for r in results
        if isinstance(r, Prediction)
    ]


def classify(videos: Any, **options: Any) -> list[Prediction | Failure]:
    options = {"model": "demo", "use_cache": False, "workers": 0, "device": "cpu"} | options
    return actcli.classify(videos, LABELS, **options)


@pytest.fixture(scope="session")
def expected(clips: list[str]) -> list[dict[str, tuple[float, float | None]]]:
    return scores(classify(clips, batch_size=1))


def assert_close(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for label, (score, similarity) in other.items():
            assert one[label][0] == pytest.approx(score, abs=1e-4)
            assert one[label][1] == pytest.approx(similarity, abs=1e-5)


@pytest.mark.parametrize(
    ("batch_size", "workers"), [*itertools.product((1, 7, 64), (0, 2)), (7, 1)]
)
def test_scores_do_not_depend_on_batches_or_workers(
    clips: list[str], expected: list[Any], batch_size: int, workers: int
) -> None:
    assert_close(scores(classify(clips, batch_size=batch_size, workers=workers)), expected)


def test_scores_from_the_cache_are_the_same_bits(clips: list[str], tmp_path: Path) -> None:
    options = {"use_cache": True, "cache_dir": str(tmp_path), "batch_size": 3}
    fresh = classify(clips, **options)
    cached = classify(clips, **options)
    assert scores(fresh) == scores(cached)
    assert [r.cached for r in cached if isinstance(r, Prediction)] == [True] * len(clips)


def test_permuting_labels_permutes_scores(clips: list[str], expected: list[Any]) -> None:
    options: dict[str, Any] = {"model": "demo", "use_cache": False, "workers": 0}
    results = actcli.classify(clips, LABELS[::-1], **options)
    assert_close(scores(results), expected)


def test_the_best_label_is_the_one_that_was_drawn(clips: list[str]) -> None:
    assert [r.label for r in classify(clips) if isinstance(r, Prediction)] == list(LABELS)


def test_one_label_has_score_one(clips: list[str]) -> None:
    (result,) = actcli.classify(clips[0], ["run"], model="demo", use_cache=False, workers=0)
    assert isinstance(result, Prediction)
    assert result.score == 1.0


def test_top_limits_the_labels_and_keeps_the_best(clips: list[str], expected: list[Any]) -> None:
    (result,) = classify(clips[0], top=2)
    assert isinstance(result, Prediction)
    assert [s.label for s in result.ranked] == sorted(
        expected[0], key=lambda label: -expected[0][label][0]
    )[:2]


def test_views_are_averaged_and_all_their_times_are_told(clips: list[str]) -> None:
    (result,) = classify(clips[0], num_views=3, num_frames=4)
    assert isinstance(result, Prediction)
    assert 8 <= len(result.frames_s) <= 12
    assert sum(s.score for s in result.ranked) == pytest.approx(1, abs=1e-9)


def test_labels_may_be_one_text(clips: list[str]) -> None:
    (result,) = actcli.classify(clips[2], "run, wave", model="demo", use_cache=False, workers=0)
    assert isinstance(result, Prediction)
    assert result.label == "wave"


def test_bf16_agrees_with_fp32(clips: list[str], expected: list[Any]) -> None:
    results = scores(classify(clips, precision="bf16"))
    for one, other in zip(results, expected, strict=True):
        for label, (_, similarity) in other.items():
            assert one[label][1] == pytest.approx(similarity, abs=0.02)


def test_an_unknown_option_is_a_usage_error_with_the_close_name(clips: list[str]) -> None:
    with pytest.raises(UsageError, match="num_frame: unknown option") as caught:
        classify(clips, num_frame=4)
    assert "num_frames" in (caught.value.hint or "")


def test_a_bad_value_names_the_flag() -> None:
    with pytest.raises(UsageError, match=r"--frames: .*got 0"):
        with_options(ClassifyConfig(), {"num_frames": 0})


def test_stop_raises_the_first_failure(clips: list[str]) -> None:
    with pytest.raises(VideoError):
        classify([clips[0], "missing.mp4", clips[1]], on_error="stop")


def test_a_stream_yields_before_its_input_ends(clips: list[str]) -> None:
    taken = []

    def refs() -> Any:
        for path in itertools.cycle(clips):
            taken.append(path)
            yield VideoRef(path)

    config = with_options(
        ClassifyConfig(), {"model": "demo", "use_cache": False, "workers": 0, "batch_size": 2}
    )
    stream = Classification(LabelSet.from_names(LABELS), config).stream(refs())
    assert next(stream).ok
    assert len(taken) < 20
    stream.close()  # type: ignore[attr-defined]


def test_the_fingerprint_follows_what_decides_scores() -> None:
    def fingerprint(labels: tuple[str, ...] = LABELS, **options: Any) -> str:
        config = with_options(ClassifyConfig(), {"model": "demo", "use_cache": False} | options)
        return Classification(LabelSet.from_names(labels), config).fingerprint

    same = fingerprint()
    assert fingerprint(batch_size=3, workers=5, top=2) == same
    others = [
        fingerprint(LABELS[::-1]), fingerprint(num_frames=4), fingerprint(templates=("a {}",)),
    ]  # fmt: skip
    assert len({same, *others}) == 4


CACHED = """
import sys, actcli
results = actcli.classify(sys.argv[2:], {labels!r}, model="demo", cache_dir=sys.argv[1], workers=1)
print(all(r.cached for r in results), "open_clip" in sys.modules, "torchvision" in sys.modules)
"""


def test_a_cached_run_never_imports_open_clip(clips: list[str], tmp_path: Path) -> None:
    classify(clips, use_cache=True, cache_dir=str(tmp_path))
    words = [sys.executable, "-c", CACHED.format(labels=LABELS), str(tmp_path), *clips]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def test_videos_out_of_the_cache_start_no_worker(
    clips: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"model": "demo", "device": "cpu", "cache_dir": str(tmp_path)}
    os.utime(clips[0], (1_600_000_000, 1_600_000_000))
    (fresh,) = actcli.classify([clips[0]], ["run", "jump"], workers=1, **given)

    def refuse(*_: object) -> None:
        raise AssertionError("starts a worker")

    monkeypatch.setattr("actcli.video.pool.DecodePool.start", refuse)
    (again,) = actcli.classify([clips[0]], ["run", "jump"], workers=1, **given)
    assert isinstance(fresh, Prediction)
    assert isinstance(again, Prediction)
    assert (again.cached, again.ranked) == (True, fresh.ranked)


@pytest.fixture
def nvdec_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that decodes, or so it seems."""
    monkeypatch.setattr("actcli.video.nvdec.require", lambda: None)


def test_nvdec_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ResourceError, match="torchcodec is not installed"):
        classify(["none.mp4"], decode="nvdec")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"window_s": 2.0}, "in windows"), ({"sandbox": "require", "workers": 1}, "locked in")],
)
def test_nvdec_is_refused_with_what_it_can_not_do(
    nvdec_is_there: None, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        classify(["none.mp4"], decode="nvdec", **options)


@pytest.mark.parametrize("workers", [0, 1])
def test_where_the_gpu_does_not_decode_each_record_says_so(
    nvdec_is_there: None, clips: list[str], expected: list[Any], workers: int
) -> None:
    found = classify(clips, decode="nvdec", workers=workers)
    assert_close(scores(found), expected)
    for one in found:
        assert any("decoded by the CPU (torchcodec" in warning for warning in one.warnings)
