"""actcli: tell what happens in a video. `actcli.classify(["a.mp4"], ["run", "jump"])`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actcli.data.labels import LabelSet as LabelSet
    from actcli.errors import ActcliError as ActcliError
    from actcli.methods.base import Method as Method
    from actcli.tasks.classify import classify as classify
    from actcli.tasks.evaluate import evaluate as evaluate
    from actcli.tasks.fewshot import fewshot as fewshot
    from actcli.tasks.finetune import finetune as finetune
    from actcli.types import Failure as Failure
    from actcli.types import Prediction as Prediction
    from actcli.types import VideoRef as VideoRef

# Loaded on first use, so that importing actcli costs nothing.
_HOMES = {
    "ActcliError": "actcli.errors",
    "Failure": "actcli.types",
    "LabelSet": "actcli.data.labels",
    "Method": "actcli.methods.base",
    "Prediction": "actcli.types",
    "VideoRef": "actcli.types",
    "classify": "actcli.tasks.classify",
    "evaluate": "actcli.tasks.evaluate",
    "fewshot": "actcli.tasks.fewshot",
    "finetune": "actcli.tasks.finetune",
}

__all__ = [
    "ActcliError",
    "Failure",
    "LabelSet",
    "Method",
    "Prediction",
    "VideoRef",
    "__version__",
    "classify",
    "evaluate",
    "fewshot",
    "finetune",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("actcli")
    if name not in _HOMES:
        raise AttributeError(f"module 'actcli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
