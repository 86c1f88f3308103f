"""Other people's weights as a folder of ours: checked, kept as safetensors, there whole or not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file

from actcli.errors import ModelError, ResourceError, UsageError
from actcli.models.backbone import LOCAL_PREFIX, TOKENIZER_NAMES, BackboneSpec, find_backbone
from actcli.models.catalog import entries, find_entry, read_architecture, refuse_unknown
from actcli.models.model_config import CONFIG_NAME, read_config, refuse_foreign_towers
from actcli.models.pickled import read_tensors
from actcli.models.tensor_file import owned
from actcli.models.towers import check_weights
from actcli.models.weight_file import PREFERRED_NAMES
from actcli.models.weights import read_scale

_TOKENIZER_FILES: Final = (*TOKENIZER_NAMES, "special_tokens_map.json")


def import_weights(file: Path, folder: Path, *, architecture: str = "") -> BackboneSpec:
    """Write the weights of a file as the folder of a model, and return that model.

    file:          what torch.save wrote, or a safetensors file
    folder:        absent or empty; it appears when all of it is written and was read back
    architecture:  by open_clip's names, with the tag of weights that need the same activation and
                   preprocessing; empty takes the config beside the file

    Raises UsageError for a folder that holds something, ModelError for a file that is none of
    weights or whose weights do not fit, ResourceError if it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists already", hint="name a new folder with --output")
    config = _config_by_name(architecture) if architecture else _config_beside(file)
    refuse_foreign_towers(architecture or file, config["model_cfg"])
    state = owned(read_tensors(file))
    check_weights(file, config["model_cfg"], state)
    draft = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        draft.mkdir(parents=True)
        save_file(state, draft / PREFERRED_NAMES[0], {"format": "pt"})
        stated = draft / CONFIG_NAME
        stated.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        # The library's files are for their owner alone, whatever the umask says.
        (draft / PREFERRED_NAMES[0]).chmod(stated.stat().st_mode)
        for name in _TOKENIZER_FILES:
            if (file.parent / name).is_file():
                shutil.copyfile(file.parent / name, draft / name)
        read_scale(find_backbone(f"{LOCAL_PREFIX}{draft}"))
        os.replace(draft, folder)
    except OSError as error:
        raise ResourceError(f"{folder}: cannot be written ({error.strerror or error})") from error
    except ModelError as error:  # about the draft, of which nobody knows
        said = error.message.replace(str(draft / PREFERRED_NAMES[0]), str(file))
        raise ModelError(said.replace(str(draft), str(folder)), hint=error.hint) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return find_backbone(f"{LOCAL_PREFIX}{folder}")


def _config_beside(file: Path) -> dict[str, Any]:
    if not (file.parent / CONFIG_NAME).is_file():
        raise UsageError(
            f"{file}: which architecture? (there is no {CONFIG_NAME} beside it)",
            hint="add --arch with the weights that it was made from: --arch ViT-B-16/openai",
        )
    config = read_config(file.parent)
    return {key: config[key] for key in ("model_cfg", "preprocess_cfg")}


def _config_by_name(name: str) -> dict[str, Any]:
    """What weights like those of a name need.

    Raises ModelError for a bare architecture whose weights differ in what they need: the wrong
    activation or pixel range costs accuracy in silence.
    """
    entry = find_entry(name)
    if entry is None:
        found = [e for e in entries().values() if e.architecture == name]
        if len({_needs(e.quick_gelu, e.preprocess) for e in found}) > 1:
            raise refuse_unknown(name)
        entry = found[0] if found else None
    if entry is not None:
        return {"model_cfg": entry.model_config(), "preprocess_cfg": dict(entry.preprocess)}
    try:
        return {"model_cfg": read_architecture(name), "preprocess_cfg": {}}
    except ModelError:
        raise refuse_unknown(name) from None


def _needs(quick_gelu: bool, preprocess: Mapping[str, Any]) -> str:
    return json.dumps([quick_gelu, preprocess], sort_keys=True)
