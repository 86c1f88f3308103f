"""Read `open_clip_config.json`: what it must hold, and what it says about frames.

Nothing here imports torch or open_clip.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

from actcli.errors import ModelError, shorten_list
from actcli.reading import parse_json, read_at_most, shown
from actcli.types import Interpolation, Preprocessing, ResizeMode

_MOST_BYTES: Final = 1 << 24
_LARGEST_SIZE: Final = 10_000_000
_MOST_LAYERS: Final = 1000
CONFIG_NAME: Final = "open_clip_config.json"
WHAT_TO_TYPE: Final = (
    "type --model demo (it knows drawn figures only), or --model local-dir:PATH "
    f"for a folder that holds {CONFIG_NAME} and its .safetensors file"
)


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config, holding the sections that a model needs.

    Raises ModelError if the folder or the file is missing, or the file is something else.
    """
    path = folder / CONFIG_NAME
    if not os.path.isdir(folder):
        what = "is not a folder" if os.path.exists(folder) else "no such folder"
        raise ModelError(f"{folder}: {what}", hint=WHAT_TO_TYPE)
    try:
        config = parse_json(read_at_most(path, _MOST_BYTES) or b"")
    except FileNotFoundError as error:
        found = sorted(child.name for child in folder.iterdir())
        raise ModelError(
            f"{folder}: no {CONFIG_NAME} (found {shorten_list(found) or 'nothing'})",
            hint=WHAT_TO_TYPE,
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise ModelError(f"{path}: not JSON ({error})", hint="copy the file again") from error
    sections = config.get("model_cfg") if isinstance(config, dict) else None
    for key, kind in (("embed_dim", int), ("vision_cfg", dict), ("text_cfg", dict)):
        if not isinstance(sections, dict) or not isinstance(sections.get(key), kind):
            raise ModelError(
                f'{path}: not the config of an open_clip model (no "model_cfg" with "{key}")',
                hint=WHAT_TO_TYPE,
            )
    _check_sizes(path, sections)
    return {"preprocess_cfg": {}, **config}


def _check_sizes(path: Path, sections: Any) -> None:
    """Raise ModelError for towers that would fill any memory before their weights are looked at."""
    for section in (sections, sections["vision_cfg"], sections["text_cfg"]):
        for key, value in section.items():
            most = _MOST_LAYERS if key in ("layers", "depth") else _LARGEST_SIZE
            for number in value if isinstance(value, list) else [value]:
                if isinstance(number, int | float) and not abs(number) <= most:
                    raise ModelError(f'{path}: no model has such a "{key}" (got {shown(number)})')


def refuse_foreign_towers(owner: Path | str, model: Mapping[str, Any]) -> None:
    """Raise ModelError for a `model_cfg` whose text tower is not of open_clip's usual kind."""
    text = model["text_cfg"]
    if text.get("hf_model_name"):
        raise ModelError(
            f"{owner}: text towers of Hugging Face are not supported "
            f"(got {text['hf_model_name']}, expected one of open_clip's own)",
            hint=WHAT_TO_TYPE,
        )
    if text.get("pool_type") == "none" and not text.get("embed_cls"):
        raise ModelError(
            f"{owner}: its text tower gives no embedding of a prompt (pool_type none)",
            hint=WHAT_TO_TYPE,
        )


def read_preprocessing(folder: Path, config: Mapping[str, Any]) -> Preprocessing:
    """How the model wants its frames; what the config leaves out is open_clip's default.

    Raises ModelError for a resize or an interpolation that we do not do.
    """
    given = config["preprocess_cfg"]
    size = config["model_cfg"]["vision_cfg"].get("image_size", 224)
    sides = set(size) if isinstance(size, list) else {size}
    resize: Any = given.get("resize_mode") or "shortest"
    interpolation: Any = given.get("interpolation") or "bicubic"
    usable = (
        len(sides) == 1
        and resize in get_args(ResizeMode)
        and interpolation in get_args(Interpolation)
    )
    if not usable:
        raise ModelError(
            f"{folder / CONFIG_NAME}: preprocessing is not supported (got size {size}, "
            f"{resize}, {interpolation}; expected a square, {', '.join(get_args(ResizeMode))}, "
            f"{' or '.join(get_args(Interpolation))})"
        )
    channels: Any = {key: tuple(given[key]) for key in ("mean", "std") if given.get(key)}
    fill = int(given.get("fill_color") or 0)
    return Preprocessing(int(sides.pop()), resize, interpolation, fill=fill, **channels)
