"""Where a model runs and in which number type."""

from __future__ import annotations

from typing import Final

import torch

from actcli.errors import ResourceError, UsageError

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
