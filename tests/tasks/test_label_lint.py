"""Labels looked at by what a model reads of them and makes of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from actcli.config import ClassifyConfig, with_options
from actcli.data.label_lint import LabelEntry, read_entries
from actcli.errors import ModelError
from actcli.tasks.label_lint import ModelLint, judge_sample, lint_sample
from actcli.types import VideoRef


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no model was downloaded."""
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "hub"))


def lint(*lines: str, **options: Any) -> ModelLint:
    config = with_options(ClassifyConfig(), {"model": "demo", "use_cache": False} | options)
    return ModelLint(read_entries(lines), config, 0.95)


def test_labels_that_are_one_text_to_the_model_come_together() -> None:
    found = lint("raise arms", "run", "raising both arms", "lower arms").findings()
    assert [(f.kind, [e.name for e in f.entries]) for f in found] == [
        ("same-meaning", ["raise arms", "raising both arms", "lower arms"])
    ]
    assert found[0].value is not None
    assert found[0].value >= 0.95


def test_words_that_the_demo_model_never_saw_are_told_and_compared_with_nothing() -> None:
    found = lint("bake bread", "milk cow", "run").findings()
    assert [(f.kind, f.entries[0].name) for f in found] == [
        ("unknown-words", "bake bread"), ("unknown-words", "milk cow")
    ]  # fmt: skip


def test_a_prompt_longer_than_the_model_reads_is_told_with_what_is_read() -> None:
    found = lint("run " * 30).findings()
    assert [f.kind for f in found] == ["long-prompt"]
    assert "demo reads 24 tokens" in found[0].message


@pytest.mark.usefixtures("no_models")
def test_a_model_that_is_not_here_skips_what_needs_it_and_says_how_to_get_it() -> None:
    checks = lint("run", "running", "walk slowly " * 50, model="ViT-B-32/openai")
    assert [f.kind for f in checks.findings()] == ["long-prompt"]
    assert len(checks.skipped) == 1
    assert "actcli models pull ViT-B-32/openai" in checks.skipped[0]


@pytest.mark.usefixtures("no_models")
def test_a_sample_needs_a_model() -> None:
    config = with_options(ClassifyConfig(), {"model": "ViT-B-32/openai"})
    with pytest.raises(ModelError, match="not downloaded"):
        lint_sample(read_entries(["run", "jump"]), config, [VideoRef("a.mp4")])


def judge(num_labels: int, num_clips: int, **wins: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Labels a, b, c, …, the first five of which are always among the top five."""
    entries = [LabelEntry(chr(97 + i), i + 1) for i in range(num_labels)]
    liked = Counter({entry.name: num_clips for entry in entries[:5]})
    found, skipped = judge_sample(entries, Counter(wins), liked, num_clips, 5)
    return [(one.kind, one.entries[0].name) for one in found], skipped


def test_labels_that_no_clip_likes_are_told() -> None:
    assert judge(7, 20, a=8, b=12 - 8) == ([("never-liked", "f"), ("never-liked", "g")], [])


def test_a_label_that_wins_everything_is_told() -> None:
    assert judge(5, 20, a=11) == ([("wins-everything", "a")], [])


def test_a_small_sample_says_so_instead_of_telling_labels() -> None:
    found, skipped = judge(20, 5, a=5)
    assert found == []
    assert "5 clips are too few for 20 labels (expected at least 12)" in skipped[0]
