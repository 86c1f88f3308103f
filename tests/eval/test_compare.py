"""Two results side by side: conditions, numbers, and whether the difference is chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from actcli.config_train import EvalConfig
from actcli.data.labels import LabelSet
from actcli.errors import InputError
from actcli.eval.compare import compare, exact_sign_test, read_result
from actcli.eval.metrics import Outcome, measure
from actcli.eval.plan import EpisodeRule, Part, Plan
from actcli.eval.result import Coverage, EpisodeResult, EvalResult, PartResult
from actcli.metrics import mean_interval
from actcli.render.evaluation import eval_record
from actcli.types import Run, VideoRef

LABELS = LabelSet(("run", "jump"))
REFS = tuple(VideoRef(f"{i}.mp4", label=LABELS[i % 2]) for i in range(40))


def run(model: str, **config: Any) -> Run:
    stated = EvalConfig(**config).model_dump(mode="json")
    return Run("eval", stated, {"actcli": "0"}, model, "d" * 64, model, ("run",), (), "cpu", "fp32",
               0, "now")  # fmt: skip


def of_videos(path: Path, wrong: set[int], model: str = "demo", **given: Any) -> str:
    config = given.pop("config", {})
    part = Part("all", REFS, LABELS)
    outcomes = tuple(Outcome(ref.id, i % 2, (i + (i in wrong)) % 2, int(i in wrong), 0.8)
                     for i, ref in enumerate(REFS))  # fmt: skip
    plan = Plan(**({"protocol": "custom", "version": 1, "dataset": "x", "parts": (part,)} | given))
    found = PartResult("all", LABELS.names, part.digest(), measure(outcomes, 2), outcomes)
    result = EvalResult(plan, (found,), None, Coverage(40), run(model, **config))
    path.write_text(json.dumps(eval_record(result)))
    return str(path)


def of_episodes(path: Path, shares: list[float], seed: int = 0) -> str:
    part = Part("all", REFS, LABELS)
    plan = Plan("few-shot", 1, "x", (part,), episodes=EpisodeRule(2, 1, 1, len(shares), seed))
    found = EpisodeResult(LABELS.names, part.digest(), tuple(shares), len(shares))
    result = EvalResult(plan, (), found, Coverage(40), run("demo"))
    path.write_text(json.dumps(eval_record(result)))
    return str(path)


def test_conditions_that_differ_are_named_and_others_not(tmp_path: Path) -> None:
    a = of_videos(tmp_path / "a.json", set())
    b = of_videos(tmp_path / "b.json", {0}, "other", config={"templates": ("{} it",)})
    found = compare(a, b)
    assert {name: (one, other) for name, one, other in found.conditions} == {
        "model": ("demo", "other"), "fingerprint": ("demo", "other"),
        "templates": (["a video of {}"], ["{} it"]),
    }  # fmt: skip
    numbers = {name: (one, other) for name, one, other in found.numbers}
    assert numbers["top1"] == (1.0, 0.975)
    assert found.coverage == ("40 of 40 clips", "40 of 40 clips")


def test_videos_are_compared_in_pairs(tmp_path: Path) -> None:
    a = of_videos(tmp_path / "a.json", set(range(12)))
    b = of_videos(tmp_path / "b.json", {0, 1, 30})
    (test,) = compare(a, b).tests
    assert (test.kind, test.count, test.better_a, test.better_b) == ("mcnemar", 40, 1, 10)
    assert test.difference == pytest.approx(9 / 40)
    assert test.p == pytest.approx(binomtest(1, 11).pvalue, rel=1e-9)


@pytest.mark.parametrize("counts", [(0, 0), (0, 1), (3, 3), (5, 20), (400, 460), (9000, 9400)])
def test_the_sign_test_is_that_of_scipy(counts: tuple[int, int]) -> None:
    expected = binomtest(counts[0], sum(counts)).pvalue if sum(counts) else 1.0
    assert exact_sign_test(*counts) == pytest.approx(expected, rel=1e-6)


def test_episodes_are_compared_in_pairs_and_the_interval_agrees_with_a_bootstrap(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 6, 2000) / 5
    other = np.clip(one + rng.integers(-1, 3, 2000) / 5, 0, 1)
    a, b = of_episodes(tmp_path / "a", list(one)), of_episodes(tmp_path / "b", list(other))
    (test,) = compare(a, b).tests
    assert test.kind == "paired"
    assert test.difference == pytest.approx((other - one).mean(), abs=1e-9)
    assert test.p < 1e-6
    means = [rng.choice(one, 2000).mean() for _ in range(2000)]
    low, high = np.percentile(means, [2.5, 97.5])
    mean, half = mean_interval(list(one))
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=0.002)


def test_other_episodes_are_no_pairs(tmp_path: Path) -> None:
    a = of_episodes(tmp_path / "a", [1.0, 0.0])
    b = of_episodes(tmp_path / "b", [1.0, 0.0], seed=1)
    found = compare(a, b)
    assert found.tests == ()
    assert [name for name, *_ in found.conditions] == ["episodes.seed"]


def test_results_of_other_versions_and_protocols_do_not_compare(tmp_path: Path) -> None:
    a = of_videos(tmp_path / "a.json", set())
    for given, said in [
        ({"version": 2}, r"protocol: custom/1 and custom/2"),
        ({"protocol": "closed-set"}, r"protocol: custom/1 and closed-set/1"),
        ({"dataset": "y", "parts": (Part("all", REFS[:2], LABELS),)}, r"dataset: x and y"),
    ]:
        b = of_videos(tmp_path / "b.json", set(), **given)
        with pytest.raises(InputError, match=said):
            compare(a, b)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "got schema None"),
        ('{"schema": "actcli.prediction/1"}', "got schema 'actcli.prediction/1'"),
        ('{"schema": "actcli.eval/2"}', "of another version of the format"),
        ('{"schema": "actcli.eval/1"}', "damaged"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_files_that_are_no_results_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_result(str(tmp_path / "a.json"))
    with pytest.raises(InputError, match="cannot be read"):
        read_result(str(tmp_path / "nothing.json"))


@pytest.mark.parametrize("key", ["conditions", "headlines", "coverage", "parts", "episodes"])
@pytest.mark.parametrize("value", [3, "x", [None], {"x": 1}, [{"metric": "top1", "value": "0.5"}]])
def test_damaged_results_are_named(tmp_path: Path, key: str, value: object) -> None:
    a = of_videos(tmp_path / "a.json", set())
    record = json.loads(Path(a).read_text())
    (tmp_path / "b.json").write_text(json.dumps(record | {key: value}))
    with pytest.raises(InputError, match=r"b\.json: damaged"):
        compare(a, str(tmp_path / "b.json"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e308", "-1", '"0.5"', "true"])
def test_numbers_that_are_no_shares_are_damage(tmp_path: Path, number: str) -> None:
    a = of_episodes(tmp_path / "a.json", [1.0, 0.5])
    text = Path(a).read_text().replace("[1.0, 0.5]", f"[{number}, 0.5]")
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(InputError, match=r"b\.json: damaged"):
        compare(a, str(tmp_path / "b.json"))


def test_clips_of_another_root_and_of_another_spelling_are_pairs(tmp_path: Path) -> None:
    a = of_videos(tmp_path / "a.json", {1, 2, 3})
    text = Path(of_videos(tmp_path / "b.json", {1})).read_text()
    moved = "".join((text, ""))
    for i in range(40):
        moved = moved.replace(f'["{i}.mp4",', f'["/data/{i}.mp4",')
    moved = moved.replace('"dataset": "x"', '"dataset": "./x"')
    (tmp_path / "b.json").write_text(moved)
    (test,) = compare(a, str(tmp_path / "b.json")).tests
    assert (test.count, test.better_a, test.better_b) == (40, 0, 2)


def test_episodes_that_repeat_others_do_not_narrow_the_interval() -> None:
    shares = tuple(float(i % 2) for i in range(100))
    once = EpisodeResult(("a",), "d", shares, 100)
    often = EpisodeResult(("a",), "d", shares * 4, 100)
    assert once.half_width == pytest.approx(often.half_width, rel=0.01)
    assert EpisodeResult(("a",), "d", (1.0,), 1).half_width is None
