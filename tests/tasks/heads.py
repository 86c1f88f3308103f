"""A CLIP-FSAR head for the demo model, its weights random: stands in for a trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from actcli.checkpoint import backbone_ref, changed_tensors, write_checkpoint
from actcli.checkpoint_info import CheckpointInfo
from actcli.config import SamplingConfig
from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone


def save_head(path: Path, **config: Any) -> Path:
    torch.manual_seed(0)
    backbone = OpenClipBackbone(find_backbone("demo"))
    method = ClipFsar(backbone, ClipFsarConfig(mlp_dim=64, **config))
    info = CheckpointInfo(
        method=method.name, config=method.config.model_dump(mode="json"),
        backbone=backbone_ref(backbone.spec, backbone.digest), sampling=SamplingConfig(),
        transform=backbone.spec.preprocessing, templates=("a photo of {}",),
    )  # fmt: skip
    write_checkpoint(path, info, changed_tensors(method))
    return path
