"""One safetensors file that is a ready model: changed tensors, and all that is needed to use them.

What a file says of itself is read from its header in milliseconds, without torch. Its tensors are

    method.<name>        what differs from the backbone's own weights, by the method's names
    support.values       [S, T', D], un-normalised embeddings of a few-shot file's support clips
    support.targets      [S]
    prototypes.values    [C, T', D], of a compact one, instead of the two above
    text.values          [C, P, D], un-normalised embeddings of the prompts

The digest in the header is that of everything else, so that no byte can change unnoticed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from actcli.checkpoint_info import SCHEMA, BackboneRef, CheckpointInfo
from actcli.config import first_problem
from actcli.demo import HEAD_PATH
from actcli.errors import ModelError
from actcli.models.backbone import DEMO_HEAD, BackboneSpec, is_local
from actcli.models.weight_file import read_header
from actcli.registry import METHODS, resolve

if TYPE_CHECKING:
    from torch import Tensor

    from actcli.methods.base import Method

_FAMILY: Final = "actcli.checkpoint/"
BEST_NAME: Final = "best.safetensors"
_KEY: Final = "actcli"
_METHOD: Final = "method."
_NO_CONTENT: Final = ("digest", "content", "created", "versions", "training")


def find_checkpoint(name: str) -> Path | None:
    """The checkpoint file that a `--model` name means, or None for the name of a model.

    A run's folder means its `best.safetensors`. Raises ModelError for a file that isn't there.
    """
    if name == DEMO_HEAD:
        return HEAD_PATH
    path = Path(name)
    if name.endswith(".safetensors"):
        if not path.is_file():
            raise ModelError(f"{name}: no such checkpoint file")
        return path
    if os.path.isdir(path) and (path / BEST_NAME).is_file():
        return path / BEST_NAME
    if all(os.path.isfile(path / part) for part in ("run.json", "log.jsonl")):
        raise ModelError(
            f"{name}: a run without its {BEST_NAME}", hint="finetune … --resume, or another run"
        )
    return None


def read_info(path: Path) -> CheckpointInfo:
    """What a checkpoint says of itself; no tensor is read.

    Raises ModelError for a file that is truncated, of a newer schema, or none of ours.
    """
    return _validate(path, _read_stated(path))


def read_checkpoint(path: Path) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """A checkpoint whole, every byte checked.

    Raises ModelError as `read_info`, and for content that is not what was written.
    """
    from actcli.models.tensor_file import digest_of, load_tensors

    stated = _read_stated(path)
    info, tensors = _validate(path, stated), load_tensors(path)
    if digest_of(tensors, _canonical(stated)) != info.digest:
        raise ModelError(
            f"{path}: changed or damaged since it was written (its digest differs)",
            hint="copy the file again, or make it anew",
        )
    return info, tensors


def write_checkpoint(path: Path, info: CheckpointInfo, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint; what stood at `path` stays until the new file is whole.

    Raises ResourceError if it can't be written.
    """
    from actcli.models.tensor_file import digest_of, owned, save_tensors

    kept, stated = owned(tensors), info.stated()
    stated["content"] = digest_of(kept, _canonical(stated, _NO_CONTENT))
    stated["digest"] = digest_of(kept, _canonical(stated))
    save_tensors(path, kept, {_KEY: json.dumps(stated, sort_keys=True)})


def _read_stated(path: Path) -> dict[str, Any]:
    """The header as it stands, of our schema, but not yet validated."""
    header = read_header(path)
    try:
        stated: dict[str, Any] = json.loads(header.metadata[_KEY])
        schema = stated["schema"]
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path}: not a checkpoint of actcli (its header doesn't say so)",
            hint="a folder of weights is --model local-dir:PATH; other projects' files: "
            "actcli models import",
        ) from error
    if not isinstance(schema, str) or not schema.startswith(_FAMILY):
        raise ModelError(f"{path}: not a checkpoint of actcli (got schema {schema!r})")
    if schema != SCHEMA:
        raise ModelError(
            f"{path}: made by a newer actcli (got {schema}, expected {SCHEMA})",
            hint="pip install --upgrade actcli",
        )
    return stated


def _validate(path: Path, stated: Mapping[str, Any]) -> CheckpointInfo:
    try:
        return CheckpointInfo.model_validate(stated)
    except ValidationError as error:
        raise ModelError(f"{path}: damaged ({first_problem(error)})") from error


def _canonical(stated: Mapping[str, Any], without: Collection[str] = ("digest",)) -> str:
    """What a digest covers besides tensors."""
    covered = {key: value for key, value in stated.items() if key not in without}
    return json.dumps(covered, sort_keys=True, separators=(",", ":"))


def check_backbone(path: Path, info: CheckpointInfo, spec: BackboneSpec, digest: str) -> None:
    """Raise ModelError unless a backbone is the one that a checkpoint was made with."""
    wanted = info.backbone
    if wanted.digest not in (None, digest):
        raise ModelError(
            f"{path}: made with another backbone (got {spec.name}, {digest[:12]}…; "
            f"expected {wanted.name}, {str(wanted.digest)[:12]}…)",
            hint=_where(wanted.name),
        )
    for name in ("embed_dim", "activation"):
        got, expected = getattr(spec, name), getattr(wanted, name)
        if got != expected:
            raise ModelError(
                f"{path}: made for another backbone ({name}: got {got} in {spec.name}, "
                f"expected {expected})"
            )
    size, wants = spec.preprocessing.size_px, info.transform.size_px
    if size != wants:
        raise ModelError(f"{path}: of {wants} px (got {size} px of {spec.name})")


def _where(backbone: str) -> str:
    if is_local(backbone):
        return "--backbone local-dir:FOLDER says where its weights are now"
    return f"leave --backbone out; actcli models show {backbone}"


def missing_backbone(path: Path, info: CheckpointInfo, error: ModelError) -> ModelError:
    """The error of a backbone that can't be had, told with the checkpoint that needs it."""
    hint = _where(info.backbone.name) if is_local(info.backbone.name) else error.hint
    return ModelError(f"{path}: its backbone: {error.message}", hint=hint)


def backbone_ref(spec: BackboneSpec, digest: str | None) -> BackboneRef:
    """How a checkpoint names its backbone: the folder of a `local-dir:` in full."""
    name = spec.name
    if name.startswith("local-dir:"):
        name = f"local-dir:{spec.folder.absolute()}"
    return BackboneRef(
        name=name, digest=digest, activation=spec.activation,
        embed_dim=spec.embed_dim, licence=spec.licence,
    )  # fmt: skip


def changed_tensors(method: Method) -> dict[str, Tensor]:
    """What a method holds that its backbone's file does not: [name in a checkpoint] -> tensor."""
    return {_METHOD + name: value for name, value in own_tensors(method).items()}


def own_tensors(method: Method) -> dict[str, Tensor]:
    """The same under the names of the method.

    Of a tower that learns, or learned before, everything is kept, its buffers too.
    """
    backbone = method.backbone
    learning = {name for name, p in method.named_parameters() if p.requires_grad}

    def is_changed(name: str) -> bool:
        if not name.startswith("backbone.") or name in learning:
            return True
        if name.startswith("backbone.model.visual."):
            return not backbone.image_tower_is_original
        return name.startswith("backbone.model.") and not backbone.text_tower_is_original

    return {name: value for name, value in method.state_dict().items() if is_changed(name)}


def build_method(
    path: Path, info: CheckpointInfo, tensors: Mapping[str, Tensor], backbone: Any
) -> Method:
    """The method of a checkpoint on its backbone, ready to use.

    Raises ModelError for a method that this version lacks, or tensors that don't fit it.
    """
    if info.method not in METHODS:
        raise ModelError(
            f"{path}: of a method that this version lacks (got {info.method}, expected one of "
            f"{', '.join(METHODS)})",
            hint="pip install --upgrade actcli",
        )
    kind = resolve(METHODS, info.method)
    own = {
        name.removeprefix(_METHOD): value
        for name, value in tensors.items()
        if name.startswith(_METHOD)
    }
    try:
        method: Method = kind(backbone, kind.Config.model_validate(info.config))
        if any(name.startswith("backbone.") for name in own):
            backbone.ensure_built()
        found = method.load_state_dict(own, strict=False)
    except ValidationError as error:
        raise ModelError(
            f"{path}: does not fit the method {info.method} ({first_problem(error)})"
        ) from error
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"{path}: does not fit the method {info.method} ({reason})") from error
    missing = [name for name in found.missing_keys if not name.startswith("backbone.")]
    if missing or found.unexpected_keys:
        odd = [*missing, *found.unexpected_keys][:3]
        raise ModelError(f"{path}: does not fit the method {info.method} ({', '.join(odd)})")
    return method.to(backbone.device).eval()
