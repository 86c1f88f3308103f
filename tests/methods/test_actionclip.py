"""What ActionCLIP refuses, shares with zero-shot CLIP, and does inside the image tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from actcli.errors import ModelError
from actcli.labelled import LabelledEmbeddings, PixelBatch
from actcli.methods.actionclip import ActionClip, ActionClipConfig
from actcli.methods.base import Method
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from tests.models.tiny_models import CONFIGS, random_frames, save_model

LABELS, PROMPTS = ("run", "jump"), (("run", "to run"), ("jump", "to jump"))


@pytest.fixture
def tower(tmp_path: Path) -> OpenClipBackbone:
    torch.manual_seed(0)
    return OpenClipBackbone(find_backbone(f"local-dir:{save_model(tmp_path, CONFIGS['vit'])}"))


def make(backbone: Any, **config: Any) -> ActionClip:
    torch.manual_seed(0)
    return ActionClip(backbone, ActionClipConfig(**config)).eval()


def batch(method: ActionClip, values: Tensor) -> LabelledEmbeddings:
    text = Method(method.backbone).embed_text(LABELS, PROMPTS)
    return LabelledEmbeddings(
        values, torch.tensor([0, 1, 0, 1])[: len(values)],
        type(text)(text.labels, text.prompts, text.values.detach()), torch.arange(2),
        torch.full((len(values), 4), 0.6), torch.rand(2), torch.arange(len(values)),
    )  # fmt: skip


def test_without_time_inside_the_tower_embeddings_are_those_of_clip(
    tower: OpenClipBackbone,
) -> None:
    assert make(tower, head="LSTM").cache_key() == Method(tower).cache_key()
    assert make(tower, token_shift=True).cache_key() != Method(tower).cache_key()


def test_a_shifted_tower_sees_the_order_of_frames_and_is_left_as_it_was(
    tower: OpenClipBackbone,
) -> None:
    frames = random_frames(2, 4, 3, 32, 32)
    plain, shifted = Method(tower).eval(), make(tower, token_shift=True, head="meanP")
    with torch.no_grad():
        before = plain.embed(frames)
        ours = shifted.embed(frames)
        turned = shifted.embed(frames.flip(1)).flip(1)
        assert torch.equal(plain.embed(frames), before)
    assert ours.shape == before.shape
    assert not torch.allclose(ours, before, atol=1e-4)
    assert not torch.allclose(ours, turned, atol=1e-4)
    torch.testing.assert_close(plain.embed(frames.flip(1)).flip(1), before)


def test_joint_frames_make_one_embedding_and_need_their_number(tower: OpenClipBackbone) -> None:
    method = make(tower, joint=True, head="meanP", num_frames=4)
    assert method.embed(random_frames(2, 4, 3, 32, 32)).shape == (2, 1, 16)
    with pytest.raises(ModelError, match="made for 4 frames") as caught:
        method.embed(random_frames(2, 5, 3, 32, 32))
    assert caught.value.hint == "--frames 4"


def test_a_class_token_head_needs_its_number_of_frames(tower: OpenClipBackbone) -> None:
    method = make(tower, head="Transf_cls", num_frames=4)
    assert method.whole_video(torch.randn(2, 4, 16)).shape == (2, 16)
    with pytest.raises(ModelError, match="made for 4 frames"):
        method.whole_video(torch.randn(2, 5, 16))


def test_towers_that_cannot_are_named() -> None:
    demo = OpenClipBackbone(find_backbone("demo"))
    with pytest.raises(ModelError, match=r"token_shift: needs .* ModifiedResNet"):
        make(demo, token_shift=True)
    with pytest.raises(ModelError, match="joint: needs"):
        make(demo, joint=True, head="meanP")
    with pytest.raises(ModelError, match="3 heads do not divide"):
        make(demo, heads=3)
    with pytest.raises(ValidationError, match="head=meanP"):
        ActionClipConfig(joint=True)


@pytest.mark.parametrize("learn", ["head", "image", "all"])
def test_what_is_to_learn_gets_gradients_and_nothing_else(
    tower: OpenClipBackbone, learn: str
) -> None:
    method = make(tower, head="LSTM", learn=learn)
    method.start_learning()
    frames = random_frames(4, 4, 3, 32, 32)
    empty = batch(method, torch.empty(4, 4, 0))
    whole = method.train()(PixelBatch(frames, empty))
    whole["contrast"].backward()
    moved = {name for name, p in method.named_parameters() if p.grad is not None and p.grad.any()}
    parts = {"head": any(n.startswith("head.") for n in moved),
             "image": any(n.startswith("backbone.model.visual.") for n in moved),
             "text": any(n.startswith("backbone.model.t") for n in moved),
             "scale": "backbone.logit_scale" in moved}  # fmt: skip
    assert parts == {"head": True, "image": learn != "head", "text": learn == "all",
                     "scale": learn == "all"}  # fmt: skip
    grouped = {id(p) for group in method.param_groups(1e-3) for p in group["params"]}
    assert grouped == {id(p) for p in method.parameters() if p.requires_grad}
    assert (method.cache_key() == method.backbone.digest) == (learn == "head")
    assert (method.text_key() == method.backbone.digest) == (learn != "all")


def test_clips_that_are_computed_again_give_the_same_gradients(tower: OpenClipBackbone) -> None:
    method = make(tower, head="Transf", learn="image", token_shift=True)
    method.start_learning()
    frames, empty = random_frames(4, 4, 3, 32, 32), batch(method, torch.empty(4, 4, 0))
    found = []
    for held in (None, 1, 3):
        method.zero_grad()
        method.clips_held = held
        method(PixelBatch(frames, empty))["contrast"].backward()
        found.append([p.grad.clone() for p in method.parameters() if p.grad is not None])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-6)


def test_the_head_learns_ten_times_as_fast_beside_towers(tower: OpenClipBackbone) -> None:
    method = make(tower)
    method.start_learning()
    assert [group["lr"] for group in method.param_groups(1.0)] == [1.0, 1.0, 10.0]
    assert ActionClip.training_defaults(method.config)["weight_decay"] == 0.2


def test_a_whole_batch_of_one_class_teaches_nothing_and_is_no_error(
    tower: OpenClipBackbone,
) -> None:
    method = make(tower, head="LSTM")
    data = batch(method, torch.randn(4, 4, 16))
    data.targets.fill_(1)
    assert bool(torch.isfinite(method(data)["contrast"]))
    assert method.accuracy == 1.0
