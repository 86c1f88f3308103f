"""Where a model runs and in which number type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch

from actcli.errors import ResourceError, UsageError

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_FRAMES_PER_PASS: Final = {"cpu": 64, "mps": 64, "cuda": 512}
_POSITIONS: Final = ("visual.positional_embedding", "visual.trunk.pos_embed")
"""[tokens, width] of a ViT of open_clip's own, or of timm."""
_CPU_PASS_BYTES: Final = 24 << 20
"""Of the widest tensor of a pass in fp32. What does not stay in a CPU's cache is written and read
again: 64 frames of a ViT-B-16 take a fifth longer than eight passes of eight. In bf16, where small
products lose more than that, they do not."""


def choose_device(name: str) -> torch.device:
    """The device that `--device` means; `auto` takes CUDA, then MPS, then the CPU.

    Raises UsageError for what is no device name, ResourceError for one that is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"--device: unknown device (got {name!r}, expected auto, cpu, cuda, cuda:N or mps)"
        ) from error
    count = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= count:
        raise ResourceError(
            f"--device: {name} is not there (this machine has {count} {device.type} devices)",
            hint="use --device auto",
        )
    return device


def choose_precision(name: str, device: torch.device, *, is_small: bool = False) -> str:
    """fp32, bf16 or fp16.

    `auto` is the widest fast type on CUDA, and bf16 on a CPU that multiplies it, fp32 elsewhere.

    is_small: whether the model is so small that reading frames takes longer than it does: on a CPU
        it then stays in fp32, whose results are the same for any batch
    """
    if name == "fp16" and device.type == "cpu":
        raise UsageError(
            "--precision: fp16 is slower than fp32 on a CPU", hint="use --precision bf16 or fp32"
        )
    if name != "auto":
        return name
    if device.type == "cpu":
        return "bf16" if multiplies_bf16() and not is_small else "fp32"
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def frames_per_pass(
    device: torch.device, precision: str, shapes: Mapping[str, tuple[int, ...]]
) -> int:
    """How many frames go through an image tower at once, where the user does not say.

    shapes: of the model's tensors by name; those of a ViT tell how wide what it computes is
    """
    most = _FRAMES_PER_PASS.get(device.type, 64)
    tokens = max((shapes[name][-2] for name in _POSITIONS if name in shapes), default=0)
    widths = [
        shape[0]
        for name, shape in shapes.items()
        if name.startswith("visual.") and ".mlp." in name and len(shape) == 2
    ]
    if device.type != "cpu" or precision != "fp32" or not tokens or not widths:
        return most
    each = tokens * max(widths) * DTYPES[precision].itemsize
    return max(1, min(most, _CPU_PASS_BYTES // each))


def multiplies_bf16() -> bool:
    """Whether this CPU has instructions for products in bf16; without them it is slower."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def use_exact_float32() -> None:
    """Keep CUDA from computing float32 convolutions with TF32's ten bits, as it would unasked."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def is_out_of_memory(error: Exception) -> bool:
    """Whether a forward pass failed for lack of memory, on any device."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
