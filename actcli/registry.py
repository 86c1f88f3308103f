"""The names of methods and backbone families, resolved to classes on demand.

Tables of import strings: listing names imports nothing, and a new method is one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from actcli.errors import UsageError, close_names, shorten_list

METHODS: Final[Mapping[str, str]] = {
    "clip": "actcli.methods.base:Method",
    "actionclip": "actcli.methods.actionclip:ActionClip",
    "clip-fsar": "actcli.methods.clip_fsar:ClipFsar",
    "motion-prompts": "actcli.methods.motion_prompts.method:MotionPrompts",
}
"""`--method` name -> "module:Class", a subclass of `Method`."""

BACKBONES: Final[Mapping[str, str]] = {
    "open_clip": "actcli.models.open_clip:OpenClipBackbone",
}
"""`BackboneSpec.family` -> "module:Class", an implementation of `Backbone`."""


def resolve(table: Mapping[str, str], name: str) -> Any:
    """The class that a name stands for in METHODS or BACKBONES.

    Raises UsageError for an unknown name, with the names close to it.
    """
    if name not in table:
        what = "method" if table is METHODS else "backbone family"
        close = close_names(name, table)
        raise UsageError(
            f'unknown {what} (got "{name}", expected {shorten_list(sorted(table))})',
            hint=f"did you mean {shorten_list(close)}?" if close else None,
        )
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
