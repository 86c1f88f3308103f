"""The number type that `--precision auto` means."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from actcli.errors import UsageError
from actcli.models import device as device_module
from actcli.models.device import choose_precision, frames_per_pass

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("has_bf16", "is_small", "expected"),
    [(True, False, "bf16"), (True, True, "fp32"), (False, False, "fp32"), (False, True, "fp32")],
)
def test_auto_on_a_cpu_is_bf16_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, is_small: bool, expected: str
) -> None:
    monkeypatch.setattr(device_module, "multiplies_bf16", lambda: has_bf16)
    assert choose_precision("auto", CPU, is_small=is_small) == expected
    assert choose_precision("fp32", CPU, is_small=is_small) == "fp32"


def test_auto_on_mps_is_fp32() -> None:
    assert choose_precision("auto", torch.device("mps")) == "fp32"


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(UsageError, match="slower than fp32"):
        choose_precision("fp16", CPU)


@pytest.mark.skipif(
    not Path("/proc/cpuinfo").exists() or platform.machine() != "x86_64",
    reason="the flags of x86 processors are read from /proc/cpuinfo",
)
def test_what_this_cpu_multiplies_is_what_its_flags_say() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert device_module.multiplies_bf16() == bool(flags & {"avx512_bf16", "amx_tile"})


def vit(tokens: int, width: int, *, timm: bool = False) -> dict[str, tuple[int, ...]]:
    """Shapes of an image tower, and of a text tower that is wider than it."""
    positions = "trunk.pos_embed" if timm else "positional_embedding"
    block = "trunk.blocks.0.mlp.fc1" if timm else "transformer.resblocks.0.mlp.c_fc"
    return {
        f"visual.{positions}": (1, tokens, width) if timm else (tokens, width),
        f"visual.{block}.weight": (4 * width, width),
        "visual.ln_post.weight": (width,),
        "transformer.resblocks.0.mlp.c_fc.weight": (99999, 512),
    }


@pytest.mark.parametrize(
    ("shapes", "most"),
    [
        (vit(50, 768), 40),
        (vit(197, 768), 10),
        (vit(197, 768, timm=True), 10),
        (vit(257, 1024), 5),
        (vit(90000, 4096), 1),
        ({"visual.attnpool.positional_embedding": (50, 2048)}, 64),
        ({"visual.trunk.stages.0.blocks.0.mlp.fc1.weight": (512, 128)}, 64),
    ],
)
def test_a_pass_in_fp32_on_a_cpu_keeps_what_it_computes_in_the_cache(
    shapes: dict[str, tuple[int, ...]], most: int
) -> None:
    assert frames_per_pass(CPU, "fp32", shapes) == most
    assert frames_per_pass(CPU, "bf16", shapes) == 64
    assert frames_per_pass(torch.device("cuda"), "fp32", shapes) == 512
