"""Other people's weight files become folders of ours, and nothing in them ever runs."""

from __future__ import annotations

import argparse
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from actcli.errors import ModelError, ResourceError, UsageError
from actcli.models import importing
from actcli.models.backbone import find_backbone
from actcli.models.importing import import_weights
from actcli.models.open_clip import OpenClipBackbone
from tests.models.tiny_models import CONFIGS, PROMPTS, save_model

State = dict[str, torch.Tensor]
FolderOf = Callable[[str], Path]


@pytest.fixture
def theirs(folder_of: FolderOf, tmp_path: Path) -> Path:
    """A folder with the config of the plain model and no weights."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    name = "open_clip_config.json"
    (folder / name).write_bytes((folder_of("vit") / name).read_bytes())
    return folder


@pytest.fixture
def state(folder_of: FolderOf) -> State:
    return load_file(folder_of("vit") / "open_clip_model.safetensors")


def training_checkpoint(state: State) -> dict[str, Any]:
    weights = {f"module.{name}": value for name, value in state.items()}
    return {"epoch": 3, "state_dict": weights, "optimizer": {"lr": 0.1}, "name": "run"}


@pytest.mark.parametrize("form", ["plain", "training", "old", "compiled", "safetensors"])
@torch.no_grad()
def test_an_imported_model_gives_the_embeddings_of_the_original(
    form: str, theirs: Path, state: State, tmp_path: Path, folder_of: FolderOf
) -> None:
    file = theirs / "weights.pt"
    if form == "safetensors":
        file = theirs / "weights.bin"
        file.write_bytes((folder_of("vit") / "open_clip_model.safetensors").read_bytes())
    elif form == "old":
        torch.save(state, file, _use_new_zipfile_serialization=False)
    elif form == "training":
        torch.save(training_checkpoint(state), file)
    elif form == "compiled":
        weights = {f"_orig_mod.module.{name}": value for name, value in state.items()}
        torch.save({"model_state_dict": weights}, file)
    else:
        torch.save(state | {"input_resolution": torch.tensor(32)}, file)
    made = import_weights(file, tmp_path / "made")
    expected = OpenClipBackbone(find_backbone(f"local-dir:{folder_of('vit')}"))
    assert torch.equal(OpenClipBackbone(made).encode_text(PROMPTS), expected.encode_text(PROMPTS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "theirs"]
    assert len({path.stat().st_mode for path in (tmp_path / "made").iterdir()}) == 1


@pytest.mark.parametrize("family", ["siglip", "coca", "resnet"])
def test_families_with_more_than_two_towers_and_a_scale_are_imported_whole(
    family: str, folder_of: FolderOf, tmp_path: Path
) -> None:
    source = folder_of(family)
    state = load_file(source / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_bytes(
        (source / "open_clip_config.json").read_bytes()
    )
    torch.save(state, tmp_path / "a.bin")
    made = import_weights(tmp_path / "a.bin", tmp_path / "made")
    assert load_file(made.weights_path).keys() == state.keys()


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("kind", ["zip", "old", "pickle", "system", "namespace"])
def test_a_pickle_that_asks_for_more_than_tensors_does_not_run(
    kind: str, theirs: Path, state: State, tmp_path: Path
) -> None:
    file, mark = theirs / "weights.pt", tmp_path / "it-ran"
    content: Any = {"state_dict": state, "extra": Malicious(mark)}
    if kind == "pickle":
        file.write_bytes(pickle.dumps(content, protocol=2))
    elif kind == "system":
        file.write_bytes(f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode())
    elif kind == "namespace":
        torch.save({"state_dict": state, "args": argparse.Namespace(lr=1)}, file)
    else:
        torch.save(content, file, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(ModelError, match=r"more than tensors|not a file of weights"):
        import_weights(file, tmp_path / "made")
    assert not mark.exists()
    assert not (tmp_path / "made").exists()


def test_the_refusal_names_what_a_pickle_asks_for(theirs: Path, tmp_path: Path) -> None:
    torch.save({"args": argparse.Namespace(lr=1)}, theirs / "a.pt")
    with pytest.raises(ModelError, match=r"asks for argparse\.Namespace\)"):
        import_weights(theirs / "a.pt", tmp_path / "made")


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("kept", [0, 3, 200, -1])
def test_a_truncated_file_is_refused_as_such(
    kept: int, is_zip: bool, theirs: Path, state: State, tmp_path: Path
) -> None:
    file = theirs / "weights.pt"
    torch.save(state, file, _use_new_zipfile_serialization=is_zip)
    whole = file.read_bytes()
    file.write_bytes(whole[: kept if kept >= 0 else len(whole) - 1000])
    with pytest.raises(ModelError, match=r"truncated|damaged"):
        import_weights(file, tmp_path / "made")


def test_a_torchscript_program_is_refused_with_a_way_to_its_weights(
    theirs: Path, tmp_path: Path
) -> None:
    file = theirs / "ViT-B-32.pt"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__/model.py"):
            archive.writestr(f"archive/{name}", b"")
    with pytest.raises(ModelError, match="a TorchScript program") as caught:
        import_weights(file, tmp_path / "made")
    assert "actcli models list openai" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([1, 2], "no weights by name .got list"),
        ({}, "no weights by name"),
        ({"state_dict": {"a": 3}}, 'not the weights of a model ."a": no plain tensors'),
        ({"a": torch.ones(2).to_sparse()}, "no plain tensors"),
        ({"fc.weight": torch.ones(2)}, "the weights do not fit the config"),
    ],
)
def test_what_is_no_model_is_refused(
    content: Any, sentence: str, theirs: Path, tmp_path: Path
) -> None:
    torch.save(content, theirs / "a.pt")
    with pytest.raises(ModelError, match=sentence):
        import_weights(theirs / "a.pt", tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"visual.proj": None}, '1 missing: "visual.proj"'),
        ({"visual.proj": torch.ones(3, 3)}, "of another shape"),
        ({"extra": torch.ones(1)}, '1 unexpected: "extra"'),
        ({"logit_scale": None}, "it has no logit_scale"),
    ],
)
def test_names_and_shapes_must_be_those_of_the_architecture(
    change: State, sentence: str, theirs: Path, state: State, tmp_path: Path
) -> None:
    torch.save({k: v for k, v in (state | change).items() if v is not None}, theirs / "a.pt")
    with pytest.raises(ModelError, match=sentence) as caught:
        import_weights(theirs / "a.pt", tmp_path / "made")
    assert str(theirs / "a.pt") in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_tensors_that_share_memory_are_written_apart(
    theirs: Path, state: State, tmp_path: Path
) -> None:
    block = "transformer.resblocks.{}.ln_1.weight"
    state[block.format(0)] = state[block.format(1)]
    state["text_projection"] = state["text_projection"].T.contiguous().T
    torch.save(state, theirs / "a.pt")
    made = import_weights(theirs / "a.pt", tmp_path / "made")
    written = load_file(made.weights_path)
    assert all(torch.equal(written[name], value) for name, value in state.items())


def test_a_folder_that_holds_something_is_left_alone(
    theirs: Path, state: State, tmp_path: Path
) -> None:
    torch.save(state, theirs / "a.pt")
    with pytest.raises(UsageError, match="exists already"):
        import_weights(theirs / "a.pt", theirs)
    (tmp_path / "empty").mkdir()
    assert import_weights(theirs / "a.pt", tmp_path / "empty").folder == tmp_path / "empty"


def test_a_folder_that_cannot_be_written_leaves_nothing(
    theirs: Path, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    torch.save(state, theirs / "a.pt")
    monkeypatch.setattr(importing, "save_file", full)
    with pytest.raises(ResourceError, match="No space left"):
        import_weights(theirs / "a.pt", tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_without_a_config_the_architecture_is_asked_for(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(UsageError, match="which architecture") as caught:
        import_weights(tmp_path / "a.pt", tmp_path / "made")
    assert "--arch ViT-B-16/openai" in str(caught.value.hint)


def test_an_absent_file_is_said(theirs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        import_weights(theirs / "none.pt", tmp_path / "made")


def test_an_architecture_whose_weights_differ_needs_a_tag(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ViT-B-16: which weights"):
        importing._config_by_name("ViT-B-16")
    with pytest.raises(ModelError, match="unknown model"):
        importing._config_by_name("ViT-B-61")


def test_the_tag_decides_activation_and_preprocessing() -> None:
    paper, plain = (
        importing._config_by_name(f"ViT-B-16/{tag}") for tag in ("openai", "datacomp_xl_s13b_b90k")
    )
    assert (paper["model_cfg"].get("quick_gelu"), plain["model_cfg"].get("quick_gelu")) == (
        True, None,
    )  # fmt: skip
    pe = importing._config_by_name("PE-Core-B-16")
    assert pe["preprocess_cfg"]["resize_mode"] == "squash"
    assert importing._config_by_name("coca_base")["preprocess_cfg"] == {}


def test_an_imported_model_has_no_licence_that_nobody_stated(
    theirs: Path, state: State, tmp_path: Path
) -> None:
    torch.save(state, theirs / "a.pt")
    assert import_weights(theirs / "a.pt", tmp_path / "made").licence == "unknown"
    assert "license" not in json.loads((tmp_path / "made/open_clip_config.json").read_text())


def test_half_precision_stays_as_it_is(theirs: Path, tmp_path: Path) -> None:
    half = load_file(
        save_model(tmp_path / "half", CONFIGS["vit"], torch.float16) / "open_clip_model.safetensors"
    )
    torch.save(half, theirs / "a.pt")
    made = import_weights(theirs / "a.pt", tmp_path / "made")
    assert load_file(made.weights_path)["visual.proj"].dtype == torch.float16
