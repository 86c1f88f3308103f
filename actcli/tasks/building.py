"""The method of a run, built from its files: here, in another process, or on another machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actcli.cache import Cache
from actcli.checkpoint import build_method, read_checkpoint
from actcli.checkpoint_info import CheckpointInfo
from actcli.config import RunConfig
from actcli.errors import ModelError, UsageError
from actcli.models.backbone import BackboneSpec
from actcli.tasks.models import hub_settings, pull_model
from actcli.tasks.settings import method_config

if TYPE_CHECKING:
    from torch import Tensor

    from actcli.methods.base import Method

_SMALL_BYTES = 100_000_000
"""Weights of models whose forward pass takes less time than decoding its frames."""


@dataclass(frozen=True, slots=True)
class Built:
    """A method on its device."""

    method: Method
    precision: str
    tensors: dict[str, Tensor]
    """of the checkpoint, by their names in it; none where the model is no checkpoint"""


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """All that decides a method; picklable, so that others can build the same one.

    path, info: of the checkpoint, if the model is one
    digest: of the backbone
    is_exact: fp32 where the precision is auto
    kind: the name of the method where the model is no checkpoint
    options: of the method's config, over its defaults or over what a checkpoint has
    """

    path: Path | None
    info: CheckpointInfo | None
    spec: BackboneSpec
    digest: str
    run: RunConfig
    is_exact: bool
    kind: str
    options: Mapping[str, Any]

    def on(self, device: str, precision: str) -> ModelPlan:
        """The same on another device, in a precision that was chosen already."""
        run = self.run.model_copy(update={"device": device, "precision": precision})
        return replace(self, run=run)

    def build(self) -> Built:
        """The method on its device, ready to embed.

        Raises UsageError for options that it hasn't, ModelError for files that don't fit.
        """
        import torch

        from actcli.models.device import DTYPES, choose_device, choose_precision, use_exact_float32
        from actcli.registry import BACKBONES, METHODS, resolve
        from actcli.video.cores import available_cores

        if torch.get_num_threads() > (cores := available_cores()):
            torch.set_num_threads(cores)  # a container may have fewer than the machine
        spec, device = self._files_here(), choose_device(self.run.device)
        wanted = self.run.precision
        wanted = "fp32" if self.is_exact and wanted == "auto" else wanted
        is_small = spec.weights_path.stat().st_size < _SMALL_BYTES
        precision = choose_precision(wanted, device, is_small=is_small)
        if device.type == "cuda" and precision == "fp32":
            use_exact_float32()
        backbone = resolve(BACKBONES, "open_clip")(
            spec, digest=self.digest, dtype=DTYPES[precision], device=device
        )
        if self.path is None:
            kind = resolve(METHODS, self.kind)
            torch.manual_seed(self.run.seed)  # new weights are the same for the same seed
            method: Method = kind(backbone, method_config(kind, self.options))
            return Built(method.to(device).eval(), precision, {})
        info, tensors = read_checkpoint(self.path)
        stated = {**info.config, **self.options}
        if self.options and info.method in METHODS:
            method_config(resolve(METHODS, info.method), stated)
        info = info.model_copy(update={"config": stated})
        try:
            return Built(build_method(self.path, info, tensors, backbone), precision, tensors)
        except ModelError as error:
            if not self.options:
                raise
            raise UsageError(
                error.message, hint="leave --set out: it asks for other weights"
            ) from error

    def _files_here(self) -> BackboneSpec:
        """Where the weights are on this machine, which may not be the one that made the plan."""
        if self.spec.weights_path.exists():
            return self.spec
        found = pull_model(self.spec.name, hub_settings(), report=None, licences=())
        digest = found.digest(Cache(None).file_digest(str(found.weights_path)).hex())
        if digest != self.digest:
            raise ModelError(
                f"{self.spec.name}: its weights on {platform.node()} are others",
                hint=f"actcli models pull {self.spec.name} on every machine",
            )
        return replace(found, preprocessing=self.spec.preprocessing)
