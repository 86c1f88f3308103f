"""open_clip's model of a config, holding given weights, for all families that we read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from actcli.errors import ModelError
from actcli.models.backbone import BackboneSpec
from actcli.models.weights import build_from

_SCALES: Final = ("logit_scale", "logit_bias")
"""Kept by the backbone, in float32."""
_DECODER: Final = "text_decoder."
"""Of CoCa: writes captions, and has no part in an embedding."""
_BAD_CONFIG: Final = (
    TypeError,
    ValueError,
    KeyError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
)


def build_towers(spec: BackboneSpec) -> Any:
    """open_clip's model with the weights of its file, on the CPU in the file's dtype.

    Raises ModelError if open_clip refuses the config or the weights do not fit it.
    """
    with _named(spec.name, spec.weights_path):
        return build_with(spec.config["model_cfg"], load_file(spec.weights_path))


def check_weights(owner: Path, model_cfg: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Raise ModelError unless the tensors are those that an architecture needs."""
    with _named(str(owner), owner):
        build_with(model_cfg, state)


def build_with(model_cfg: Mapping[str, Any], state: Mapping[str, Tensor]) -> Any:
    """open_clip's model of a config with these weights, less the scale and bias.

    Raises ModelError for weights that do not fit, and whatever open_clip raises.
    """
    import open_clip

    construct, is_custom = _constructor(model_cfg)
    if is_custom:
        # Files from before there were custom text towers lack the prefix "text.".
        state = open_clip.model.convert_to_custom_text_state_dict(dict(state))
    is_ours = {name: name not in _SCALES and not name.startswith(_DECODER) for name in state}
    return build_from(construct, {name: t for name, t in state.items() if is_ours[name]})


def empty_model(model_cfg: Mapping[str, Any]) -> Any:
    """open_clip's model of an architecture, less the scale and bias; nothing is allocated."""
    import torch

    construct, _ = _constructor(model_cfg)
    with torch.device("meta"):
        return construct()


def _constructor(model_cfg: Mapping[str, Any]) -> tuple[Callable[[], Any], bool]:
    """What makes open_clip's model, and whether its text tower is a module of its own."""
    import open_clip

    settings: dict[str, Any] = deepcopy(dict(model_cfg))
    is_custom = settings.pop("custom_text", False) or "multimodal_cfg" in settings
    family = open_clip.CustomTextCLIP if is_custom else open_clip.CLIP
    if "multimodal_cfg" in settings:
        family = open_clip.CoCa
    if "timm_model_name" in settings["vision_cfg"]:
        settings["vision_cfg"]["timm_model_pretrained"] = False  # or timm would download

    def construct() -> Any:
        model = family(**settings)
        for name in (*_SCALES, _DECODER.rstrip(".")):
            if hasattr(model, name):
                delattr(model, name)
        return model

    return construct, bool(is_custom)


@contextmanager
def _named(name: str, weights: Path) -> Iterator[None]:
    """Whatever goes wrong in a build is a ModelError that says whose."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{weights}: cannot be read ({error})") from error
    except ModelError as error:
        raise ModelError(f"{name}: {error.message}", hint=error.hint) from error
    except _BAD_CONFIG as error:
        raise ModelError(
            f"{name}: open_clip cannot build what the config describes ({error})",
            hint="use the open_clip_config.json that came with the weights",
        ) from error
