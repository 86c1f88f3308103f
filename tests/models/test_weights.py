"""Modules built straight from weights equal those built the usual way, buffers and all."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from actcli.errors import ModelError
from actcli.models.backbone import find_backbone
from actcli.models.towers import build_towers
from actcli.models.weights import build_from
from tests.models.tiny_models import CONFIGS, build_model


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)


class WithUnknownBuffer(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(4.0), persistent=False)


class WithPlainTensor(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.arange(4.0)


class ReadsValues(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.arange(4.0)[0].item()


STATE = {"linear.weight": torch.ones(2, 2), "linear.bias": torch.zeros(2)}


def test_tensors_are_taken_over_without_a_copy() -> None:
    module: Any = build_from(Plain, STATE)
    assert module.linear.weight.data_ptr() == STATE["linear.weight"].data_ptr()


@pytest.mark.parametrize("family", [WithUnknownBuffer, WithPlainTensor, ReadsValues])
def test_what_the_fast_way_would_lose_is_built_the_usual_way(
    family: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        module = build_from(family, STATE)
    assert "built the slow way" in caplog.text
    assert torch.equal(module.linear.weight, STATE["linear.weight"])
    assert getattr(module, "first", 0.0) == 0.0
    assert torch.equal(getattr(module, "table", torch.arange(4.0)), torch.arange(4.0))


@pytest.mark.parametrize("family", [Plain, WithUnknownBuffer])
def test_building_does_not_move_the_random_state(family: Callable[[], Any]) -> None:
    before = torch.get_rng_state()
    build_from(family, STATE)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_does_not_fit_is_named() -> None:
    state = {"linear.weight": torch.ones(3, 2), "extra": torch.ones(1)}
    with pytest.raises(ModelError) as caught:
        build_from(Plain, state)
    assert caught.value.message == (
        'the weights do not fit the config (1 missing: "linear.bias"; 1 unexpected: "extra"; '
        '1 of another shape: "linear.weight (3, 2) for (2, 2)")'
    )


@pytest.mark.parametrize("family", list(CONFIGS))
def test_every_tensor_equals_that_of_a_normal_build(
    family: str, folder_of: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    state = load_file(folder_of(family) / "open_clip_model.safetensors")
    normal = build_model(CONFIGS[family])
    normal.load_state_dict(state)
    with caplog.at_level(logging.INFO, logger="actcli"):
        ours = build_towers(find_backbone(f"local-dir:{folder_of(family)}"))
    assert not caplog.records
    tensors = [*normal.named_parameters(), *normal.named_buffers()]
    expected = {n: t for n, t in tensors if not n.startswith(("logit_", "text_decoder."))}
    actual = dict([*ours.named_parameters(), *ours.named_buffers()])
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
