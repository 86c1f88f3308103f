"""The number type that `--precision auto` means."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from actcli.errors import UsageError
from actcli.models import device as device_module
from actcli.models.device import choose_precision

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
