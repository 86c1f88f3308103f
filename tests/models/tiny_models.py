"""Tiny models with random weights, saved as the folders that `local-dir:` names."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

VIT = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
BASE: dict[str, Any] = {"embed_dim": 16, "vision_cfg": VIT, "text_cfg": TEXT}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 16}
# Rotary positions: a buffer that files do not hold, computed again after a build on meta.
PE = {"image_size": 384, "timm_model_name": "vit_pe_core_tiny_patch16_384", "timm_pool": "map"}
BIDIRECTIONAL = {**TEXT, "no_causal_mask": True, "pool_type": "last", "proj_bias": True}

CONFIGS: dict[str, dict[str, Any]] = {
    "vit": BASE,
    "quick": {**BASE, "quick_gelu": True},
    "resnet": {**BASE, "vision_cfg": RESNET},
    "custom": {**BASE, "custom_text": True},
    "eos": {**BASE, "text_cfg": {**TEXT, "pool_type": "eos", "eos_id": 49407}},
    "pe": {**BASE, "custom_text": True, "vision_cfg": {**PE, "timm_proj": None}},
    "siglip": {
        **BASE,
        "custom_text": True,
        "init_logit_bias": -10,
        "text_cfg": {**BIDIRECTIONAL, "tokenizer_kwargs": {"clean": "canonicalize"}},
    },
}
LONG = "a video of a person " + "walking and " * 8 + "falling"
PROMPTS = ["run", "a video of a person sitting down", "jump!", "Wave, with the left hand"]


def save_model(folder: Path, config: dict[str, Any], dtype: torch.dtype = torch.float32) -> Path:
    """Write a model whose every weight is random, so that a lost one would show."""
    import open_clip

    settings = json.loads(json.dumps(config))
    family = open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP
    torch.manual_seed(0)
    state = {name: value.clone() for name, value in family(**settings).state_dict().items()}
    for name, value in state.items():
        if value.is_floating_point() and not name.startswith("logit"):
            state[name] = (value + 0.02 * torch.randn_like(value).abs()).to(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "open_clip_model.safetensors")
    saved = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(saved))
    return folder


def random_frames(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
