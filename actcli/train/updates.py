"""From gradients to weights: the optimiser with its groups, schedule, clipping and precision.

Weights, optimiser and running means are in float32 whatever a step computes in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from actcli.config_train import TrainConfig
from actcli.errors import ResourceError, UsageError
from actcli.methods.base import Method
from actcli.models.device import DTYPES
from actcli.train.schedule import multistep, warm_cosine
from actcli.train.state import optimizer_tensors, restore_optimizer

_BETAS: Final = (0.9, 0.98)
_FLOOR: Final = 1e-3
"""Share of the learning rate that a cosine ends with."""


class Updates:
    """What changes the weights of a method, step by step.

    Raises UsageError for a method of which nothing learns.
    """

    def __init__(self, method: Method, config: TrainConfig, num_steps: int) -> None:
        self._method, self._config, self._num_steps = method, config, num_steps
        self._device = method.backbone.device
        self.amp = choose_amp(config.amp, self._device)
        groups = [g for g in method.param_groups(config.learning_rate) if g["params"]]
        if not groups:
            raise UsageError(f"{method.name}: nothing of it learns, for every part is off")
        self._optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, betas=_BETAS, weight_decay=config.weight_decay
        )
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self.amp == "fp16")
        means = _learning(method) if config.ema else ()
        self._ema = {name: parameter.detach().clone() for name, parameter in means}

    @property
    def groups(self) -> list[dict[str, Any]]:
        """What the optimiser changes, group by group."""
        return self._optimizer.param_groups

    @property
    def num_learning(self) -> int:
        """How many numbers are learned."""
        return sum(p.numel() for group in self._optimizer.param_groups for p in group["params"])

    def begin(self, step: int) -> float:
        """Forget gradients and set the rates of a 0-based step; returns that of the first group."""
        factor = self._factor(step)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = factor * rate
        self._optimizer.zero_grad(set_to_none=True)
        first: float = self._rates[0]
        return factor * first

    def autocast(self) -> torch.autocast:
        """The precision of forward passes."""
        enabled = self.amp != "fp32"
        return torch.autocast(self._device.type, dtype=DTYPES[self.amp], enabled=enabled)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def apply(self) -> None:
        """Change the weights by the gradients, clipped, and their running means after them."""
        self._scaler.unscale_(self._optimizer)
        if self._config.clip_norm is not None:
            learning = [p for group in self._optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(learning, self._config.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        decay = self._config.ema
        for name, parameter in _learning(self._method) if decay else ():
            self._ema[name].lerp_(parameter.detach(), 1 - (decay or 0.0))

    def _factor(self, step: int) -> float:
        total, config = self._num_steps, self._config
        warm_up = min(total, max(1, round(config.warm_up * total))) if config.warm_up else 0
        if config.schedule == "cosine":
            return warm_cosine(step, total, warm_up=warm_up, floor=_FLOOR)
        marks = [round(mark * total) for mark in config.milestones]
        return multistep(
            step, warm_up=warm_up, milestones=marks if config.schedule == "multistep" else ()
        )

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The method holds the running mean of its weights, if one is kept, while this lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in _learning(self._method) if self._ema else ():
            kept = parameter.data.clone()
            parameter.data.copy_(self._ema[name])
            self._ema[name] = kept

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that goes on from step to step besides the weights, part by part."""
        scaler = {name: torch.tensor(value) for name, value in self._scaler.state_dict().items()}
        return {"ema": self._ema, "optimizer": optimizer_tensors(self._optimizer), "scaler": scaler}

    def restore(self, parts: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put back what `tensors` gave.

        Raises KeyError, ValueError or RuntimeError for the parts of another model.
        """
        restore_optimizer(self._optimizer, parts["optimizer"])
        for name, value in parts["ema"].items():
            self._ema[name].copy_(value)
        if parts["scaler"]:
            state: dict[str, Any] = {name: v.item() for name, v in parts["scaler"].items()}
            self._scaler.load_state_dict(state)


def choose_amp(name: str, device: torch.device) -> str:
    """What training steps compute in; auto is bf16 on a GPU that has it, else fp32.

    Raises ResourceError for fp16 where gradients can't be scaled.
    """
    if name == "fp16" and device.type != "cuda":
        raise ResourceError(
            f"--precision fp16: not for training on {device.type}", hint="--precision bf16 or fp32"
        )
    if name != "auto":
        return name
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def _learning(method: Method) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in method.named_parameters() if p.requires_grad]
