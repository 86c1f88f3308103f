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
COCA_VISION = {**VIT, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
COCA_TEXT = {**TEXT, "embed_cls": True, "output_tokens": True}
CLIPA = {**VIT, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True}


def timm(name: str, size: int, pool: str, proj: str | None) -> dict[str, Any]:
    """A config of an image tower of timm's, its text tower a module of its own."""
    vision = {"image_size": size, "timm_model_name": name, "timm_pool": pool, "timm_proj": proj}
    return {**BASE, "custom_text": True, "vision_cfg": vision}


CONFIGS: dict[str, dict[str, Any]] = {
    "vit": BASE,
    "quick": {**BASE, "quick_gelu": True},
    "resnet": {**BASE, "vision_cfg": RESNET},
    "custom": {**BASE, "custom_text": True},
    "eos": {**BASE, "text_cfg": {**TEXT, "pool_type": "eos", "eos_id": 49407}},
    "pe": {**BASE, "custom_text": True, "vision_cfg": {**PE, "timm_proj": None}},
    "eva02": timm("eva02_tiny_patch14_224", 224, "token", "linear"),
    "convnext": {**timm("convnext_atto", 64, "", "linear"), "custom_text": False},
    "vitamin": timm("vitamin_small_224", 224, "", "linear"),
    "clipa": {
        **BASE,
        "vision_cfg": CLIPA,
        "text_cfg": {**TEXT, "no_causal_mask": True, "pool_type": "last"},
    },
    # MobileCLIP2 looks both ways and still pools the end token.
    "mobile": {
        **timm("fastvit_mci0", 64, "avg", None),
        "text_cfg": {**TEXT, "no_causal_mask": True},
    },
    "first": {
        **BASE,
        "custom_text": True,
        "text_cfg": {**TEXT, "no_causal_mask": True, "pool_type": "first"},
    },
    "coca": {
        **BASE,
        "custom_text": True,
        "vision_cfg": COCA_VISION,
        "text_cfg": COCA_TEXT,
        "multimodal_cfg": {**TEXT, "attn_pooler_heads": 2},
    },
    "siglip": {
        **BASE,
        "custom_text": True,
        "init_logit_bias": -10,
        "text_cfg": {**BIDIRECTIONAL, "tokenizer_kwargs": {"clean": "canonicalize"}},
    },
}
LONG = "a video of a person " + "walking and " * 8 + "falling"
PROMPTS = ["run", "a video of a person sitting down", "jump!", "Wave, with the left hand"]


def build_model(config: dict[str, Any]) -> Any:
    """open_clip's model of a config, by its constructors."""
    import open_clip

    settings = json.loads(json.dumps(config))
    is_custom = settings.pop("custom_text", False)
    if "multimodal_cfg" in settings:
        return open_clip.CoCa(**settings)
    return (open_clip.CustomTextCLIP if is_custom else open_clip.CLIP)(**settings)


def disturb(name: str, value: torch.Tensor) -> torch.Tensor:
    """A weight as training might leave it: nothing is zero or one all over, or too small to tell.

    Without this a lost scale or bias would not show, and in families whose blocks begin by doing
    nothing every picture would have the same embedding.
    """
    if not value.is_floating_point() or name.startswith("logit"):
        return value.clone()
    is_flat = value.ndim < 2 or value.std() < 1e-4
    noise = 0.1 * torch.randn_like(value) if is_flat else torch.zeros_like(value)
    return value + (noise.abs() if "running_var" in name else noise)


def save_model(folder: Path, config: dict[str, Any], dtype: torch.dtype = torch.float32) -> Path:
    """Write a model whose every weight is random, so that a lost one would show."""
    torch.manual_seed(0)
    state = {name: disturb(name, value) for name, value in build_model(config).state_dict().items()}
    for name, value in state.items():
        if value.is_floating_point() and not name.startswith("logit"):
            state[name] = value.to(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "open_clip_model.safetensors")
    saved = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(saved))
    return folder


def random_frames(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
