"""Trains the small method of the tests; torchrun starts it once, twice, … and compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from actcli.config_train import TrainConfig
from actcli.train.dist import start_ranks
from actcli.train.events import StepEvent
from actcli.train.loop import Trainer
from tests.train.conftest import batches, small


def main(out: str) -> None:
    torch.set_num_threads(1)
    with start_ranks("cpu") as ranks:
        method = small(spread_weight=0.5)
        config = TrainConfig(epochs=4, learning_rate=1e-2, accumulate=2)
        run = Trainer(method, batches(), config, ranks=ranks)
        losses = [event.losses for event in run.run() if isinstance(event, StepEvent)]
        if ranks.is_main:
            weights = [p.flatten().tolist() for p in method.head.parameters()]
            Path(out).write_text(json.dumps({"losses": losses, "weights": weights}))


if __name__ == "__main__":
    main(sys.argv[1])
