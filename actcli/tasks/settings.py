"""What a run is set to: the user's settings, a checkpoint's where the user set none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from actcli.cache import Cache
from actcli.checkpoint import find_checkpoint, read_info
from actcli.checkpoint_info import CheckpointInfo
from actcli.config import SamplingConfig, TaskConfig, first_problem
from actcli.errors import ModelError, UsageError, did_you_mean
from actcli.models.backbone import BackboneSpec

C = TypeVar("C", bound=TaskConfig)


def backbone_name(config: TaskConfig, info: CheckpointInfo | None) -> str:
    """The name of the backbone that a run needs.

    Raises UsageError for `--backbone` beside a model that is no checkpoint.
    """
    if info is not None:
        return config.backbone or info.backbone.name
    if config.backbone is not None:
        raise UsageError(
            f"--backbone: is for checkpoints (got --model {config.model})",
            hint=f"--model {config.backbone}",
        )
    return config.model


def needed_model(config: TaskConfig) -> str:
    """The name of the model that must be here, or is downloaded first."""
    path = find_checkpoint(config.model)
    return backbone_name(config, read_info(path) if path else None)


def method_config(kind: Any, options: Mapping[str, Any]) -> Any:
    """The config of a method's class with these options.

    Raises UsageError naming the option.
    """
    try:
        return kind.Config.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = kind.Config.model_fields
            raise UsageError(
                f"--set {name}: the method {kind.name} has no such option",
                hint=did_you_mean(name, known) or f"it has {', '.join(known)}",
            ) from error
        if first["type"] == "value_error":  # one of ours
            raise UsageError(f"--set {first_problem(error)}") from error
        raise UsageError(f"--set {name}: {first['msg']} (got {first['input']!r})") from error


def settled(config: C, info: CheckpointInfo | None) -> C:
    """The config with what a checkpoint decides where the user set nothing."""
    if info is None:
        return config
    given = {name: getattr(config.sampling, name) for name in config.sampling.model_fields_set}
    try:
        sampling = SamplingConfig.model_validate(info.sampling.model_dump() | given)
    except ValidationError as error:
        raise UsageError(f"{config.model}: {first_problem(error)}") from error
    update: dict[str, Any] = {"sampling": sampling}
    if info.templates and "templates" not in config.model_fields_set:
        update["templates"] = info.templates
    return config.model_copy(update=update)


def versions() -> dict[str, str]:
    """What computed a result: Python and the packages that matter."""
    import platform
    from importlib.metadata import version

    packages = ("actcli", "torch", "open_clip_torch", "av", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def model_digest(spec: BackboneSpec, cache: Cache) -> str:
    """The digest of a model's weights with its config; raises ModelError.

    The weights are read once, and again if they changed.
    """
    try:
        return spec.digest(cache.file_digest(str(spec.weights_path)).hex())
    except OSError as error:
        raise ModelError(f"--model {spec.name}: the weights can't be read ({error})") from error


def check_crops(config: TaskConfig, spec: BackboneSpec) -> None:
    """Raise UsageError for three crops of frames that are not cropped along one side."""
    how = spec.preprocessing.resize
    if config.sampling.num_crops > 1 and (how != "shortest" or not spec.preprocessing.antialias):
        raise UsageError(
            f"--views: {spec.name} sees the whole frame ({how}), of which there are no three crops",
            hint=f"--views {config.sampling.num_views}",
        )
