"""Embed and classify by a table: the same scores as of the videos, refused where they can't be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actcli.config import ClassifyConfig, with_options
from actcli.data.labels import LabelSet
from actcli.demo.clips import write_clip
from actcli.errors import ModelError, UsageError
from actcli.models.scores import order_of
from actcli.tables.info import TableInfo
from actcli.tables.reading import TableRows, open_table
from actcli.tables.rows import Row
from actcli.tables.tensor_file import TensorWriter
from actcli.tasks.batch_scoring import best_of
from actcli.tasks.classify import stream
from actcli.tasks.embed import EmbedConfig, Embedding, pooled_video
from actcli.tasks.fewshot import fewshot
from actcli.tasks.table_classification import TableClassification, rows_of_batch
from actcli.types import Failure, Prediction, VideoRef

LABELS = ("run", "jump", "wave", "squat", "bow")
OPTIONS: dict[str, Any] = {"model": "demo", "workers": 0, "device": "cpu"}
Result = Prediction | Failure


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRef]:
    folder = tmp_path_factory.mktemp("clips")
    for number, label in enumerate(LABELS[:3]):
        write_clip(folder / f"{label}.mp4", label, seed=500 + number)
    (folder / "bad.mp4").write_text("no video")
    names = ("run", "bad", "jump", "wave")
    refs = [VideoRef(str(folder / f"{name}.mp4")) for name in names]
    return [*refs, replace(refs[0], start_s=0.5, end_s=1.25, id="trimmed", label="run")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"cache_dir": str(tmp_path_factory.mktemp("cache"))}


def embed(path: Path, clips: list[VideoRef], **options: Any) -> str:
    task = Embedding(with_options(EmbedConfig(), OPTIONS | options))
    with task.start(clips) as running:
        writer = TensorWriter(path / "t.safetensors", running.info, running.find_shape)
        for row in running.rows(clips):
            writer.write(row)
        writer.finish()
    return str(path / "t.safetensors")


def by_table(table: str, num_rows: int | None = None, **options: Any) -> list[Result]:
    rows = TableRows(open_table(table))
    config = with_options(ClassifyConfig(), OPTIONS | options)
    task = TableClassification(rows, LabelSet.from_names(LABELS), config)
    rows.num_rows = num_rows or rows.num_rows
    return list(task.stream(rows.refs()))


def assert_same(found: list[Result], expected: list[Result]) -> None:
    assert [type(one) for one in found] == [type(one) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.ref == other.ref
        if isinstance(one, Prediction) and isinstance(other, Prediction):
            for told, true in zip(one.ranked, other.ranked, strict=True):
                assert told.label == true.label
                assert told.score == pytest.approx(true.score, abs=1e-5)
                assert told.similarity == pytest.approx(true.similarity, abs=1e-5)
            assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
            same = {"ranked": (), "cached": True, "confidence": None}
            assert replace(one, **same) == replace(other, **same)


@pytest.mark.parametrize("num_rows", [1, 2, None])
@pytest.mark.parametrize(
    "options",
    [{}, {"num_views": 3}, {"window_s": 0.5, "window_stride_s": 0.25, "num_views": 2}],
    ids=["whole", "views", "windows"],
)
def test_a_table_gives_the_results_of_its_videos(
    clips: list[VideoRef], cache: Any, tmp_path: Path, options: Any, num_rows: int | None
) -> None:
    expected = list(stream(clips, LABELS, **OPTIONS, **options, **cache))
    table = embed(tmp_path, clips, **options, **cache)
    assert_same(by_table(table, num_rows, **cache), expected)


def test_segments_of_a_table_are_those_of_its_videos(
    clips: list[VideoRef], cache: Any, tmp_path: Path
) -> None:
    options = {"window_s": 0.5, "window_stride_s": 0.25}
    expected = list(stream(clips, LABELS, **OPTIONS, **options, **cache, segments=True))
    table = embed(tmp_path, clips, **options, **cache)
    assert_same(by_table(table, **cache, **options, segments=True), expected)


def test_frames_are_explained_from_a_table(
    clips: list[VideoRef], cache: Any, tmp_path: Path
) -> None:
    (first, *_) = by_table(embed(tmp_path, clips, **cache), explain=True, **cache)
    assert isinstance(first, Prediction)
    assert len(first.ranked[0].frame_similarity or ()) == len(first.frames_s)


def test_one_view_pooled_scores_as_its_frames(
    clips: list[VideoRef], cache: Any, tmp_path: Path
) -> None:
    expected = list(stream(clips, LABELS, **OPTIONS, **cache))
    table = embed(tmp_path, clips, pool=True, **cache)
    assert open_table(table).info.shape == (1, 1, 128)
    assert_same(by_table(table, **cache), expected)


@pytest.mark.parametrize("asked_of_scores", [{"multi_label": True}, {"reject": True}])
def test_what_is_decided_of_videos_is_decided_of_rows(
    clips: list[VideoRef], cache: Any, tmp_path: Path, asked_of_scores: Any
) -> None:
    expected = list(stream(clips, LABELS, **OPTIONS, **cache, **asked_of_scores))
    table = embed(tmp_path, clips, **cache)
    assert_same(by_table(table, **cache, **asked_of_scores), expected)


def test_a_few_shot_file_reads_a_table(clips: list[VideoRef], cache: Any, tmp_path: Path) -> None:
    model = str(tmp_path / "moves.safetensors")
    support = [replace(ref, label=Path(ref.path).stem) for ref in (clips[0], clips[2])]
    fewshot([], support, save=model, **OPTIONS, **cache)
    options = {"model": model, **cache}
    rows = TableRows(open_table(embed(tmp_path, clips, **options)))
    task = TableClassification(rows, None, with_options(ClassifyConfig(), OPTIONS | options))
    expected = list(stream(clips, None, **OPTIONS | options))
    assert_same(list(task.stream(rows.refs())), expected)


def test_pooling_gives_the_direction_of_all_views() -> None:
    values = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    views = [sum(f / f.norm() for f in view) for view in values]
    mean = sum(v / v.norm() for v in views)  # type: ignore[union-attr]
    assert isinstance(mean, torch.Tensor)
    torch.testing.assert_close(pooled_video(values), (mean / mean.norm())[None, None])


def test_float16_moves_scores_by_little(clips: list[VideoRef], cache: Any, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    exact = by_table(embed(tmp_path, clips, **cache), **cache)
    half = by_table(embed(tmp_path / "half", clips, dtype="float16", **cache), **cache)
    for one, other in zip(exact, half, strict=True):
        if isinstance(one, Prediction) and isinstance(other, Prediction):
            assert one.score == pytest.approx(other.score, abs=0.01)
            assert one.score != other.score


def test_contents_are_told_of_files_that_did_not_change(
    clips: list[VideoRef], cache: Any, tmp_path: Path
) -> None:
    import hashlib

    task = Embedding(with_options(EmbedConfig(), OPTIONS | cache))
    with task.start(clips) as running:
        (row,) = running.rows(clips[:1])
    assert isinstance(row, Row)
    assert row.content == hashlib.sha256(Path(clips[0].path).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_frames": 4}, "--frames"),
        ({"num_views": 2}, "--views"),
        ({"stride_s": 0.1}, "--stride"),
        ({"window_s": 1.0}, "--window"),
    ],
)
def test_settings_that_are_not_those_of_the_table_are_refused(
    clips: list[VideoRef], cache: Any, tmp_path: Path, options: Any, said: str
) -> None:
    table = embed(tmp_path, clips[:1], **cache)
    with pytest.raises(UsageError, match=said):
        by_table(table, **options, **cache)


def relabelled(path: str, tmp_path: Path, **more: Any) -> str:
    """The same rows under other conditions."""
    table = open_table(path)
    (batch,) = table.batches(10)
    info = replace(table.info, **more)
    writer = TensorWriter(tmp_path / "other.safetensors", info, lambda: info.shape)
    times = tuple(batch.frames_s[0])
    writer.write(Row(batch.refs[0], batch.values[0], times, *batch.spans[0]))
    writer.finish()
    return str(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"model_digest": "0" * 64}, ModelError, "weights are others"),
        ({"embed_key": "0" * 64, "method": "motion-prompts"}, ModelError, "motion-prompts"),
        ({"transform": {"size_px": 1}}, ModelError, "resized otherwise"),
    ],
)
def test_embeddings_that_do_not_compare_are_refused(
    clips: list[VideoRef], cache: Any, tmp_path: Path, more: Any, error: Any, said: str
) -> None:
    table = relabelled(embed(tmp_path, clips[:1], **cache), tmp_path, **more)
    with pytest.raises(error, match=said):
        by_table(table, **cache)


def test_the_words_are_embedded_in_the_precision_of_the_table(
    clips: list[VideoRef], cache: Any, tmp_path: Path
) -> None:
    expected = list(stream(clips, LABELS, **OPTIONS, **cache, precision="bf16"))
    table = embed(tmp_path, clips, precision="bf16", **cache)
    assert_same(by_table(table, **cache), expected)


def test_another_precision_is_told(
    clips: list[VideoRef], cache: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = embed(tmp_path, clips[:1], **cache)
    by_table(table, precision="bf16", **cache)
    assert "made in fp32, the words are embedded in bf16" in caplog.text


def test_a_pooled_table_has_no_frames_to_explain_or_to_match(
    clips: list[VideoRef], cache: Any, tmp_path: Path
) -> None:
    table = embed(tmp_path, clips[:1], pool=True, **cache)
    with pytest.raises(UsageError, match="--explain"):
        by_table(table, explain=True, **cache)
    with pytest.raises(UsageError, match="--pool"):
        Embedding(with_options(EmbedConfig(), {"model": "demo-fewshot", "pool": True}))


def test_the_quick_order_is_the_stable_one() -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 4, (200, 7), generator=random).double() / 4
    for top in (1, 3, 7):
        expected = torch.stack([order_of(row)[:top] for row in scores])
        assert torch.equal(best_of(scores, top), expected)


def test_scores_that_are_no_numbers_are_an_error_of_the_model() -> None:
    with pytest.raises(ModelError, match="not numbers"):
        best_of(torch.tensor([[0.5, 0.5], [float("nan"), 1.0]], dtype=torch.float64), 1)


@pytest.mark.parametrize("shape", [(1, 1, 512), (1, 8, 512), (30, 8, 1024), (1, 256, 1024)])
def test_what_is_scored_at_once_is_bounded(shape: tuple[int, int, int]) -> None:
    info = TableInfo("m", "d", "clip", "k", "fp32", {}, {}, shape=shape)
    count = rows_of_batch(info, 400)
    assert count == 1 or count * np.prod(shape) * 24 <= 32 << 20


def test_results_come_while_rows_still_do(
    clips: list[VideoRef], cache: Any, tmp_path: Path
) -> None:
    rows = TableRows(open_table(embed(tmp_path, clips, **cache)))
    task = TableClassification(
        rows, LabelSet.from_names(LABELS), with_options(ClassifyConfig(), OPTIONS | cache)
    )
    rows.num_rows = 1
    asked: list[str] = []

    def watched() -> Iterator[VideoRef]:
        for ref in rows.refs():
            asked.append(ref.id)
            yield ref

    next(task.stream(watched()))
    assert len(asked) == 2
