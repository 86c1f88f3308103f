"""Fine-tuning from files to a checkpoint: what is kept, what is refused, what is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import actcli
from actcli.checkpoint import read_checkpoint, read_info
from actcli.config import with_options
from actcli.config_train import FinetuneConfig
from actcli.data.labels import LabelSet
from actcli.demo.clips import write_clip
from actcli.errors import InputError, ModelError, UsageError
from actcli.tasks.examples import read_labelled
from actcli.tasks.finetune import FineTune
from actcli.train.events import Embedding, EpochEvent, Finished, Prepared, StepEvent
from actcli.types import Prediction, VideoRef

LABELS = ("raise arms", "lower arms")
OPTIONS: dict[str, Any] = {"model": "demo", "workers": 0, "device": "cpu"}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that only time order tells apart: train/ of four clips each, val/ of three."""
    root = tmp_path_factory.mktemp("finetune")
    for c, label in enumerate(LABELS):
        for split, count, seed in (("train", 4, 5000), ("val", 3, 6000)):
            (root / split / label).mkdir(parents=True)
            for i in range(count):
                write_clip(root / split / label / f"{i}.mp4", label, seed=seed + 10 * c + i)
    return root


@pytest.fixture(autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "finetune-cache"
    monkeypatch.setitem(OPTIONS, "cache_dir", str(folder))


def refs(clips: Path, split: str) -> list[VideoRef]:
    return list(read_labelled(str(clips / split), use="train"))


def task(clips: Path, out: Path, **given: Any) -> FineTune:
    more = {name: given.pop(name) for name in ("resume", "names") if name in given}
    train, val = (
        given.pop(split) if split in given else refs(clips, split) for split in ("train", "val")
    )
    config = with_options(FinetuneConfig(), OPTIONS | {"epochs": 12, "learning_rate": 2e-3} | given)
    return FineTune(train, val, config, out, **more)


def of(kind: Any, events: list[Any]) -> Any:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def test_a_run_beats_zero_shot_where_time_order_counts(clips: Path, tmp_path: Path) -> None:
    events = list(task(clips, tmp_path / "run").stream())
    prepared, finished = of(Prepared, events), of(Finished, events)
    assert (prepared.clips, prepared.classes, prepared.val_clips) == (8, 2, 6)
    assert prepared.learning == 32_298
    assert prepared.frozen > 3_000_000
    assert finished.best.top1 > finished.baseline.top1
    assert sum(isinstance(e, StepEvent) for e in events) == prepared.steps == 12
    assert sum(isinstance(e, EpochEvent) for e in events) == 12
    told = [e for e in events if isinstance(e, Embedding)]
    assert [(e.what, e.done, e.total) for e in told][7:9] == [("training", 8, 8),
                                                             ("validation", 1, 6)]  # fmt: skip


def test_the_checkpoint_is_all_that_classify_needs(clips: Path, tmp_path: Path) -> None:
    finished = of(Finished, list(task(clips, tmp_path / "run", num_frames=6).stream()))
    paths = [ref.path for ref in refs(clips, "val")]
    results = actcli.classify(paths, **(OPTIONS | {"model": str(tmp_path / "run")}))
    right = [r.label == Path(r.ref.path).parent.name for r in results if isinstance(r, Prediction)]
    assert sum(right) / len(right) == pytest.approx(finished.best.top1)
    (first, *_) = results
    assert isinstance(first, Prediction)
    assert (first.method, len(first.frames_s)) == ("motion-prompts", 6)
    info, tensors = read_checkpoint(tmp_path / "run/best.safetensors")
    assert all(name.startswith("method.") and ".backbone." not in name for name in tensors)
    assert info.training is not None
    assert info.training["val_top1"] == pytest.approx(finished.best.top1, abs=1e-4)
    assert info.training["zero_shot_top1"] == pytest.approx(finished.baseline.top1, abs=1e-4)
    assert (info.training["clips"], info.labels) == (8, tuple(sorted(LABELS)))


def test_labels_that_were_never_trained_can_be_asked_for(clips: Path, tmp_path: Path) -> None:
    list(task(clips, tmp_path / "run", epochs=2).stream())
    write_clip(tmp_path / "run.mp4", "run", seed=77)
    options = OPTIONS | {"model": str(tmp_path / "run")}
    (result,) = actcli.classify(tmp_path / "run.mp4", ["run", "squat", "raise arms"], **options)
    assert isinstance(result, Prediction)
    assert result.label == "run"


def test_dials_turn_a_checkpoint_back_into_zero_shot(clips: Path, tmp_path: Path) -> None:
    list(task(clips, tmp_path / "run", options={"exchange": "off"}, epochs=3).stream())
    from actcli.checkpoint import build_method
    from actcli.methods.base import Method
    from actcli.models.backbone import find_backbone
    from actcli.models.open_clip import OpenClipBackbone

    path = tmp_path / "run/best.safetensors"
    info, tensors = read_checkpoint(path)
    dialled = info.model_copy(update={"config": {**info.config, "motion": 0.0,
                                                 "learned_prompts": 0.0}})  # fmt: skip
    backbone = OpenClipBackbone(find_backbone("demo"))
    method, plain = build_method(path, dialled, tensors, backbone), Method(backbone).eval()
    video = torch.randn(3, 8, 128)
    with torch.no_grad():
        texts = [m.embed_text(LABELS, [[x] for x in LABELS]) for m in (method, plain)]
        ours, theirs = method.logits(video, texts[0]), plain.logits(video, texts[1])
    assert float((ours - theirs).abs().max()) < 0.2  # what the learned average of frames moves


def test_the_same_seed_gives_the_same_file(clips: Path, tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        list(task(clips, tmp_path / name, seed=seed, epochs=3).stream())
        found.append(read_checkpoint(tmp_path / name / "last.safetensors")[1])
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert not all(torch.equal(found[0][name], found[2][name]) for name in found[0])


def test_a_run_goes_on_to_the_same_weights(clips: Path, tmp_path: Path) -> None:
    list(task(clips, tmp_path / "whole", epochs=6).stream())
    for event in task(clips, tmp_path / "cut", epochs=6, save_every=1).stream():
        if isinstance(event, StepEvent) and event.step == 4:
            break
    events = list(task(clips, tmp_path / "cut", epochs=6, save_every=1, resume=True).stream())
    assert of(Prepared, events).continued_from == 3
    whole, cut = (
        read_checkpoint(tmp_path / name / "last.safetensors")[1] for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_other_settings_are_refused_by_name(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    list(task(clips, out, epochs=2).stream())
    train = refs(clips, "train")[:-1]
    with pytest.raises(UsageError) as caught:
        list(
            task(
                clips, out, epochs=3, seed=5, resume=True, options={"scales": "short"}, train=train
            ).stream()
        )
    for said in ("train.epochs (was 2, now 3)", "run.seed (was 0, now 5)",
                 "options.scales (was unset, now short)", "train_digest"):  # fmt: skip
        assert said in str(caught.value)
    list(task(clips, out, epochs=2, resume=True, workers=1, save_every=1).stream())


def test_a_folder_with_files_and_one_without_a_run_are_refused(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not empty"):
        task(clips, tmp_path)
    with pytest.raises(UsageError, match="holds no run"):
        task(clips, tmp_path, resume=True)
    with pytest.raises(UsageError, match="is a file"):
        task(clips, tmp_path / "thesis.txt")


def test_clips_that_cannot_be_read_are_left_out_counted_and_named(
    clips: Path, tmp_path: Path
) -> None:
    shutil.copytree(clips / "train", tmp_path / "train")
    bad = tmp_path / "train" / LABELS[0] / "9.mp4"
    bad.write_text("no video")
    events = list(task(tmp_path, tmp_path / "run", val=[], epochs=1).stream())
    prepared = of(Prepared, events)
    assert [failure.ref.path for failure in prepared.failures] == [str(bad)]
    assert prepared.clips == 8
    training = read_info(tmp_path / "run/best.safetensors").training
    assert training is not None
    assert training["left_out"] == 1


def test_a_class_without_a_readable_clip_ends_it(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips / "train", tmp_path / "train")
    for clip in (tmp_path / "train" / LABELS[0]).iterdir():
        clip.write_text("no video")
    with pytest.raises(InputError, match='no clip of "raise arms" could be read'):
        list(task(tmp_path, tmp_path / "run", val=[]).stream())


def test_nothing_readable_ends_it(clips: Path, tmp_path: Path) -> None:
    train = [VideoRef(str(tmp_path / f"{x}.mp4"), label=x) for x in LABELS]
    with pytest.raises(InputError, match="no video could be read"):
        list(task(clips, tmp_path / "run", train=train).stream())


def test_one_class_and_labels_that_only_validation_has_are_refused(
    clips: Path, tmp_path: Path
) -> None:
    one = [ref for ref in refs(clips, "train") if ref.label == LABELS[0]]
    with pytest.raises(UsageError, match="one class only"):
        task(clips, tmp_path / "run", train=one)
    val = [*refs(clips, "val"), VideoRef("x.mp4", label="wave")]
    with pytest.raises(UsageError, match='--val: has labels that the training set lacks: "wave"'):
        task(clips, tmp_path / "run", val=val)
    assert not (tmp_path / "run").exists()


def test_one_clip_a_class_is_enough_to_train(clips: Path, tmp_path: Path) -> None:
    train = [refs(clips, "train")[i] for i in (0, 4)]
    prepared = of(Prepared, list(task(clips, tmp_path / "r", train=train, epochs=1).stream()))
    assert (prepared.smallest, prepared.clips) == (1, 2)


def test_without_validation_the_last_weights_are_the_best(clips: Path, tmp_path: Path) -> None:
    events = list(task(clips, tmp_path / "run", val=[], epochs=2).stream())
    assert of(Prepared, events).baseline is None
    best, last = (
        read_checkpoint(tmp_path / "run" / name)[1]
        for name in ("best.safetensors", "last.safetensors")
    )
    assert all(torch.equal(best[name], last[name]) for name in best)


def test_a_head_with_every_part_off_is_refused(clips: Path, tmp_path: Path) -> None:
    off = {"scales": "off", "prompts": "off", "exchange": "off"}
    with pytest.raises(UsageError, match="every part is off"):
        list(task(clips, tmp_path / "run", options=off).stream())


@pytest.mark.parametrize(
    ("options", "said"),
    [({"scale": "both"}, "--set scale: the method motion-prompts has no such option"),
     ({"scales": "most"}, "--set scales"), ({"grid": 99}, "--set grid")],
)  # fmt: skip
def test_options_of_the_method_are_checked(
    clips: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        list(task(clips, tmp_path / "run", options=options).stream())


def test_methods_that_cannot_be_trained_are_refused(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--method clip: has nothing"):
        task(clips, tmp_path / "run", method="clip")


def test_words_may_come_with_their_own_prompts(clips: Path, tmp_path: Path) -> None:
    names = LabelSet.from_lines(["raise arms\thands up"])
    list(task(clips, tmp_path / "run", names=names, epochs=1).stream())
    info = read_info(tmp_path / "run/best.safetensors")
    assert dict(zip(info.labels, info.prompts, strict=True))["raise arms"] == ("hands up",)


def test_several_views_are_for_training_only(clips: Path, tmp_path: Path) -> None:
    list(task(clips, tmp_path / "run", num_views=3, epochs=1).stream())
    assert read_info(tmp_path / "run/best.safetensors").sampling.num_views == 1
    stated = json.loads((tmp_path / "run/run.json").read_text())
    assert stated["config"]["sampling"]["num_views"] == 3


def test_a_grid_trains_and_classifies(clips: Path, tmp_path: Path) -> None:
    list(task(clips, tmp_path / "run", options={"grid": 2, "prompts": "off"}, epochs=2).stream())
    paths = [ref.path for ref in refs(clips, "val")]
    results = actcli.classify(paths, **(OPTIONS | {"model": str(tmp_path / "run")}))
    assert all(r.ok for r in results)


def test_a_run_can_begin_with_another_ones_result(clips: Path, tmp_path: Path) -> None:
    list(task(clips, tmp_path / "first", epochs=4).stream())
    events = list(
        task(clips, tmp_path / "second", model=str(tmp_path / "first"), epochs=1).stream()
    )
    first, second = (read_info(tmp_path / n / "best.safetensors") for n in ("first", "second"))
    assert second.method == first.method
    steps = [e for e in events if isinstance(e, StepEvent)]
    assert steps[0].loss < 1.0


def test_embeddings_that_are_no_numbers_name_their_clip(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actcli.tasks import finetune
    from actcli.tasks.embedding import embed_all

    def spoiled(*args: Any) -> Any:
        found = yield from embed_all(*args)
        found.values[1] = float("nan")
        return found

    monkeypatch.setattr(finetune, "embed_all", spoiled)
    with pytest.raises(ModelError, match=r"not a number at step 1, batch 0: because of .*1\.mp4"):
        list(task(clips, tmp_path / "run", val=[]).stream())


def test_what_was_left_out_is_named_in_the_record_of_the_run(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips / "train", tmp_path / "train")
    bad = tmp_path / "train" / LABELS[0] / "9.mp4"
    bad.write_text("no video")
    list(task(tmp_path, tmp_path / "run", val=[], epochs=1).stream())
    (left_out,) = json.loads((tmp_path / "run/run.json").read_text())["left_out"]
    assert left_out["input"] == str(bad)
    assert left_out["kind"] == "not_video"
    list(task(tmp_path, tmp_path / "run", val=[], epochs=1, resume=True).stream())


def test_a_folder_of_a_run_that_came_to_nothing_can_be_used_again(
    clips: Path, tmp_path: Path
) -> None:
    train = [VideoRef(str(tmp_path / f"{x}.mp4"), label=x) for x in LABELS]
    with pytest.raises(InputError):
        list(task(clips, tmp_path / "run", train=train).stream())
    assert (tmp_path / "run/run.json").is_file()
    list(task(clips, tmp_path / "run", epochs=1).stream())
    with pytest.raises(UsageError, match="is not empty"):
        task(clips, tmp_path / "run", epochs=1)


def test_two_runs_never_share_a_folder(clips: Path, tmp_path: Path) -> None:
    list(task(clips, tmp_path / "run", epochs=1).stream())
    first = task(clips, tmp_path / "run", epochs=1, resume=True).stream()
    next(first)
    with pytest.raises(UsageError, match="another run is at work there"):
        list(task(clips, tmp_path / "run", epochs=1, resume=True).stream())
    first.close()  # type: ignore[attr-defined]
    list(task(clips, tmp_path / "run", epochs=1, resume=True).stream())


def test_the_same_clips_in_another_order_are_other_settings(clips: Path, tmp_path: Path) -> None:
    list(task(clips, tmp_path / "run", epochs=1).stream())
    train = refs(clips, "train")
    train[0], train[1] = train[1], train[0]
    with pytest.raises(UsageError, match="train_digest"):
        list(task(clips, tmp_path / "run", epochs=1, resume=True, train=train).stream())


def test_a_run_whose_best_weights_are_gone_says_so(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    list(task(clips, out, epochs=1).stream())
    (out / "best.safetensors").unlink()
    with pytest.raises(InputError, match=r"its best\.safetensors is gone"):
        list(task(clips, out, epochs=1, resume=True).stream())
    (out / "log.jsonl").write_text("")
    with pytest.raises(ModelError, match="a run without its best"):
        actcli.classify([], LABELS, model=str(out))


def test_validation_clips_that_are_trained_on_are_named(
    clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    val = [*refs(clips, "val"), refs(clips, "train")[0]]
    task(clips, tmp_path / "run", val=val)
    assert "1 of 7 videos are among those trained on" in caplog.text


def test_prompts_of_labels_that_are_not_trained_are_named(
    clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task(clips, tmp_path / "run", names=LabelSet(("raise amrs",), (("lift them",),)))
    assert 'not trained are not used: "raise amrs"' in caplog.text


@pytest.mark.parametrize(
    "given", [{"learning_rate": float("inf")}, {"learning_rate": 1e30}, {"seed": 10**23},
              {"seed": -1}, {"epochs": 10**20}, {"weight_decay": float("nan")}]
)  # fmt: skip
def test_numbers_out_of_reach_are_refused(
    clips: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        task(clips, tmp_path / "run", **given)


def test_names_that_no_folder_can_have_are_refused(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-o"):
        task(clips, tmp_path / ("x" * 300))


@pytest.mark.parametrize("text", ["[]", "null", "", "{"])
def test_a_record_of_a_run_that_is_none_is_refused(clips: Path, tmp_path: Path, text: str) -> None:
    list(task(clips, tmp_path / "run", epochs=1).stream())
    (tmp_path / "run/run.json").write_text(text)
    with pytest.raises((InputError, UsageError)):
        list(task(clips, tmp_path / "run", epochs=1, resume=True).stream())
