"""Training that reaches the towers, and training on episodes: from files to a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import actcli
from actcli.checkpoint import read_checkpoint, read_info
from actcli.config import with_options
from actcli.config_train import FinetuneConfig
from actcli.data.prompts import TEMPLATE_SETS
from actcli.demo.clips import write_clip
from actcli.errors import InputError, UsageError
from actcli.tasks.examples import read_labelled
from actcli.tasks.finetune import FineTune
from actcli.tasks.training_data import augmentation_of
from actcli.train.events import EpochEvent, Finished, Prepared, StepEvent
from actcli.types import Prediction, VideoRef

LABELS = ("run", "jump", "wave")
OPTIONS: dict[str, Any] = {"model": "demo", "workers": 0, "device": "cpu"}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and val/ of three classes, four clips and two."""
    root = tmp_path_factory.mktemp("towers")
    for c, label in enumerate(LABELS):
        for split, count, seed in (("train", 4, 5000), ("val", 2, 6000)):
            (root / split / label).mkdir(parents=True)
            for i in range(count):
                write_clip(root / split / label / f"{i}.mp4", label, seed=seed + 10 * c + i)
    return root


@pytest.fixture(autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "finetune-cache"
    monkeypatch.setitem(OPTIONS, "cache_dir", str(folder))


def task(clips: Path, out: Path, method: str, *, resume: bool = False, **given: Any) -> FineTune:
    train, val = (
        given.pop(split, None) or read_labelled(str(clips / split), use="train")
        for split in ("train", "val")
    )
    config = with_options(FinetuneConfig(), OPTIONS | {"method": method, "epochs": 2} | given)
    return FineTune(train, val, config, out, resume=resume)


def of(kind: Any, events: list[Any]) -> Any:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def last(out: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(out / "last.safetensors")[1]


def test_actionclip_trains_all_and_classify_uses_the_file_alone(
    clips: Path, tmp_path: Path
) -> None:
    events = list(task(clips, tmp_path / "run", "actionclip", learning_rate=1e-4).stream())
    prepared, finished = of(Prepared, events), of(Finished, events)
    assert prepared.learning > 5_000_000  # towers and head
    assert (prepared.clips, prepared.val_clips, finished.next_command) == (12, 6, "classify VIDEO")
    names = set(last(tmp_path / "run"))
    for expected in ("method.backbone.model.visual.conv1.weight", "method.backbone.logit_scale",
                     "method.backbone.model.token_embedding.weight",
                     "method.head.frame_position_embeddings.weight"):  # fmt: skip
        assert expected in names
    info = read_info(tmp_path / "run/best.safetensors")
    assert info.templates == TEMPLATE_SETS["actionclip"]
    paths = [ref.path for ref in read_labelled(str(clips / "val"), use="val")]
    results = actcli.classify(paths, **(OPTIONS | {"model": str(tmp_path / "run")}))
    right = [r.label == Path(r.ref.path).parent.name for r in results if isinstance(r, Prediction)]
    assert sum(right) / len(right) == pytest.approx(finished.best.top1)


def test_a_head_alone_learns_from_embeddings(clips: Path, tmp_path: Path) -> None:
    run = task(clips, tmp_path / "run", "actionclip", options={"learn": "head", "head": "LSTM"})
    prepared = of(Prepared, list(run.stream()))
    assert prepared.learning == 4 * (128 * 128 * 2 + 128 * 2)
    assert all(name.startswith("method.head.") for name in last(tmp_path / "run"))
    assert (run.config.train.learning_rate, run.config.train.clips_per_step) == (5e-5, 32)


@pytest.mark.parametrize(
    ("method", "options"),
    [("actionclip", {"head": "Transf_cls"}), ("clip-fsar", {"way": 2, "queries": 2})],
)
def test_a_run_on_pixels_goes_on_to_the_same_weights(
    clips: Path, tmp_path: Path, method: str, options: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"options": options, "clips_per_step": 4, "save_every": 1,
                             "accumulate": 1, "epochs": 3}  # fmt: skip
    whole = list(task(clips, tmp_path / "whole", method, **given).stream())
    for event in task(clips, tmp_path / "cut", method, **given).stream():
        if isinstance(event, StepEvent) and event.step == 2:
            break
    again = list(task(clips, tmp_path / "cut", method, resume=True, **given).stream())
    assert of(Prepared, again).continued_from == 1
    assert all(torch.equal(value, last(tmp_path / "cut")[name])
               for name, value in last(tmp_path / "whole").items())  # fmt: skip
    told = [[e.losses for e in run if isinstance(e, StepEvent)] for run in (whole, again)]
    assert told[0][1:] == told[1]


def test_passes_computed_again_change_no_weight_much(clips: Path, tmp_path: Path) -> None:
    for name, held in (("all", None), ("one", 1)):
        list(task(clips, tmp_path / name, "actionclip", clips_held=held, epochs=1,
                  options={"head": "LSTM"}).stream())  # fmt: skip
    for name, value in last(tmp_path / "all").items():
        torch.testing.assert_close(last(tmp_path / "one")[name], value, rtol=1e-3, atol=1e-4)


def test_clip_fsar_trains_on_episodes_and_is_measured_on_other_classes(
    clips: Path, tmp_path: Path
) -> None:
    shutil.copytree(clips / "val/run", tmp_path / "val/sprint")
    shutil.copytree(clips / "val/wave", tmp_path / "val/greet")
    val = read_labelled(str(tmp_path / "val"), use="val")
    options = {"learn": "head", "way": 3, "queries": 2, "mlp_dim": 64}
    events = list(task(clips, tmp_path / "run", "clip-fsar", val=val, options=options).stream())
    prepared, finished = of(Prepared, events), of(Finished, events)
    assert (prepared.classes, prepared.val_clips) == (3, 4)
    assert prepared.baseline_name == "plain prototypes"
    assert 0 <= finished.best.top1 <= 1
    assert finished.next_command == "fewshot VIDEO --support DIR"
    query = [ref.path for ref in val]
    results = actcli.fewshot(query, clips / "train", **(OPTIONS | {"model": str(tmp_path / "run")}))
    assert all(isinstance(r, Prediction) and r.method == "clip-fsar" for r in results)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"way": 4}, "too few classes for 4 ways"), ({"way": 3, "queries": 5}, "too few clips")],
)
def test_episodes_that_the_data_cannot_fill_are_refused_before_anything_is_read(
    clips: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        task(clips, tmp_path / "run", "clip-fsar", options=options)
    assert "--set way" in str(caught.value.hint)
    assert not (tmp_path / "run").exists()


def test_a_clip_that_cannot_be_decoded_is_left_out(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "data")
    bad = tmp_path / "data/train/run/9.mp4"
    bad.write_text("no video")
    prepared = of(Prepared, list(task(tmp_path / "data", tmp_path / "run", "actionclip", epochs=1,
                                      options={"head": "meanP"}).stream()))  # fmt: skip
    assert [failure.ref.path for failure in prepared.failures] == [str(bad)]


def test_a_clip_that_is_gone_in_mid_training_is_named(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "data")
    run = task(tmp_path / "data", tmp_path / "run", "actionclip", options={"head": "meanP"},
               clips_per_step=3, epochs=40)  # fmt: skip
    events = run.stream()
    while not isinstance(next(events), Prepared):
        pass
    for path in (tmp_path / "data/train").glob("*/*.mp4"):
        path.write_text("gone")
    with pytest.raises(InputError, match="could be read before"):
        list(events)


def test_labels_that_are_numbers_have_no_words_to_learn_from(clips: Path, tmp_path: Path) -> None:
    train = [VideoRef(str(path), label=str(LABELS.index(path.parent.name)))
             for path in sorted((clips / "train").glob("*/*.mp4"))]  # fmt: skip
    with pytest.raises(UsageError, match="the labels are numbers"):
        task(clips, tmp_path / "run", "actionclip", train=train)


def test_a_checkpoint_is_where_training_goes_on_and_names_its_method(
    clips: Path, tmp_path: Path
) -> None:
    options = {"head": "LSTM", "learn": "image"}
    list(task(clips, tmp_path / "a", "actionclip", options=options, epochs=1).stream())
    start = str(tmp_path / "a/best.safetensors")
    with pytest.raises(UsageError, match="is of actionclip"):
        task(clips, tmp_path / "b", "motion-prompts", model=start)
    config = with_options(FinetuneConfig(), OPTIONS | {"model": start, "epochs": 1,
                                                       "options": {"learn": "head"}})  # fmt: skip
    train = read_labelled(str(clips / "train"), use="train")
    events = list(FineTune(train, train, config, tmp_path / "b").stream())
    assert sum(isinstance(e, EpochEvent) for e in events) == 1
    tower = "method.backbone.model.visual.conv1.weight"
    assert torch.equal(last(tmp_path / "b")[tower], last(tmp_path / "a")[tower])


def test_clips_are_mirrored_unless_labels_speak_of_sides() -> None:
    train = FinetuneConfig().train
    sets = (("run", "jump"), ("swipe left", "run"), ("turnRight", "run"))
    made = [augmentation_of(train, labels, "shortest") for labels in sets]
    assert [a.flip for a in made if a is not None] == [True, False, False]
    plain = augmentation_of(train.model_copy(update={"augment": "none"}), ("a",), "shortest")
    assert plain is None
