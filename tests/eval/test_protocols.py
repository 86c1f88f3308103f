"""Every protocol on a miniature of each dataset; numbers computed a second way, in plain NumPy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from actcli.config import with_options
from actcli.config_train import EvalConfig
from actcli.data.episodes import EpisodeSampler, EpisodeShape
from actcli.errors import ActcliError, InputError, ManifestError, UsageError
from actcli.eval.plan import Request
from actcli.eval.protocols import PROTOCOLS, make_plan
from actcli.eval.result import EvalResult
from actcli.tasks.evaluate import Evaluation
from tests.eval import miniature
from tests.eval.miniature import Pool

Scores = Callable[[str, list[str]], NDArray[np.float64]]
Embed = Callable[[str], NDArray[np.float64]]


def request(source: str, root: Path | None = None, **given: Any) -> Request:
    more = {name: given.pop(name, None) for name in ("lists", "split")}
    config = with_options(EvalConfig(), given)
    top, lists = (None if path is None else str(path) for path in (root, more["lists"]))
    return Request(source, config, top, lists, more["split"])


def run(options: dict[str, Any], source: str, root: Path | None = None, **given: Any) -> EvalResult:
    (*_, result) = Evaluation(request(source, root, **(options | given))).stream()
    assert isinstance(result, EvalResult)
    return result


def right_by_hand(scores_of: Scores, rows: list[tuple[str, str]], labels: list[str]) -> int:
    """How many (path, label) rows the demo model gets right."""
    return sum(labels[int(scores_of(path, labels).argmax())] == label for path, label in rows)


def ucf_rows(root: Path, split: int) -> list[tuple[str, str]]:
    words = {"JumpingJack": "jumping jack", "Punch": "punch", "YoYo": "yo yo",
             "HandstandWalking": "handstand walking"}  # fmt: skip
    lines = (root / f"ucfTrainTestlist/testlist0{split}.txt").read_text().split()
    return [(str(root / "UCF-101" / line), words[line.split("/")[0]]) for line in lines]


def test_zero_shot_is_the_mean_over_three_splits_with_its_deviation(
    tmp_path: Path, pool: Pool, options: dict[str, Any], scores_of: Scores
) -> None:
    root = miniature.ucf101(tmp_path, pool)
    result = run(options, "ucf101", root, unofficial=True)
    labels = list(result.parts[0].labels)
    assert labels == ["handstand walking", "jumping jack", "punch", "yo yo"]
    shares = []
    for split, part in enumerate(result.parts, start=1):
        rows = ucf_rows(root, split)
        right = right_by_hand(scores_of, rows, labels)
        assert (part.measures.top1.count, part.measures.top1.total) == (right, 8)
        shares.append(right / 8)
        of_class = [np.mean([right_by_hand(scores_of, [row], labels) for row in rows
                             if row[1] == label]) for label in labels]  # fmt: skip
        assert part.measures.mean_class == pytest.approx(np.mean(of_class), abs=1e-12)
    headline = result.headlines[0]
    assert headline.value == pytest.approx(np.mean(shares), abs=1e-12)
    assert headline.spread == pytest.approx(np.std(shares, ddof=1), abs=1e-12)
    assert str(result.coverage) == "24 of 24 clips"
    assert (result.plan.protocol, result.plan.version, result.plan.official) == (
        "zero-shot", 1, False)  # fmt: skip


def test_published_practice_of_zero_shot_is_the_first_split_alone(
    tmp_path: Path, pool: Pool, options: dict[str, Any]
) -> None:
    root = miniature.ucf101(tmp_path, pool)
    result = run(options, "ucf101", root, unofficial=True, practice="published")
    assert [part.name for part in result.parts] == ["split 1"]
    sampler = "published practice: frames by the sampler of actionclip"
    assert result.warnings[:2] == ("the first split alone", sampler)
    assert result.conditions()["practice"] == "published"
    assert result.conditions()["sampling"]["scheme"] == "actionclip"


def test_hmdb51_is_read_with_names_of_any_characters(
    tmp_path: Path, pool: Pool, options: dict[str, Any], scores_of: Scores
) -> None:
    root = miniature.hmdb51(tmp_path, pool)
    result = run(options, "hmdb51", root, protocol="closed-set", unofficial=True)
    labels = ["jump", "ride bike", "run", "wave"]
    assert [list(part.labels) for part in result.parts] == [labels] * 3
    for split, part in enumerate(result.parts):
        rows = [
            (str(path), "ride bike" if label == "ride_bike" else label)
            for label in miniature.HMDB
            for i, path in enumerate(sorted((root / "hmdb51_org" / label).iterdir()))
            if i in (split, split + 3)
        ]
        assert part.measures.top1.count == right_by_hand(scores_of, rows, labels)
        assert part.measures.top1.total == 8


def test_closed_set_of_kinetics_tells_what_is_missing_or_corrupt(
    tmp_path: Path, pool: Pool, options: dict[str, Any], scores_of: Scores
) -> None:
    root = miniature.kinetics400(tmp_path, pool)
    with pytest.raises(InputError, match=r"7 of 8 clips can be used \(87\.5%, expected 99%\)"):
        run(options, "kinetics400", root, unofficial=True)
    result = run(options, "kinetics400", root, unofficial=True, allow_missing=True)
    assert str(result.coverage) == "6 of 8 clips"
    kinds = {os.path.basename(one.ref.id)[:7]: one.error.kind for one in result.coverage.failures}
    assert kinds == {"not_the": "not_found", "corrupt": "not_video"}
    (part,) = result.parts
    rows = [(str(p), p.parent.name) for p in sorted((root / "val").rglob("*.mp4"))
            if "corrupt" not in p.name]  # fmt: skip
    labels = ["clapping", "jogging", "squat"]
    assert list(part.labels) == labels
    assert part.measures.top1.count == right_by_hand(scores_of, rows, labels)


def test_coverage_that_falls_while_decoding_is_refused_too(
    tmp_path: Path, pool: Pool, options: dict[str, Any]
) -> None:
    root = miniature.kinetics400(tmp_path, pool)
    with pytest.raises(InputError, match=r"6 of 8 clips can be used"):
        run(options, "kinetics400", root, unofficial=True, min_coverage=0.8)


def test_published_practice_of_closed_set_drops_the_last_batch(
    tmp_path: Path, pool: Pool, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actcli.eval.protocols.PUBLISHED_BATCH", 4)
    root = miniature.ssv2(tmp_path, pool)
    result = run(options, "ssv2", root, unofficial=True, practice="published")
    assert result.parts[0].measures.top1.total == 4
    assert "without the last 2 videos" in result.warnings[0]


@pytest.mark.parametrize("views", [(1, 1), (2, 1), (2, 3)])
def test_ssv2_has_its_names_and_views_are_averaged(
    tmp_path: Path, pool: Pool, options: dict[str, Any], scores_of: Scores, views: tuple[int, int]
) -> None:
    root = miniature.ssv2(tmp_path, pool)
    result = run(options, "ssv2", root, unofficial=True, num_views=views[0], num_crops=views[1])
    (part,) = result.parts
    assert list(part.labels) == ["Holding something", "Pushing something from left to right",
                                 "Throwing something"]  # fmt: skip
    assert part.measures.top1.total == 6
    if views == (1, 1):
        names = {str(i): t for i, t in zip(range(112, 118), [x for x in part.labels for _ in "ab"],
                                           strict=True)}  # fmt: skip
        videos = root / "20bn-something-something-v2"
        rows = [(str(videos / f"{i}.webm"), t) for i, t in names.items()]
        assert part.measures.top1.count == right_by_hand(scores_of, rows, list(part.labels))


def test_kinetics600_is_measured_on_its_published_draws(
    tmp_path: Path, pool: Pool, options: dict[str, Any], scores_of: Scores
) -> None:
    root = miniature.kinetics600(tmp_path, pool)
    with pytest.raises(InputError, match=r"the published draws of 160 classes are needed"):
        make_plan(request("k600", root, unofficial=True))
    with pytest.raises(InputError, match=r"split1\.csv: is no published draw \(got 2 classes, "):
        make_plan(request("kinetics600", root, lists=root / "draws"))
    result = run(options, "kinetics600", root, lists=root / "draws", unofficial=True)
    assert [part.name for part in result.parts] == ["split1.csv", "split2.csv", "split3.csv"]
    for part in result.parts:
        labels = list(part.labels)
        rows = [(str(p), p.parent.name) for p in sorted((root / "val").rglob("*.mp4"))
                if p.parent.name in labels]  # fmt: skip
        assert part.measures.top1.count == right_by_hand(scores_of, rows, labels)
        assert part.measures.top1.total == 4


def test_ep1_takes_draws_of_all_videos_and_ep2_all_of_them(
    tmp_path: Path, pool: Pool, options: dict[str, Any], scores_of: Scores
) -> None:
    root = miniature.ucf101(tmp_path, pool)
    (tmp_path / "draws").mkdir()
    (tmp_path / "draws/1.txt").write_text("YoYo\nPunch\n")
    all_rows = [row for split in (1, 2, 3) for row in ucf_rows(root, split)]  # disjoint here
    one = run(options, "ucf101", root, protocol="zero-shot-ep1", lists=root / "draws",
              unofficial=True)  # fmt: skip
    two = run(options, "ucf101", root, protocol="zero-shot-ep2", unofficial=True)
    for result, labels, count in (
        (one, ["yo yo", "punch"], 12),
        (two, ["handstand walking", "jumping jack", "punch", "yo yo"], 24),
    ):
        (part,) = result.parts
        rows = [row for row in all_rows if row[1] in labels]
        assert list(part.labels) == labels
        assert part.measures.top1.total == len(rows) == count
        assert part.measures.top1.count == right_by_hand(scores_of, rows, labels)


def test_base_to_novel_is_quoted_by_its_harmonic_mean(
    tmp_path: Path, pool: Pool, options: dict[str, Any], scores_of: Scores
) -> None:
    root = miniature.hmdb51(tmp_path / "data", pool)
    (tmp_path / "lists").mkdir()
    given: dict[str, Any] = {"protocol": "base-to-novel", "lists": tmp_path / "lists"}
    (given["lists"] / "hmdb_51_base_labels.csv").write_text("id,name\n0,jump\n1,run\n")
    with pytest.raises(InputError, match="one list of novel classes is needed"):
        make_plan(request("hmdb51", root, unofficial=True, **given))
    (given["lists"] / "hmdb_51_novel_labels.csv").write_text("id,name\n0,wave\n1,run\n")
    with pytest.raises(InputError, match='"run" are base and novel at once'):
        make_plan(request("hmdb51", root, unofficial=True, **given))
    (given["lists"] / "hmdb_51_novel_labels.csv").write_text("id,name\n0,wave\n1,ride_bike\n")
    result = run(options, "hmdb51", root, unofficial=True, **given)
    shares = []
    for names, part in zip((["jump", "run"], ["wave", "ride bike"]), result.parts, strict=True):
        rows = [
            (str(path), name)
            for name in names
            for i, path in enumerate(
                sorted((root / "hmdb51_org" / name.replace(" ", "_")).iterdir())
            )
            if i in (0, 3)
        ]
        assert part.measures.top1.count == right_by_hand(scores_of, rows, names)
        shares.append(part.measures.top1.value)
    expected = 2 * shares[0] * shares[1] / (sum(shares) or 1)
    assert result.headlines[0].value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["kinetics100", "ssv2_small", "hmdb51", "ucf101", "ssv2_full"])
def test_episodes_of_published_splits_agree_with_numpy(
    tmp_path: Path, pool: Pool, options: dict[str, Any], embed: Embed, name: str
) -> None:
    root = miniature.few_shot(tmp_path, pool, name)
    result = run(options | {"options": {"matcher": "mean", "text_weight": 0.0}}, name, root,
                 protocol="few-shot", unofficial=True, allow_missing=True, way=3, queries=2,
                 episodes=200)  # fmt: skip
    found, part = result.episodes, result.plan.parts[0]
    assert found is not None
    there = [ref for ref in part.refs if os.path.exists(ref.path)]
    assert len(there) == 12
    targets = [part.labels.index(ref.label or "") for ref in there]
    values = np.stack([embed(ref.path) for ref in there])
    unit = values / np.linalg.norm(values, axis=-1, keepdims=True)
    shares = []
    for one in EpisodeSampler(targets, EpisodeShape(3, 1, 2), seed=0).first(200):
        guesses = []
        for query in one.query:
            pooled = unit[query].mean(0)
            near = [float(np.dot(pooled, unit[s].mean(0)) / np.linalg.norm(pooled)
                          / np.linalg.norm(unit[s].mean(0))) for s in one.support]  # fmt: skip
            guesses.append(one.support_targets[int(np.argmax(near))])
        shares.append(np.mean(np.array(guesses) == np.array(one.query_targets)))
    assert found.mean == pytest.approx(np.mean(shares), abs=1e-6)
    assert 1 < found.distinct <= 200
    expected = 1.96 * np.std(shares, ddof=1) / found.distinct**0.5
    assert found.half_width == pytest.approx(expected, rel=1e-3)


def test_published_practice_of_few_shot_counts_each_episode_four_times(
    tmp_path: Path, pool: Pool, options: dict[str, Any]
) -> None:
    root = miniature.few_shot(tmp_path, pool, "kinetics100")
    result = run(options, "kinetics100", root, unofficial=True, allow_missing=True, way=3,
                 episodes=100, practice="published")  # fmt: skip
    assert result.episodes is not None
    assert (len(result.episodes.shares), result.episodes.repeats) == (25, 4)
    sampling = result.conditions()["sampling"]
    assert (sampling["scheme"], sampling["rate"]) == ("clip-fsar", 35)


def test_all_way_tells_classes_by_examples_of_the_training_list(
    tmp_path: Path, pool: Pool, options: dict[str, Any], embed: Embed
) -> None:
    root = miniature.ucf101(tmp_path, pool)
    result = run(options | {"options": {"matcher": "mean", "text_weight": 0.0}}, "ucf101", root,
                 protocol="all-way", shots=(1, 3), unofficial=True)  # fmt: skip
    assert [part.name for part in result.parts] == ["K = 1", "K = 3"]
    for part, plan in zip(result.parts, result.plan.parts, strict=True):
        labels = list(part.labels)
        prototypes = []
        for label in labels:
            own = np.stack([embed(ref.path) for ref in plan.support if ref.label == label])
            frames = (own / np.linalg.norm(own, axis=-1, keepdims=True)).mean(0)
            prototypes.append(frames)
        assert len(plan.support) == 4 * int(part.name[-1])
        right = 0
        for ref in plan.refs:
            query = embed(ref.path)
            pooled = (query / np.linalg.norm(query, axis=-1, keepdims=True)).mean(0)
            near = []
            for frames in prototypes:
                mean = (frames / np.linalg.norm(frames, axis=-1, keepdims=True)).mean(0)
                near.append(pooled @ mean / np.linalg.norm(pooled) / np.linalg.norm(mean))
            right += labels[int(np.argmax(near))] == ref.label
        assert part.measures.top1.count == right
    few, more = (set(part.support) for part in result.plan.parts)
    assert few < more


def test_a_list_of_ones_own_is_measured_against_its_labels(
    tmp_path: Path, pool: Pool, options: dict[str, Any], scores_of: Scores
) -> None:
    rows = [("jump", 0), ("jump", 1), ("run", 0), ("wave", 2)]
    lines = ["path,label", *(f"{pool.clip(a, i)},{a}" for a, i in rows)]
    (tmp_path / "val.csv").write_text("\n".join(lines))
    result = run(options, str(tmp_path / "val.csv"))
    labels = ["jump", "run", "wave"]
    by_hand = right_by_hand(scores_of, [(str(pool.clip(a, i)), a) for a, i in rows], labels)
    assert result.parts[0].measures.top1.count == by_hand
    assert (result.plan.protocol, result.plan.official) == ("custom", False)
    assert result.parts[0].measures.top5 is None


def test_a_second_protocol_over_the_same_videos_decodes_nothing(
    tmp_path: Path, pool: Pool, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = miniature.ucf101(tmp_path, pool)
    first = run(options, "ucf101", root, unofficial=True)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decodes again")

    monkeypatch.setattr("actcli.video.clips.read_clip", refuse)
    again = run(options, "ucf101", root, unofficial=True)
    assert again.headlines == first.headlines
    assert run(options, "ucf101", root, protocol="closed-set", unofficial=True).parts


@pytest.mark.parametrize(
    ("source", "given", "error", "said"),
    [
        ("ucf101", {}, UsageError, "where are its videos"),
        ("ucf", {"protocol": "zero-short"}, UsageError, "zero-short: unknown"),
        ("ssv2", {"protocol": "zero-shot"}, UsageError, "is of ucf101, hmdb51, kinetics600"),
        ("nothere.csv", {}, InputError, "neither a dataset nor a list or folder"),
        ("ucf101", {"shots": (4, 2)}, UsageError, "not rising numbers"),
        ("ssv2_full", {"part": "val"}, UsageError, "names of its val classes were never published"),
    ],
)
def test_requests_that_make_no_plan_are_refused(
    tmp_path: Path, source: str, given: dict[str, Any], error: type[ActcliError], said: str
) -> None:
    with pytest.raises(error, match=said):
        make_plan(request(source, tmp_path if given.get("part") else None, **given))


def test_wrong_roots_and_half_datasets_are_named_with_counts(tmp_path: Path, pool: Pool) -> None:
    root = miniature.ucf101(tmp_path / "ucf", pool)
    with pytest.raises(InputError, match=r"--root .*nowhere: no such folder"):
        make_plan(request("ucf101", tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"official list of test1 is not in .* two folders below"):
        make_plan(request("ucf101", root / "UCF-101"))
    with pytest.raises(ManifestError, match=r"has 4 classes \(expected the 101 of ucf101"):
        make_plan(request("ucf101", root))
    with pytest.raises(InputError, match=r"19 of 21 classes have no folder: "):
        make_plan(request("ucf101", root, protocol="few-shot"))
    (root / "ucfTrainTestlist/testlist01.txt").write_text("JumpingJack/v_YoYo_g01_c01.avi 3\n")
    (root / "ucfTrainTestlist/classInd.txt").write_text("1 Punch\n3 YoYo\n")
    with pytest.raises(ManifestError, match="the folder and the class number differ"):
        make_plan(request("ucf101", root, unofficial=True))


def test_none_of_the_videos_there_is_told_before_a_model_is_looked_for(
    tmp_path: Path, pool: Pool
) -> None:
    root = miniature.ucf101(tmp_path, pool)
    (root / "UCF-101").rename(root / "elsewhere")
    with pytest.raises(InputError, match="none of the 24 videos is there"):
        Evaluation(request("ucf101", root, model="no-such-model", unofficial=True))


def test_every_protocol_says_what_it_is() -> None:
    assert all(one.about and one.version >= 1 and one.datasets for one in PROTOCOLS.values())
    cards = (Path(__file__).parents[2] / "docs/protocols.md").read_text()
    for name, one in PROTOCOLS.items():
        assert f"## `{name}/{one.version}`" in cards


def test_examples_that_are_tested_as_well_are_all_in_their_prototypes_and_said(
    tmp_path: Path, pool: Pool, options: dict[str, Any], embed: Embed
) -> None:
    rows = [f"{pool.clip(a, i)},{a},train" for a in ("jump", "run") for i in range(4)]
    rows += [f"{pool.clip(a, i)},{a},test" for a in ("jump", "run") for i in (3, 4, 5)]
    (tmp_path / "all.csv").write_text("path,label,split\n" + "\n".join(rows))
    result = run(options | {"options": {"matcher": "mean", "text_weight": 0.0}},
                 str(tmp_path / "all.csv"), protocol="all-way", shots=(4,))  # fmt: skip
    assert "K = 4: 2 of its clips are examples as well" in result.warnings
    (part,) = result.parts
    prototypes = []
    for action in ("jump", "run"):
        own = np.stack([embed(str(pool.clip(action, i))) for i in range(4)])
        mean = (own / np.linalg.norm(own, axis=-1, keepdims=True)).mean(0)
        prototypes.append((mean / np.linalg.norm(mean, axis=-1, keepdims=True)).mean(0))
    for outcome in part.outcomes:
        query = embed(outcome.input)
        pooled = (query / np.linalg.norm(query, axis=-1, keepdims=True)).mean(0)
        near = [pooled @ one / np.linalg.norm(one) for one in prototypes]
        assert int(np.argmax(near)) == outcome.guess


def test_examples_that_could_not_be_read_are_said(
    tmp_path: Path, pool: Pool, options: dict[str, Any]
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 3000)
    rows = [f"{pool.clip(a, i)},{a},train" for a in ("jump", "run") for i in range(2)]
    rows += [f"{tmp_path}/bad.mp4,run,train", f"{pool.clip('jump', 2)},jump,train"]
    rows += [f"{pool.clip(a, 5)},{a},test" for a in ("jump", "run")]
    (tmp_path / "all.csv").write_text("path,label,split\n" + "\n".join(rows))
    result = run(options, str(tmp_path / "all.csv"), protocol="all-way", shots=(3,),
                 allow_missing=True)  # fmt: skip
    assert 'K = 3: fewer examples could be read of "run 2"' in result.warnings


@pytest.mark.parametrize(
    ("source", "given", "said"),
    [
        ("ucf101", {"split": "test1"}, "--split: says nothing to zero-shot of ucf101"),
        ("hmdb51", {"split": "test2", "protocol": "all-way"}, "--split: says nothing"),
        ("kinetics400", {"split": "test"}, "--split test: kinetics400 has val and train"),
        ("ssv2", {"split": "test1", "protocol": "closed-set"}, "--split test1: ssv2 has"),
    ],
)
def test_choices_that_a_protocol_would_pass_over_are_refused(
    tmp_path: Path, source: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        make_plan(request(source, tmp_path, **given))


def test_too_few_clips_for_episodes_are_told_before_anything_is_embedded(
    tmp_path: Path, pool: Pool, options: dict[str, Any]
) -> None:
    root = miniature.few_shot(tmp_path, pool, "kinetics100")
    given = options | {"unofficial": True, "allow_missing": True, "way": 3, "shot": 3}
    with pytest.raises(UsageError, match="too few clips for 3 shots and 1 query"):
        Evaluation(request("kinetics100", root, **given))


def test_repeated_episodes_and_classes_without_a_folder_are_said(
    tmp_path: Path, pool: Pool, options: dict[str, Any]
) -> None:
    root = miniature.few_shot(tmp_path, pool, "hmdb51")
    one = run(options, "hmdb51", root, unofficial=True, protocol="few-shot", way=2, episodes=1000)
    assert one.episodes is not None
    assert one.episodes.distinct < 1000
    assert any("different episodes of the 1,000" in said for said in one.warnings)
    assert any(said.startswith("without 6 classes that have no folder") for said in one.warnings)


def test_predictions_given_as_a_list_are_sent_to_truth(tmp_path: Path) -> None:
    (tmp_path / "preds.jsonl").write_text('{"schema":"actcli.prediction/1","input":"a"}\n')
    with pytest.raises(UsageError, match="holds predictions") as caught:
        make_plan(request(str(tmp_path / "preds.jsonl")))
    assert "--truth LIST" in str(caught.value.hint)
