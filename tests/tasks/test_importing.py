"""Published CLIP-FSAR checkpoints as files of ours: key for key, or refused with their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from actcli.checkpoint import build_method, read_checkpoint, read_info
from actcli.checkpoint_info import BackboneRef
from actcli.errors import ModelError, UsageError
from actcli.labelled import Episode, Support
from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig
from actcli.models.backbone import find_backbone
from actcli.models.catalog import find_entry
from actcli.models.open_clip import OpenClipBackbone
from actcli.tasks.importing import import_file
from actcli.tasks.published.clip_fsar import PublishedClipFsar
from actcli.types import Preprocessing, Text
from tests.models.tiny_models import CONFIGS, random_frames, save_model

KEYS = Path(__file__).parents[3] / "shared/specs/keys"
SETTINGS = {
    "TRAIN": {"MERGE_BEFORE": True, "COMBINE": True, "TEXT_COFF": 0.8},
    "DATA": {"NUM_INPUT_FRAMES": 4, "SAMPLING_RATE": 35, "MEAN": [0.45] * 3, "STD": [0.225] * 3},
    "TEST": {"PROMPT": "a clip of {}"},
}


@pytest.fixture(params=["quick", "resnet"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"local-dir:{save_model(tmp_path / 'base', CONFIGS[request.param])}"


def published(base: str) -> tuple[ClipFsar, dict[str, Tensor]]:
    """A tuned model on a backbone, and its weights in the published layout."""
    torch.manual_seed(1)
    backbone = OpenClipBackbone(find_backbone(base))
    method = ClipFsar(backbone, ClipFsarConfig(merge_before=True, text_weight=0.8)).eval()
    with torch.no_grad():
        for parameter in backbone.image_tower.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    state = {
        ClipFsar.to_reference(name): value.clone()
        for name, value in method.state_dict().items()
        if not name.startswith("backbone.") or ".visual." in name
    }
    return method, state


def save(path: Path, state: dict[str, Tensor], settings: Any = SETTINGS) -> Path:
    torch.save({"epoch": 3, "model_state": state, "cfg": json.dumps(settings)}, path)
    return path


def test_an_imported_checkpoint_computes_what_it_did(base: str, tmp_path: Path) -> None:
    method, state = published(base)
    file = save(tmp_path / "checkpoint_epoch_00003.pyth", state)
    made = import_file(str(file), str(tmp_path / "fsar.safetensors"), architecture=base)
    rebuilt = build_method(made, *read_checkpoint(made), OpenClipBackbone(find_backbone(base)))
    size = method.backbone.input_size
    frames = random_frames(5, 4, 3, size, size)
    support, query = method.embed(frames[:4]), method.embed(frames[4:])
    torch.testing.assert_close(rebuilt.embed(frames[:4]), support)
    names = ("a", "b")
    text = Text(names, (("a",), ("b",)), method.backbone.encode_text(list(names))[:, None])
    episode = Episode(Support(support, torch.tensor([0, 1, 0, 1])), query, text)
    torch.testing.assert_close(rebuilt.episode_logits(episode), method.episode_logits(episode))


def test_the_switches_frames_and_transform_are_those_of_its_config(
    base: str, tmp_path: Path
) -> None:
    _, state = published(base)
    made = import_file(
        str(save(tmp_path / "c.pyth", state)), str(tmp_path / "f.safetensors"), architecture=base
    )
    info = read_info(made)
    config = ClipFsarConfig.model_validate(info.config)
    assert (config.merge_before, config.text_weight, config.depth) == (True, 0.8, 1)
    assert (info.sampling.scheme, info.sampling.rate, info.sampling.num_frames) == (
        "clip-fsar", 35, 4,
    )  # fmt: skip
    assert info.transform == Preprocessing(
        224, "squash", "bilinear", mean=(0.45,) * 3, std=(0.225,) * 3, scale_px=256,
        antialias=False,
    )  # fmt: skip
    assert info.templates == ("a clip of {}",)
    assert info.backbone.digest is not None


def test_without_a_config_the_published_defaults_hold(tmp_path: Path) -> None:
    base = f"local-dir:{save_model(tmp_path / 'base', CONFIGS['quick'])}"
    _, state = published(base)
    torch.save(state, tmp_path / "bare.pth")
    made = import_file(
        str(tmp_path / "bare.pth"), str(tmp_path / "f.safetensors"), architecture=base
    )
    info = read_info(made)
    assert info.templates == ("a photo of {}",)
    assert (info.sampling.num_frames, info.sampling.rate) == (8, 50)
    assert not ClipFsarConfig.model_validate(info.config).merge_before


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "tower"])
def test_keys_that_do_not_fit_are_named_and_nothing_is_written(change: str, tmp_path: Path) -> None:
    base = f"local-dir:{save_model(tmp_path / 'base', CONFIGS['quick'])}"
    _, state = published(base)
    key = {"tower": "head.backbone.proj"}.get(change, "head.context2.layers.0.1.net.3.bias")
    value = state.pop(key)
    said = {"missing": "1 missing", "tower": "1 missing", "shape": "1 of another shape"}
    if change == "unknown":
        state |= {key: value, "head.classification_layer.weight": value}
        said["unknown"] = "1 unknown"
        key = "head.classification_layer.weight"
    if change == "shape":
        state[key] = value[:-1]
    out = tmp_path / "f.safetensors"
    with pytest.raises(ModelError) as caught:
        import_file(str(save(tmp_path / "c.pyth", state)), str(out), architecture=base)
    assert said[change] in str(caught.value)
    assert key in str(caught.value)
    assert not out.exists()


def test_the_output_must_suit_what_the_file_holds(tmp_path: Path) -> None:
    base = f"local-dir:{save_model(tmp_path / 'base', CONFIGS['quick'])}"
    _, state = published(base)
    file = save(tmp_path / "c.pyth", state)
    with pytest.raises(UsageError, match="becomes one file"):
        import_file(str(file), str(tmp_path / "folder"), architecture=base)
    with pytest.raises(UsageError, match="become a folder, not a file"):
        import_file(
            str(tmp_path / "base/open_clip_model.safetensors"), str(tmp_path / "x.safetensors")
        )
    (tmp_path / "there.safetensors").write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        import_file(str(file), str(tmp_path / "there.safetensors"), architecture=base)


def test_a_config_that_is_no_json_is_refused(tmp_path: Path) -> None:
    base = f"local-dir:{save_model(tmp_path / 'base', CONFIGS['quick'])}"
    _, state = published(base)
    torch.save({"model_state": state, "cfg": "{"}, tmp_path / "c.pyth")
    with pytest.raises(ModelError, match="its config can't be read"):
        import_file(str(tmp_path / "c.pyth"), str(tmp_path / "f.safetensors"), architecture=base)


def expected(base: str) -> dict[str, tuple[int, ...]]:
    """Our name -> shape of what a published checkpoint on a backbone holds."""
    entry = find_entry(base)
    assert entry is not None
    layout = PublishedClipFsar(Path("c.pyth"), {}, {})
    model = entry.model_config()
    ref = BackboneRef(name=base, digest=None, activation="quick_gelu",
                      embed_dim=model["embed_dim"])  # fmt: skip
    return layout.expected(layout.info(ref, model), model)


@pytest.mark.skipif(not KEYS.is_dir(), reason=f"no lists of published keys ({KEYS})")
@pytest.mark.parametrize(
    ("name", "file"), [("RN50/openai", "RN50"), ("ViT-B-16/openai", "ViT-B-16")]
)
def test_the_published_layouts_are_what_is_expected_key_for_key(name: str, file: str) -> None:
    text = (KEYS / f"clip_fsar_model_state_{file}.json").read_text()
    theirs = {key: tuple(shape) for key, shape in json.loads(text)["tensors"].items()}
    entry = find_entry(name)
    assert entry is not None
    ours = expected(name)
    assert {ClipFsar.to_reference(key): shape for key, shape in ours.items()} == theirs


def test_the_backbone_is_told_by_the_keys_and_need_not_be_here(tmp_path: Path) -> None:
    entry = find_entry("RN50/openai")
    assert entry is not None
    shapes = expected("RN50/openai")
    with torch.device("meta"):
        state = {ClipFsar.to_reference(key): torch.empty(shape) for key, shape in shapes.items()}
    (tmp_path / "c.pyth").write_text("")
    layout = PublishedClipFsar(tmp_path / "c.pyth", {}, state)
    layout._check_numbers = lambda tensors: None  # type: ignore[method-assign]
    info, _ = layout.convert()
    assert (info.backbone.name, info.backbone.activation) == ("RN50/openai", "quick_gelu")


@pytest.mark.parametrize(
    "settings",
    [
        {"DATA": {"NUM_INPUT_FRAMES": "many"}},
        {"DATA": {"NUM_INPUT_FRAMES": 1000}},
        {"DATA": {"MEAN": ["a", "b", "c"]}},
        {"DATA": {"TEST_CROP_SIZE": -3}},
        {"TEST": {"PROMPT": "no slot"}},
        {"TRAIN": {"COMBINE": True, "TEXT_COFF": 7}},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(settings: Any, tmp_path: Path) -> None:
    base = f"local-dir:{save_model(tmp_path / 'base', CONFIGS['quick'])}"
    file = save(tmp_path / "c.pyth", published(base)[1], settings)
    with pytest.raises(ModelError, match="makes no sense"):
        import_file(str(file), str(tmp_path / "c.safetensors"), architecture=base)
    assert not (tmp_path / "c.safetensors").exists()


@pytest.mark.parametrize("value", [float("nan"), None])
def test_weights_that_are_no_numbers_are_refused(value: float | None, tmp_path: Path) -> None:
    base = f"local-dir:{save_model(tmp_path / 'base', CONFIGS['quick'])}"
    state = published(base)[1]
    name = next(name for name in state if name.endswith("norm.weight"))
    state[name] = state[name].long() if value is None else torch.full_like(state[name], value)
    file = save(tmp_path / "c.pyth", state)
    with pytest.raises(ModelError, match="no usable weights"):
        import_file(str(file), str(tmp_path / "c.safetensors"), architecture=base)
