"""Published ActionCLIP checkpoints as files of ours: key for key, or refused with their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import actcli
from actcli.checkpoint import build_method, read_checkpoint, read_info
from actcli.data.prompts import TEMPLATE_SETS
from actcli.demo.clips import write_clip
from actcli.errors import ModelError
from actcli.methods.actionclip import ActionClip, ActionClipConfig, to_reference
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.tasks.importing import import_file
from tests.models.tiny_models import CONFIGS, random_frames, save_model


@pytest.fixture
def base(tmp_path: Path) -> str:
    return f"local-dir:{save_model(tmp_path / 'base', CONFIGS['quick'])}"


def published(base: str, **config: Any) -> tuple[ActionClip, dict[str, Any]]:
    """A tuned model, and its file as the authors' code writes it."""
    torch.manual_seed(1)
    backbone = OpenClipBackbone(find_backbone(base))
    method = ActionClip(backbone, ActionClipConfig(heads=1, num_frames=4, **config)).eval()
    backbone.ensure_built()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    names = {name: to_reference(name) for name in method.state_dict()}
    state = {names[name]: value.clone() for name, value in method.state_dict().items()}
    fusion = {name: value for name, value in state.items() if name.startswith("module.")}
    own = {name: value for name, value in state.items() if name not in fusion}
    if config.get("token_shift"):
        block = "visual.transformer.resblocks.0."
        own = {name.replace(block, f"{block}net."): value for name, value in own.items()}
    if fusion:  # the table that every published head has, read or not
        fusion.setdefault("module.frame_position_embeddings.weight", torch.zeros(77, 16))
    return method, {"epoch": 3, "model_state_dict": own, "fusion_model_state_dict": fusion}


@pytest.mark.parametrize(
    "config",
    [{"head": "Transf"}, {"head": "LSTM"}, {"head": "Conv_1D"},
     {"head": "meanP"}, {"head": "meanP", "joint": True}, {"head": "LSTM", "token_shift": True}],
)  # fmt: skip
def test_an_imported_checkpoint_computes_what_it_did(
    base: str, tmp_path: Path, config: dict[str, Any]
) -> None:
    method, content = published(base, **config)
    torch.save(content, tmp_path / "model_best.pt")
    made = import_file(
        str(tmp_path / "model_best.pt"), str(tmp_path / "a.safetensors"), architecture=base
    )
    rebuilt = build_method(made, *read_checkpoint(made), OpenClipBackbone(find_backbone(base)))
    frames = random_frames(3, 4, 3, 32, 32)
    names, prompts = ("run", "jump"), (("run", "to run"), ("jump", "to jump"))
    with torch.no_grad():
        found, expected = (
            m.logits(m.embed(frames), m.embed_text(names, prompts)) for m in (rebuilt, method)
        )
    torch.testing.assert_close(found, expected)


def test_it_keeps_the_published_test(base: str, tmp_path: Path) -> None:
    torch.save(published(base, head="LSTM")[1], tmp_path / "a.pt")
    info = read_info(
        import_file(str(tmp_path / "a.pt"), str(tmp_path / "a.safetensors"), architecture=base)
    )
    assert (info.sampling.scheme, info.templates) == ("actionclip", TEMPLATE_SETS["actionclip"])
    transform = info.transform
    assert (transform.size_px, transform.scale_px, transform.by_pil) == (32, 36, True)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "head"])
def test_keys_that_do_not_fit_are_named(base: str, tmp_path: Path, change: str) -> None:
    _, content = published(base, head="LSTM")
    own, fusion = content["model_state_dict"], content["fusion_model_state_dict"]
    said = {"missing": "1 missing: \"visual.proj\"", "unknown": "1 unknown: \"visual.extra\"",
            "shape": "1 of another shape: \"visual.proj", "head": "of no kind"}  # fmt: skip
    if change == "missing":
        own.pop("visual.proj")
    elif change == "unknown":
        own["visual.extra"] = torch.zeros(2)
    elif change == "shape":
        own["visual.proj"] = own["visual.proj"][:-1]
    else:
        content["fusion_model_state_dict"] = {f"module.new.{i}": v for i, v in
                                              enumerate(fusion.values())}  # fmt: skip
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ModelError) as caught:
        import_file(str(tmp_path / "a.pt"), str(tmp_path / "a.safetensors"), architecture=base)
    assert said[change] in str(caught.value)
    assert not (tmp_path / "a.safetensors").exists()


def test_eval_measures_an_import_by_its_own_frames_transform_and_prompts(
    base: str, tmp_path: Path
) -> None:
    torch.save(published(base, head="LSTM")[1], tmp_path / "a.pt")
    made = import_file(str(tmp_path / "a.pt"), str(tmp_path / "a.safetensors"), architecture=base)
    for c, label in enumerate(("run", "jump", "wave")):
        (tmp_path / "val" / label).mkdir(parents=True)
        for i in range(2):
            write_clip(tmp_path / "val" / label / f"{i}.mp4", label, seed=7000 + 10 * c + i)
    options = {"model": str(made), "workers": 0, "device": "cpu", "use_cache": False}
    result = actcli.evaluate(tmp_path / "val", **options)
    (part,), stated = result.parts, result.conditions()
    assert stated["sampling"]["scheme"] == "actionclip"
    assert tuple(stated["templates"]) == TEMPLATE_SETS["actionclip"]
    assert (stated["method"], len(part.outcomes)) == ("actionclip", 6)
    paths = [outcome.input for outcome in part.outcomes]
    found = actcli.classify(paths, list(part.labels), **options)
    assert [r.ok and r.label for r in found] == [part.labels[o.guess] for o in part.outcomes]
