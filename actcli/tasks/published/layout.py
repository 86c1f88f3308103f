"""What published layouts have in common, and how a file in one becomes a checkpoint of ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError

from actcli.cache import Cache
from actcli.checkpoint import backbone_ref
from actcli.checkpoint_info import BackboneRef, CheckpointInfo
from actcli.config import first_problem
from actcli.errors import ModelError, shorten_list
from actcli.models.backbone import BackboneSpec, is_local
from actcli.models.catalog import find_entry
from actcli.models.resolve import find_downloaded, find_source
from actcli.tasks.models import hub_settings, pull_model
from actcli.tasks.settings import versions

if TYPE_CHECKING:
    from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


class PublishedLayout(ABC):
    """A file in the layout of a method's authors.

    content:  what it holds
    state:    its weights, under the published names
    """

    title: ClassVar[str]
    article: ClassVar[str]
    bases: ClassVar[tuple[str, ...]]
    """The backbones of the published configs."""

    def __init__(self, source: Path, content: Any, state: Mapping[str, Tensor]) -> None:
        self.source, self.content, self.state = source, content, state

    def convert(self, base: str = "") -> tuple[CheckpointInfo, dict[str, Tensor]]:
        """The file as a checkpoint of ours.

        base: the backbone that it was trained from; empty takes the published configs' own

        Raises ModelError naming keys that are missing, unknown or of another shape.
        """
        ref, model_cfg = _base(base or self.default_base())
        try:
            info = self.info(ref, model_cfg).model_copy(
                update={
                    "training": {
                        "imported_from": self.source.name,
                        "sha256": Cache(None).file_digest(str(self.source)).hex(),
                    },
                    "versions": versions(),
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )
        except (ValueError, TypeError) as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else error
            raise ModelError(f"{self.source}: its config makes no sense ({reason})") from error
        except ModelError as error:
            raise ModelError(f"{self.source}: {error.message}", hint=error.hint) from error
        ours = self._check_keys(self.expected(info, model_cfg))
        self._check_numbers(ours)
        return info, {f"method.{name}": value for name, value in ours.items()}

    @abstractmethod
    def default_base(self) -> str:
        """The backbone that the weights themselves tell of."""

    @abstractmethod
    def info(self, ref: BackboneRef, model_cfg: Mapping[str, Any]) -> CheckpointInfo:
        """What the checkpoint is to say of itself."""

    @abstractmethod
    def rename(self, name: str) -> str | None:
        """A published key as ours, "" for what nothing reads, None for what can't be one."""

    @abstractmethod
    def published(self, name: str) -> str:
        """One of our keys as the published layout has it."""

    @abstractmethod
    def expected(self, info: CheckpointInfo, model_cfg: Mapping[str, Any]) -> Shapes:
        """Our name -> shape of all that the file must hold."""

    def _base_unknown(self) -> ModelError:
        return ModelError(
            f"{self.source}: which backbone was it trained from?",
            hint=f"--arch {' or '.join(self.bases)}",
        )

    def _check_keys(self, expected: Shapes) -> dict[str, Tensor]:
        """The weights under our names; raises ModelError naming those that don't fit."""
        ours: dict[str, Tensor] = {}
        unknown, misshapen = [], []
        for name, value in self.state.items():
            own = self.rename(name)
            if own == "":
                continue
            if own is None or own not in expected:
                unknown.append(name)
            elif tuple(value.shape) != expected[own]:
                misshapen.append(f"{name} {tuple(value.shape)} for {expected[own]}")
            if own is not None:
                ours[own] = value
        missing = [
            self.published(name)
            for name in expected
            if name not in ours and not name.endswith("num_batches_tracked")
        ]
        problems = {"missing": missing, "unknown": unknown, "of another shape": misshapen}
        found = [
            f"{len(names)} {what}: {shorten_list(names, limit=3)}"
            for what, names in problems.items()
            if names
        ]
        if found:
            raise ModelError(
                f"{self.source}: not {self.article} {self.title} checkpoint of this backbone "
                f"({'; '.join(found)})",
                hint="--arch names the backbone that it was trained from, as in "
                + " or ".join(self.bases),
            )
        return ours

    def _check_numbers(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise ModelError for weights that nothing can be computed with."""
        for name, value in tensors.items():
            if name.endswith("num_batches_tracked"):
                continue
            if not (value.is_floating_point() and bool(value.isfinite().all())):
                raise ModelError(
                    f"{self.source}: {name} holds no usable weights ({value.dtype}; expected "
                    "finite floating-point numbers)"
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


def head_shapes(kind: Any, config: Any, dim: int, model: Any) -> Shapes:
    """What a method holds besides its backbone; nothing is allocated."""
    import torch

    stub: Any = SimpleNamespace(embed_dim=dim, image_tower=model.visual)
    with torch.device("meta"):
        return shapes_of(kind(stub, config))


def shapes_of(module: Any, prefix: str = "") -> Shapes:
    """Name -> shape of all that a module holds."""
    return {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}
