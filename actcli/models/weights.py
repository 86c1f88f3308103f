"""Weights into modules: built straight from their file, without drawing random ones first.

On torch's meta device a constructor allocates and initialises nothing; the tensors of a file then
take the places of the empty parameters, memory-mapped. What this loses are buffers that are not
saved: they are computed again for the families known here, and any other module is built the
usual, slower way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from actcli.errors import ModelError, shorten_list
from actcli.models.backbone import BackboneSpec

log = logging.getLogger("actcli.models.weights")

_IMAGE = "visual"
_CAUSAL_TOWERS = {"CLIP", "TextTransformer"}
_SELF_RESTORING = {"RotaryEmbeddingCat", "EvaAttention"}


def read_scale(spec: BackboneSpec) -> tuple[Tensor, Tensor | None]:
    """The scalars logit_scale and logit_bias in float32; the bias of sigmoid models only."""
    try:
        with safe_open(spec.weights_path, framework="pt") as file:
            scale = file.get_tensor("logit_scale").float().reshape(())
            if spec.score_kind == "softmax":
                return scale, None
            return scale, file.get_tensor("logit_bias").float().reshape(())
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelError(f"{spec.weights_path}: cannot be read ({error})") from error


def build_from(construct: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> nn.Module:
    """The module that `construct` makes, holding the tensors of `state`, on the CPU.

    The tensors are taken over, not copied, in whatever dtype they have. Raises what `construct`
    raises, and ModelError if names or shapes do not fit.
    """
    try:
        with torch.device("meta"):
            module = construct()
    except RuntimeError:  # perhaps it computes with values, which meta tensors do not have
        return _build_normally(construct, state)
    _check_fit(module, state)
    module.load_state_dict(state, strict=True, assign=True)
    for owner, name in list(_meta_buffers(module)):
        _restore(owner, name)
    return _build_normally(construct, state) if _is_on_meta(module) else module


def _build_normally(construct: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> nn.Module:
    # Initial weights are drawn only to be replaced: the caller's random state must not move.
    with torch.random.fork_rng(devices=[]):
        module = construct()
    log.info("built the slow way: the model computes buffers that this version does not know")
    _check_fit(module, state)
    module.load_state_dict(state, strict=True, assign=True)
    return module


def _check_fit(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raise ModelError unless `state` has the names and shapes that the module needs."""
    expected = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    # Counters of batch normalisation are absent from old files, and mean nothing once trained.
    needed = {name for name in expected if not name.endswith("num_batches_tracked")}
    shared = sorted(expected.keys() & state.keys())
    problems = {
        "missing": sorted(needed - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "of another shape": [
            f"{name} {tuple(state[name].shape)} for {expected[name]}"
            for name in shared
            if tuple(state[name].shape) != expected[name]
        ],
    }
    found = [
        f"{len(names)} {what}: {shorten_list(names, limit=3)}"
        for what, names in problems.items()
        if names
    ]
    if found:
        raise ModelError(
            f"the weights do not fit the config ({'; '.join(found)})",
            hint="use the open_clip_config.json that came with the weights",
        )


def _meta_buffers(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for owner in module.modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if buffer.is_meta:
                yield owner, name


def _restore(owner: nn.Module, name: str) -> None:
    """Compute a lost buffer again, if it is of a family known here."""
    buffer = owner.get_buffer(name)
    family = type(owner).__name__
    if name == "attn_mask" and family in _CAUSAL_TOWERS:
        mask = torch.full(buffer.shape, float("-inf")).triu_(1)
        owner.register_buffer(name, mask, persistent=False)
    elif family in _SELF_RESTORING and hasattr(owner, "init_non_persistent_buffers"):
        for lost, empty in list(owner.named_buffers(recurse=False)):
            owner.register_buffer(lost, torch.empty_like(empty, device="cpu"), persistent=False)
        restore: Any = owner.init_non_persistent_buffers
        restore()


def _is_on_meta(module: nn.Module) -> bool:
    """Whether any parameter, buffer or plain tensor attribute is still without values."""
    held: list[object] = [*module.parameters(), *module.buffers()]
    held += [value for part in module.modules() for value in vars(part).values()]
    return any(isinstance(value, Tensor) and value.is_meta for value in held)


def identity(model: nn.Module) -> tuple[object, object]:
    """What changes when the image tower, and what else a model has, is wrapped, trained, made
    trainable or given other weights."""
    image: list[object] = []
    rest: list[object] = []
    for name, module in model.named_modules():
        (image if name.startswith(_IMAGE) else rest).append((name, type(module)))
    for name, p in model.named_parameters():
        about = (name, p.data_ptr(), p._version, p.requires_grad)
        (image if name.startswith(_IMAGE) else rest).append(about)
    return image, rest
