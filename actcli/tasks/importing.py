"""Published checkpoints of methods as checkpoints of ours: key for key, nothing run.

A published file holds what was trained. The rest, the text tower above all, is the backbone's, and
that need not be here yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from actcli.cache import Cache
from actcli.checkpoint import backbone_ref, write_checkpoint
from actcli.checkpoint_info import BackboneRef, CheckpointInfo
from actcli.config import SamplingConfig, first_problem
from actcli.errors import ModelError, UsageError, shorten_list
from actcli.models.backbone import BackboneSpec, is_local
from actcli.models.catalog import find_entry
from actcli.models.resolve import find_downloaded, find_source
from actcli.tasks.models import hub_settings, import_model, pull_model
from actcli.tasks.settings import versions
from actcli.types import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

_MARK: Final = "head.context2."
"""No other layout that we read has keys of this name."""
_DEFAULTS: Final = {"proj": "ViT-B-16/openai", "attnpool.c_proj.weight": "RN50/openai"}
"""What the published configs train from, told by a key that only that image tower has."""
_TEMPLATE: Final = "a photo of {}"
_SIDE, _CROP = 256, 224


def import_file(file: str, output: str, *, architecture: str = "") -> Path:
    """Somebody's file as a model of ours; returns what `--model` takes, as a path.

    A published checkpoint of a method becomes one of ours, any other weights a folder for
    `local-dir:`.

    Raises UsageError for an output of the wrong kind, ModelError for a file that can't be read or
    doesn't fit, ResourceError if nothing can be written.
    """
    from actcli.models.pickled import read_content, weights_in

    source, target = Path(file).expanduser(), Path(output).expanduser()
    content = read_content(source)
    state = weights_in(source, content)
    if not any(name.startswith(_MARK) for name in state):
        if target.suffix == ".safetensors":
            raise UsageError(
                f"--output {output}: weights become a folder, not a file",
                hint=f"--output {target.with_suffix('')}",
            )
        return import_model(file, output, architecture=architecture).folder
    if target.suffix != ".safetensors":
        raise UsageError(
            f"--output {output}: a CLIP-FSAR checkpoint becomes one file",
            hint=f"--output {target}.safetensors",
        )
    if target.exists():
        raise UsageError(f"{target}: exists already", hint="name a new file with --output")
    settings = _settings(source, content)
    info, tensors = convert_clip_fsar(source, state, settings, architecture)
    _check_numbers(source, tensors)
    write_checkpoint(target, info, tensors)
    return target


def convert_clip_fsar(
    source: Path, state: Mapping[str, Tensor], settings: Mapping[str, Any], base: str = ""
) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """A published CLIP-FSAR `model_state` as a checkpoint of ours.

    settings:  sections of the published config by name; empty where the file has none
    base:      the backbone that it was trained from; empty takes the published configs' own

    Raises ModelError naming keys that are missing, unknown or of another shape.
    """
    from actcli.methods.clip_fsar import ClipFsar, reference_config

    ref, model_cfg = _base(base or _default_base(source, state))
    data, test = settings.get("DATA", {}), settings.get("TEST", {})
    try:
        config = reference_config(state, settings.get("TRAIN", {}))
        info = CheckpointInfo(
            method=ClipFsar.name,
            config=config.model_dump(mode="json"),
            backbone=ref,
            sampling=SamplingConfig(
                num_frames=int(data.get("NUM_INPUT_FRAMES") or 8),
                scheme="clip-fsar",
                rate=int(data.get("SAMPLING_RATE") or 50),
            ),
            transform=_transform(data),
            templates=(str(test.get("PROMPT") or _TEMPLATE),),
            training={"imported_from": source.name, "sha256": _digest(source)},
            versions=versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    except (ValueError, TypeError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else error
        raise ModelError(f"{source}: its config makes no sense ({reason})") from error
    try:
        ours = ClipFsar.from_reference(state)
    except ModelError as error:
        raise ModelError(f"{source}: {error.message}", hint=error.hint) from error
    _check_keys(source, ours, state, _expected(model_cfg, config, ref.embed_dim))
    return info, {f"method.{name}": value for name, value in ours.items()}


def _check_numbers(source: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError for weights that nothing can be computed with."""
    for name, value in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        if not (value.is_floating_point() and bool(value.isfinite().all())):
            raise ModelError(
                f"{source}: {name} holds no usable weights ({value.dtype}; expected finite "
                "floating-point numbers)"
            )


def _settings(source: Path, content: Any) -> dict[str, Any]:
    """The published config, which checkpoints carry as JSON text under `cfg`."""
    text = content.get("cfg") if isinstance(content, Mapping) else None
    if text is None:
        return {}
    try:
        settings = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{source}: its config can't be read ({error})") from error
    sections = settings.items() if isinstance(settings, Mapping) else ()
    return {name: section for name, section in sections if isinstance(section, Mapping)}


def _default_base(source: Path, state: Mapping[str, Tensor]) -> str:
    for key, name in _DEFAULTS.items():
        if f"head.backbone.{key}" in state:
            return name
    raise ModelError(
        f"{source}: which backbone was it trained from?", hint="--arch ViT-B-16/openai"
    )


def _base(name: str) -> tuple[BackboneRef, Mapping[str, Any]]:
    """The reference to a backbone and its `model_cfg`; it is not downloaded for this."""
    spec: BackboneSpec | None
    if is_local(name):
        spec = pull_model(name, hub_settings(offline=True))
    else:
        spec = find_downloaded(find_source(name), hub_settings())
    if spec is not None:
        digest = spec.digest(Cache(None).file_digest(str(spec.weights_path)).hex())
        return backbone_ref(spec, digest), spec.config["model_cfg"]
    entry = find_entry(name)
    if entry is None:
        raise ModelError(f"--arch {name}: is not here", hint=f"actcli models pull {name}")
    model = entry.model_config()
    activation: Any = "quick_gelu" if entry.quick_gelu else "gelu"
    ref = BackboneRef(
        name=entry.name, digest=None, activation=activation,
        embed_dim=model["embed_dim"], licence=entry.licence,
    )  # fmt: skip
    return ref, model


def _expected(model_cfg: Mapping[str, Any], config: Any, dim: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what a CLIP-FSAR model on this backbone holds, its text tower apart."""
    import torch

    from actcli.methods.clip_fsar import ClipFsar
    from actcli.models.towers import image_tower_shapes

    stub: Any = SimpleNamespace(embed_dim=dim)
    with torch.device("meta"):
        head = ClipFsar(stub, config).state_dict()
    shapes = {name: tuple(value.shape) for name, value in head.items()}
    tower = image_tower_shapes(model_cfg)
    return shapes | {f"backbone.model.visual.{name}": shape for name, shape in tower.items()}


def _check_keys(
    source: Path,
    ours: Mapping[str, Tensor],
    published: Mapping[str, Tensor],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    from actcli.methods.clip_fsar import ClipFsar

    name_of = dict(zip(ClipFsar.from_reference(published), published, strict=True))
    missing = [
        ClipFsar.to_reference(name)
        for name in expected
        if name not in ours and not name.endswith("num_batches_tracked")
    ]
    problems = {
        "missing": missing,
        "unknown": [name_of[name] for name in ours if name not in expected],
        "of another shape": [
            f"{name_of[name]} {tuple(value.shape)} for {expected[name]}"
            for name, value in ours.items()
            if name in expected and tuple(value.shape) != expected[name]
        ],
    }
    found = [
        f"{len(names)} {what}: {shorten_list(names, limit=3)}"
        for what, names in problems.items()
        if names
    ]
    if found:
        raise ModelError(
            f"{source}: not a CLIP-FSAR checkpoint of this backbone ({'; '.join(found)})",
            hint="--arch names the backbone that it was trained from, as in "
            + " or ".join(_DEFAULTS.values()),
        )


def _transform(data: Mapping[str, Any]) -> Preprocessing:
    """The published test transform; the UCF101 5-shot config has another mean and deviation."""
    channels: dict[str, Any] = {
        ours: tuple(map(float, data[theirs]))
        for ours, theirs in (("mean", "MEAN"), ("std", "STD"))
        if isinstance(data.get(theirs), list) and len(data[theirs]) == 3
    }
    crop = int(data.get("TEST_CROP_SIZE") or _CROP)
    return Preprocessing(crop, "squash", "bilinear", scale_px=_SIDE, antialias=False, **channels)


def _digest(file: Path) -> str:
    return Cache(None).file_digest(str(file)).hex()
