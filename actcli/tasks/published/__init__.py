"""The layouts that methods' checkpoints were published in, one module each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from actcli.tasks.published.actionclip import PublishedActionClip
from actcli.tasks.published.clip_fsar import PublishedClipFsar
from actcli.tasks.published.layout import PublishedLayout

_FUSION: Final = "fusion_model_state_dict"


def find_layout(source: Path, content: Any) -> PublishedLayout | None:
    """The published layout that a file is in; None for weights of no method.

    Raises ModelError for a file that holds no weights.
    """
    from actcli.models.pickled import weights_in

    state = weights_in(source, content)
    if any(name.startswith("head.context2.") for name in state):
        return PublishedClipFsar(source, content, state)
    if not isinstance(content, Mapping) or not isinstance(content.get(_FUSION), Mapping):
        return None
    fusion = weights_in(source, content[_FUSION]) if content[_FUSION] else {}
    return PublishedActionClip(
        source, content, {**state, **{f"module.{name}": value for name, value in fusion.items()}}
    )
