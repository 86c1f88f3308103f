"""Checkpoint files: whole or as before, every byte checked, and back to the same method."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from actcli.checkpoint import (
    build_method,
    changed_tensors,
    check_backbone,
    find_checkpoint,
    read_checkpoint,
    read_info,
    write_checkpoint,
)
from actcli.checkpoint_info import SCHEMA, BackboneRef, CheckpointInfo, SupportClip
from actcli.config import SamplingConfig
from actcli.errors import ModelError, ResourceError
from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.models.weight_file import read_header
from actcli.types import Preprocessing
from tests.methods.conftest import FakeBackbone
from tests.models.tiny_models import CONFIGS, random_frames, save_model


def info_of(method: ClipFsar, **more: Any) -> CheckpointInfo:
    ref = BackboneRef(name="fake", digest="f" * 64, activation="gelu", embed_dim=8)
    return CheckpointInfo(
        method=method.name, config=method.config.model_dump(mode="json"), backbone=ref,
        sampling=SamplingConfig(num_frames=4), transform=Preprocessing(32, "squash"),
        labels=("run", "jump"), prompts=(("a",), ("b",)), versions={"actcli": "0"}, **more,
    )  # fmt: skip


@pytest.fixture
def method() -> ClipFsar:
    torch.manual_seed(3)
    backbone: Any = FakeBackbone()
    backbone.device = torch.device("cpu")
    return ClipFsar(backbone, ClipFsarConfig(mlp_dim=16)).eval()


@pytest.fixture
def file(method: ClipFsar, tmp_path: Path) -> Path:
    path = tmp_path / "head.safetensors"
    write_checkpoint(path, info_of(method), changed_tensors(method))
    return path


def test_what_was_written_is_read(file: Path, method: ClipFsar) -> None:
    info, tensors = read_checkpoint(file)
    assert info.model_copy(update={"digest": "", "content": ""}) == info_of(method)
    assert read_info(file) == info
    rebuilt = build_method(file, info, tensors, method.backbone)
    assert rebuilt.config == method.config
    assert not rebuilt.training
    for name, value in method.state_dict().items():
        assert torch.equal(rebuilt.state_dict()[name], value), name


def test_the_backbones_own_weights_are_not_kept(file: Path) -> None:
    assert all(name.startswith("method.") and "backbone" not in name for name in load_file(file))


def test_a_tower_that_learns_is_kept_whole(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "base", CONFIGS["resnet"])
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{folder}"))
    method = ClipFsar(backbone, ClipFsarConfig(heads=4, mlp_dim=16)).eval()
    backbone.freeze(("text", "scale"))
    with torch.no_grad():
        for parameter in backbone.image_tower.parameters():
            parameter.mul_(1.1)
    frames = random_frames(2, 3, 3, 64, 64)
    expected = method.embed(frames)
    kept = changed_tensors(method)
    assert any("running_mean" in name for name in kept)
    assert not any(".transformer." in name or "token_embedding" in name for name in kept)
    fresh = OpenClipBackbone(find_backbone(f"local-dir:{folder}"))
    path = tmp_path / "tuned.safetensors"
    ref = BackboneRef(name="x", digest=None, activation="gelu", embed_dim=16)
    write_checkpoint(path, info_of(method).model_copy(update={"backbone": ref}), kept)
    rebuilt = build_method(path, *read_checkpoint(path), fresh)
    torch.testing.assert_close(rebuilt.embed(frames), expected)
    assert rebuilt.cache_key() != fresh.digest


@pytest.mark.parametrize("place", ["tensor", "header"])
def test_a_changed_byte_is_noticed(file: Path, place: str) -> None:
    content = bytearray(file.read_bytes())
    if place == "tensor":
        content[-1] ^= 1
    else:
        at = content.index(b"jump")
        content[at : at + 4] = b"wave"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="changed or damaged since it was written"):
        read_checkpoint(file)


def test_a_changed_number_of_the_config_is_noticed(file: Path) -> None:
    header = read_header(file)
    stated = json.loads(header.metadata["actcli"])
    stated["sampling"]["num_frames"] = 5
    save_file(load_file(file), file, {"actcli": json.dumps(stated)})
    with pytest.raises(ModelError, match="changed or damaged"):
        read_checkpoint(file)


def test_the_content_is_the_same_whenever_it_was_made(method: ClipFsar, tmp_path: Path) -> None:
    def content(changes: dict[str, Any]) -> str:
        path = tmp_path / "a.safetensors"
        write_checkpoint(path, info_of(method, **changes), changed_tensors(method))
        return read_info(path).content

    now = content({"created": "now"})
    assert content({"created": "then", "training": {"epochs": 2}}) == now
    assert content({"created": "now", "templates": ("a clip of {}",)}) != now


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ("run", "run"), "prompts": (("a",), ("b",))}, "labels"),
        ({"labels": ("run", ""), "prompts": (("a",), ("b",))}, "labels"),
        ({"labels": ("run",)}, "prompts"),
        ({"labels": ("run", "jump"), "prompts": (("a",), ("b", "c"))}, "prompts"),
        ({"templates": ("no slot",)}, "templates"),
        ({"support": (SupportClip(input="a", label="walk"),)}, "support"),
        ({"text_weight": 1.5}, "text_weight"),
        ({"compact": True}, "compact"),
    ],
)  # fmt: skip
def test_a_header_that_contradicts_itself_is_refused(
    method: ClipFsar, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path, info = tmp_path / "a.safetensors", info_of(method).model_copy(update=changes)
    write_checkpoint(path, info, changed_tensors(method))
    with pytest.raises(ModelError, match=f"damaged.*{said}"):
        read_info(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"truncated|not a safetensors file"):
        read_info(file)


def test_a_newer_schema_is_refused_and_named(file: Path) -> None:
    save_file(load_file(file), file, {"actcli": json.dumps({"schema": "actcli.checkpoint/2"})})
    with pytest.raises(ModelError, match=f"newer actcli .*checkpoint/2, expected {SCHEMA}"):
        read_info(file)


def test_what_a_later_version_adds_to_the_schema_is_passed_over(
    file: Path, method: ClipFsar
) -> None:
    stated = json.loads(read_header(file).metadata["actcli"]) | {"mood": "good"}
    from actcli.checkpoint import _canonical
    from actcli.models.tensor_file import digest_of

    stated["digest"] = digest_of(load_file(file), _canonical(stated))
    save_file(load_file(file), file, {"actcli": json.dumps(stated)})
    info, _ = read_checkpoint(file)
    assert info.method == method.name


def test_another_projects_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"x": torch.ones(2)}, path)
    with pytest.raises(ModelError, match="not a checkpoint of actcli"):
        read_info(path)


def test_a_file_that_is_not_there_and_a_run_folder(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ModelError, match="no such checkpoint file"):
        find_checkpoint(str(tmp_path / "no.safetensors"))
    assert find_checkpoint("ViT-B-16/openai") is None
    assert find_checkpoint(str(tmp_path)) is None
    file.rename(tmp_path / "best.safetensors")
    assert find_checkpoint(str(tmp_path)) == tmp_path / "best.safetensors"


def test_tensors_that_do_not_fit_are_named(file: Path, method: ClipFsar) -> None:
    info, tensors = read_checkpoint(file)
    for change in ("missing", "unknown", "shape"):
        changed = dict(tensors)
        value = changed.pop("method.temporal.0.to_q.weight")
        if change == "unknown":
            changed |= {"method.temporal.0.to_q.weight": value, "method.other": value}
        if change == "shape":
            changed["method.temporal.0.to_q.weight"] = value[:, :2]
        with pytest.raises(ModelError, match=r"does not fit the method clip-fsar"):
            build_method(file, info, changed, method.backbone)


def test_a_method_of_a_later_version_is_refused(file: Path, method: ClipFsar) -> None:
    info, tensors = read_checkpoint(file)
    other = info.model_copy(update={"method": "tomorrow"})
    with pytest.raises(ModelError, match=r"a method that this version lacks .*got tomorrow"):
        build_method(file, other, tensors, method.backbone)


@pytest.mark.parametrize(
    ("config", "digest", "match"),
    [("vit", "0" * 64, "made with another backbone"), ("quick", "f" * 64, "activation"),
     ("resnet", "f" * 64, "embed_dim")],
)  # fmt: skip
def test_another_backbone_is_refused(
    file: Path, tmp_path: Path, config: str, digest: str, match: str
) -> None:
    sizes = {**CONFIGS[config], "embed_dim": 24 if config == "resnet" else 8}
    spec = find_backbone(f"local-dir:{save_model(tmp_path / config, sizes)}")
    with pytest.raises(ModelError, match=match):
        check_backbone(file, read_info(file), spec, digest)


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    file: Path, method: ClipFsar, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        write_checkpoint(file, info_of(method), changed_tensors(method))
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_written_file_has_the_permissions_of_other_files(file: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode
