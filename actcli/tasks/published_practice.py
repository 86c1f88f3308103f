"""What published code does at test, besides its splits and episodes: frames by its own sampler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actcli.checkpoint import find_checkpoint
from actcli.config import SamplingConfig
from actcli.config_train import EvalConfig
from actcli.eval.plan import Plan


def with_published_sampling(config: EvalConfig, plan: Plan) -> EvalConfig:
    """The config with the frames that published code takes, where nothing else was asked for."""
    is_own = bool(config.sampling.model_fields_set - {"num_frames"})
    if plan.practice == "honest" or is_own or find_checkpoint(config.model) is not None:
        return config
    update: dict[str, Any] = {"scheme": "actionclip"}
    if plan.episodes is not None:
        update = {"scheme": "clip-fsar", "rate": 35 if plan.dataset == "kinetics100" else 50}
    return config.model_copy(update={"sampling": config.sampling.model_copy(update=update)})


def practice_notes(plan: Plan, sampling: SamplingConfig) -> Iterator[str]:
    """Which frames published practice means in a run."""
    if plan.practice == "honest":
        return
    if sampling.scheme == "time":
        yield "published practice: frames are taken as the checkpoint or the options say"
    else:
        yield f"published practice: frames by the sampler of {sampling.scheme}"
