"""The few-shot task: in one step or from a file, the same scores; examples that can't be used."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import actcli
from actcli.checkpoint import find_checkpoint, read_checkpoint, read_info
from actcli.config import FewShotConfig, with_options
from actcli.data.labels import LabelSet
from actcli.demo.clips import write_clip
from actcli.errors import InputError, ManifestError, ModelError, UsageError
from actcli.eval.report import SupportReport
from actcli.tasks.examples import Change, read_support
from actcli.tasks.fewshot import FewShot
from actcli.types import Failure, Prediction, VideoRef
from tests.tasks.heads import save_head

LABELS = ("push-up", "lunge", "climb")
OPTIONS: dict[str, Any] = {"model": "demo", "workers": 0, "device": "cpu"}


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of three clips, and for each a query, in support/ and query/."""
    root = tmp_path_factory.mktemp("fewshot")
    for c, label in enumerate(LABELS):
        for split, count, seed in (("support", 3, 1000), ("query", 1, 1005)):
            folder = root / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                write_clip(folder / f"{split}_{i}.mp4", label, seed=seed + 10 * c + i)
    return root


@pytest.fixture(autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "fewshot-cache"
    monkeypatch.setitem(OPTIONS, "cache_dir", str(folder))


def queries(examples: Path) -> list[VideoRef]:
    return [VideoRef(str(examples / "query" / label / "query_0.mp4")) for label in LABELS]


def run(
    support: Path | list[VideoRef], refs: list[VideoRef], change: Change | None = None,
    names: LabelSet | None = None, **options: Any,
) -> tuple[SupportReport, list[Prediction | Failure]]:  # fmt: skip
    given = support if isinstance(support, list) else read_support(str(support))
    config = with_options(FewShotConfig(), OPTIONS | options)
    report, *rest = FewShot(given, config, change, names=names).stream(refs)
    assert isinstance(report, SupportReport)
    return report, [r for r in rest if isinstance(r, Prediction | Failure)]


def scores(results: list[Any]) -> list[dict[str, float]]:
    return [{s.label: s.score for s in result.ranked} for result in results]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(scores(found), scores(expected), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_queries_get_the_label_of_their_examples(examples: Path) -> None:
    report, results = run(examples / "support", queries(examples))
    assert [r.label for r in results] == list(LABELS)  # type: ignore[union-attr]
    assert report.counts == dict.fromkeys(LABELS, 3)
    assert report.labels == tuple(sorted(LABELS))
    (first, *_) = results
    assert isinstance(first, Prediction)
    assert sum(s.score for s in first.ranked) == pytest.approx(1)
    assert all(-1 <= (s.similarity or -9) <= 1 for s in first.ranked)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"matcher": "mean", "text_weight": 0.4},
        {"matcher": "diag", "num_frames": 5, "num_views": 2},
    ],
)
def test_a_saved_file_gives_the_same_scores(
    examples: Path, tmp_path: Path, options: dict[str, Any]
) -> None:  # fmt: skip
    file = tmp_path / "moves.safetensors"
    _, expected = run(examples / "support", queries(examples), Change(save=str(file)), **options)
    again = actcli.classify(queries(examples), **(OPTIONS | {"model": str(file)}))
    assert_same(again, expected)
    assert {r.model for r in again} == {str(file)}


def test_a_compact_file_gives_the_same_scores_and_keeps_no_clips(
    examples: Path, tmp_path: Path
) -> None:
    whole, small = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    _, expected = run(examples / "support", queries(examples), Change(save=str(whole)))
    run(examples / "support", [], Change(save=str(small), compact=True))
    assert_same(actcli.classify(queries(examples), **(OPTIONS | {"model": str(small)})), expected)
    assert small.stat().st_size < whole.stat().st_size
    assert "support.values" not in read_checkpoint(small)[1]
    with pytest.raises(ModelError, match="its classes can't be changed"):
        run(examples / "support", [], Change(update=True, append=True), model=str(small))


def test_a_saved_file_holds_what_it_is_made_of(examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    run(examples / "support", [], Change(save=str(file)), num_frames=6)
    info, tensors = read_checkpoint(file)
    assert (info.method, info.sampling.num_frames, info.precision) == ("clip", 6, "fp32")
    assert info.backbone.name == "demo"
    assert tensors["support.values"].shape == (9, 6, 128)
    assert tensors["support.values"].dtype == torch.float32
    assert tensors["text.values"].shape == (3, 1, 128)
    assert info.prompts[0] == ("a video of climb",)
    assert info.support is not None
    assert len({clip.sha256 for clip in info.support}) == 9


def test_classes_can_be_chosen_from_a_file(examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    run(examples / "support", [], Change(save=str(file)))
    options = OPTIONS | {"model": str(file)}
    (result,) = actcli.classify(queries(examples)[0], ["lunge", "push_up"], **options)
    assert isinstance(result, Prediction)
    assert [s.label for s in result.ranked] == ["push-up", "lunge"]
    with pytest.raises(UsageError, match='"jump" not among the 3 classes'):
        actcli.classify(queries(examples)[0], ["lunge", "jump"], **options)


def test_classes_are_added_replaced_appended_and_dropped(examples: Path, tmp_path: Path) -> None:
    file, all_of = tmp_path / "moves.safetensors", list(read_support(str(examples / "support")))
    two = [ref for ref in all_of if ref.label != "lunge"]
    lunges = [ref for ref in all_of if ref.label == "lunge"]
    _, expected = run(all_of, queries(examples))

    def change(support: list[VideoRef], **how: Any) -> SupportReport:
        return run(support, [], Change(update=True, save=str(file), **how), model=str(file))[0]

    run(two, [], Change(save=str(file)))
    assert change(lunges[:1]).changed == {"added": ("lunge",)}
    assert change(lunges).changed == {"replaced": ("lunge",)}
    # Nothing but the order of the classes differs from making it at once.
    assert_same(actcli.classify(queries(examples), **(OPTIONS | {"model": str(file)})), expected)
    parts = [replace(ref, label="LUNGE", end_s=1.0) for ref in lunges[:2]]
    doubled = change(parts, append=True)
    assert doubled.changed == {"appended to": ("lunge",)}
    assert doubled.counts["lunge"] == 5
    assert [pair.same_file for pair in doubled.twins] == [True, True]
    again = change([*parts, replace(lunges[0], end_s=0.5)], append=True)
    assert again.changed == {
        "there already": tuple(ref.id for ref in parts), "appended to": ("lunge",),
    }  # fmt: skip
    assert again.counts["lunge"] == 6
    assert change([], drop=("lunge",)).labels == ("climb", "push-up")
    assert read_info(file).labels == ("climb", "push-up")


def test_a_trained_head_is_saved_along(examples: Path, tmp_path: Path) -> None:
    head, file = save_head(tmp_path / "head.safetensors"), tmp_path / "moves.safetensors"
    options = {"model": str(head)}
    _, expected = run(examples / "support", queries(examples), Change(save=str(file)), **options)
    assert_same(actcli.classify(queries(examples), **(OPTIONS | {"model": str(file)})), expected)
    assert {r.method for r in expected} == {"clip-fsar"}
    with pytest.raises(ModelError, match="needs examples to compare with"):
        actcli.classify(queries(examples), ["a", "b"], **(OPTIONS | options))
    with pytest.raises(UsageError, match=r"--matcher: .* trained for otam"):
        run(examples / "support", [], model=str(head), matcher="mean")


def test_a_trained_heads_scores_are_those_of_its_method(examples: Path, tmp_path: Path) -> None:
    head = save_head(tmp_path / "head.safetensors", text_weight=0.9)
    report, results = run(examples / "support", queries(examples), model=str(head))
    assert report.text_weight == 0.9
    plain, _ = run(examples / "support", [], model=str(head), text_weight=0.0)
    assert plain.text_weight == 0.0
    assert all(isinstance(r, Prediction) for r in results)


def test_words_may_come_with_their_own_prompts(examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    names = LabelSet.from_lines(["lunge\trunning", "push-up"])
    run(examples / "support", [], Change(save=str(file)), names)
    prompts = dict(zip(read_info(file).labels, read_info(file).prompts, strict=True))
    assert prompts["lunge"] == ("running",)
    assert prompts["push-up"] == ("a video of push up",)


def test_a_query_among_the_examples_is_said_by_content(examples: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other name.mp4"
    shutil.copyfile(examples / "support/lunge/support_0.mp4", copy)
    _, (same, other) = run(examples / "support", [VideoRef(str(copy)), queries(examples)[0]])
    assert isinstance(same, Prediction)
    assert 'is also an example of "lunge"' in same.warnings[0]
    assert isinstance(other, Prediction)
    assert other.warnings == ()


def test_another_part_of_an_example_is_no_example(examples: Path) -> None:
    clip = str(examples / "support/lunge/support_0.mp4")
    support = [replace(ref, end_s=0.7) if ref.path == clip else ref
               for ref in read_support(str(examples / "support"))]  # fmt: skip
    _, (part, whole) = run(support, [VideoRef(clip, 0.8, None), VideoRef(clip)])
    assert isinstance(part, Prediction)
    assert part.warnings == ()
    assert isinstance(whole, Prediction)
    assert whole.warnings


def test_a_clip_that_cannot_be_read_is_left_out_and_named(examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "support"
    shutil.copytree(examples / "support", folder)
    (folder / "lunge/support_1.mp4").write_text("no video")
    report, results = run(folder, queries(examples))
    assert [failure.ref.path for failure in report.failures] == [
        str(folder / "lunge/support_1.mp4")
    ]
    assert report.counts["lunge"] == 2
    assert all(r.ok for r in results)


def test_a_class_without_a_readable_clip_ends_it_and_nothing_is_saved(
    examples: Path, tmp_path: Path
) -> None:
    folder, file = tmp_path / "support", tmp_path / "moves.safetensors"
    shutil.copytree(examples / "support", folder)
    for clip in (folder / "lunge").iterdir():
        clip.write_text("no video")
    file.write_text("precious")
    with pytest.raises(InputError, match='a class has no example that can be read: "lunge"'):
        run(folder, [], Change(save=str(file)))
    assert file.read_text() == "precious"


def test_an_empty_class_folder_is_refused(examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "support"
    shutil.copytree(examples / "support", folder)
    (folder / "squat").mkdir()
    with pytest.raises(InputError, match='no videos for "squat"'):
        read_support(str(folder))


def test_one_class_is_no_choice(examples: Path) -> None:
    refs = [ref for ref in read_support(str(examples / "support")) if ref.label == "lunge"]
    with pytest.raises(UsageError, match='one class is no choice \\(got "lunge"'):
        run(refs, [])


def test_labels_that_read_alike_are_refused(examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "support"
    shutil.copytree(examples / "support", folder)
    shutil.copytree(folder / "push-up", folder / "Push_up")
    with pytest.raises((UsageError, ManifestError), match="Push_up"):
        run(list(read_support(str(folder))), [])


def test_a_few_shot_file_is_no_model_for_other_examples(examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    run(examples / "support", [], Change(save=str(file)))
    with pytest.raises(UsageError, match="has examples of its own"):
        run(examples / "support", [], model=str(file))


def test_another_backbone_is_refused(examples: Path, tmp_path: Path) -> None:
    from actcli.models.backbone import find_backbone

    file, other = tmp_path / "moves.safetensors", tmp_path / "other"
    run(examples / "support", [], Change(save=str(file)))
    shutil.copytree(find_backbone("demo").folder, other)
    same = actcli.classify(
        queries(examples), **(OPTIONS | {"model": str(file), "backbone": f"local-dir:{other}"})
    )
    assert all(r.ok for r in same)  # the same bytes elsewhere are the same backbone
    weights = other / "open_clip_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="made with another backbone"):
        actcli.classify(
            queries(examples), **(OPTIONS | {"model": str(file), "backbone": f"local-dir:{other}"})
        )


def test_examples_of_one_frame_work(examples: Path) -> None:
    _, results = run(examples / "support", queries(examples), num_frames=1)
    assert all(r.ok for r in results)


def test_from_python_in_one_line(examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    paths = [ref.path for ref in queries(examples)]
    results = actcli.fewshot(paths, examples / "support", save=file, **OPTIONS)
    assert [r.label for r in results] == list(LABELS)  # type: ignore[union-attr]
    assert file.is_file()


def test_a_list_with_splits_gives_its_support_rows(examples: Path, tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for split in ("query", "support"):
        rows += [f"{p},{p.parent.name},{split}" for p in sorted((examples / split).glob("*/*"))]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    found = read_support(str(tmp_path / "list.csv"))
    assert len(found) == 9
    assert all("support" in ref.path for ref in found)
    other = (tmp_path / "list.csv").read_text().replace(",support", ",b").replace(",query", ",a")
    (tmp_path / "list.csv").write_text(other)
    with pytest.raises(UsageError, match="which rows are for support"):
        read_support(str(tmp_path / "list.csv"))


def test_the_fingerprint_follows_the_examples(examples: Path) -> None:
    support = list(read_support(str(examples / "support")))

    def fingerprint(refs: list[VideoRef], **options: Any) -> str:
        return FewShot(refs, with_options(FewShotConfig(), OPTIONS | options)).fingerprint

    same = fingerprint(support)
    assert fingerprint(support, batch_size=3) == same
    others = [fingerprint(support[1:]), fingerprint(support, matcher="mean"),
              fingerprint(support, text_weight=0.1)]  # fmt: skip
    assert len({same, *others}) == 4


def test_a_clip_that_is_there_twice_does_not_vouch_for_itself(
    examples: Path, tmp_path: Path
) -> None:
    """With a copy of itself in its prototype, a clip would only find itself."""
    once, twice = tmp_path / "once", tmp_path / "twice"
    for label in LABELS[:2]:
        clip = examples / "support" / label / "support_0.mp4"
        for folder, names in ((once, "a"), (twice, "ab")):
            (folder / label).mkdir(parents=True)
            for name in names:
                shutil.copyfile(clip, folder / label / f"{name}.mp4")
    alone, _ = run(once, [])
    copied, _ = run(twice, [])
    assert alone.estimate is not None
    assert copied.estimate is not None
    assert alone.estimate.share.total == copied.estimate.share.total == 0
    assert [pair.same_file for pair in copied.twins] == [True, True]


def test_a_compact_file_lets_the_share_of_words_be_chosen(examples: Path, tmp_path: Path) -> None:
    whole, small = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    run(examples / "support", [], Change(save=str(whole)))
    run(examples / "support", [], Change(save=str(small), compact=True))
    words = {"options": {"text_weight": 1.0}}
    found, expected, other = (
        actcli.classify(queries(examples), **(OPTIONS | {"model": str(file)} | more))
        for file, more in ((small, words), (whole, words), (small, {}))
    )
    assert_same(found, expected)
    assert scores(found) != scores(other)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_frames": 4}, "--frames: .* made with 8 .got 4"),
        ({"num_views": 2}, "--views"),
        ({"stride_s": 0.1}, "--stride"),
        ({"precision": "bf16"}, "--precision: .* fp32"),
    ],
)  # fmt: skip
def test_clips_made_otherwise_do_not_join_a_file(
    examples: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    file = tmp_path / "moves.safetensors"
    run(examples / "support", [], Change(save=str(file)))
    before = file.read_bytes()
    refs = [replace(ref, end_s=1.0) for ref in read_support(str(examples / "support"))]
    with pytest.raises(UsageError, match=said):
        run(refs, [], Change(update=True, append=True, save=str(file)), model=str(file), **options)
    assert file.read_bytes() == before


def test_words_of_a_class_that_is_appended_to_stay(examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    run(examples / "support", [], Change(save=str(file)))
    names = LabelSet.from_lines(["lunge\trunning"])
    with pytest.raises(UsageError, match='"lunge" have their words'):
        run(examples / "support", [], Change(update=True, append=True), names, model=str(file))


def test_classes_with_other_numbers_of_prompts_join_and_keep_their_means(
    examples: Path, tmp_path: Path
) -> None:
    file, all_of = tmp_path / "moves.safetensors", list(read_support(str(examples / "support")))
    two = [ref for ref in all_of if ref.label != "lunge"]
    names = LabelSet.from_lines(["push-up\tdown and up", "push-up\tpush", "climb\ta", "climb\tb"])
    run(two, [], Change(save=str(file)), names, text_weight=0.6)
    alone = actcli.classify(queries(examples), **(OPTIONS | {"model": str(file)}))
    run([ref for ref in all_of if ref.label == "lunge"], [],
        Change(update=True, save=str(file)), model=str(file))  # fmt: skip
    joined = actcli.classify(
        queries(examples), ["climb", "push-up"], **(OPTIONS | {"model": str(file)})
    )
    assert {len(own) for own in read_info(file).prompts} == {2}
    assert_same(joined, alone)


def test_an_example_is_said_by_classify_too(examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    run(examples / "support", [], Change(save=str(file)))
    same, other = actcli.classify(
        [examples / "support/lunge/support_0.mp4", queries(examples)[0].path],
        **(OPTIONS | {"model": str(file)}),
    )
    assert isinstance(same, Prediction)
    assert 'is also an example of "lunge"' in same.warnings[0]
    assert isinstance(other, Prediction)
    assert other.warnings == ()


def test_a_backbone_that_moved_is_asked_for(examples: Path, tmp_path: Path) -> None:
    from actcli.models.backbone import find_backbone

    file, here, there = tmp_path / "a.safetensors", tmp_path / "here", tmp_path / "there"
    shutil.copytree(find_backbone("demo").folder, here)
    run(examples / "support", [], Change(save=str(file)), model=f"local-dir:{here}")
    here.rename(there)
    with pytest.raises(ModelError, match=r"a\.safetensors: its backbone: .*here") as caught:
        actcli.classify(queries(examples), **(OPTIONS | {"model": str(file)}))
    assert "--backbone local-dir:" in (caught.value.hint or "")
    found = actcli.classify(
        queries(examples), **(OPTIONS | {"model": str(file), "backbone": f"local-dir:{there}"})
    )
    assert all(r.ok for r in found)


def test_what_can_not_be_saved_or_has_no_label_is_refused_first(
    examples: Path, tmp_path: Path
) -> None:
    for save in ("moves.bin", tmp_path / "no" / "moves.safetensors"):
        with pytest.raises(UsageError, match="--save"):
            actcli.fewshot([], examples / "support", save=save, **OPTIONS)
    with pytest.raises(UsageError, match="has no label"):
        actcli.fewshot([], ["a.mp4"], **OPTIONS)  # type: ignore[list-item]


def test_the_demo_model_has_a_head_of_its_own_that_sees_the_order_of_time(tmp_path: Path) -> None:
    """Two classes it was never trained on, that are each other played backwards."""
    for c, label in enumerate(("kneel down", "rise from knees")):
        for split, count, seed in (("support", 3, 4100), ("query", 4, 4500)):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(count):
                write_clip(tmp_path / split / label / f"{i}.mp4", label, seed=seed + 10 * c + i)
    query = sorted((tmp_path / "query").rglob("*.mp4"))
    options = OPTIONS | {"model": "demo-fewshot"}
    results = actcli.fewshot([str(path) for path in query], tmp_path / "support", **options)
    right = [r.ok and r.label == path.parent.name for r, path in zip(results, query, strict=True)]
    assert sum(right) >= 7
    assert {(r.method, r.model) for r in results} == {("clip-fsar", "demo-fewshot")}
    assert read_info(find_checkpoint("demo-fewshot") or Path()).backbone.name == "demo"
