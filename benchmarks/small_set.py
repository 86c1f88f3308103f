"""A small labelled set, in folds: what fine-tuning a whole model gains over leaving it frozen.

    PYTHONPATH=. python benchmarks/small_set.py CLIPS --folds 4 --model demo      # CLIPS/<label>/*

In each fold every n-th clip of a class is tested, the others are learned from. Frozen are
zero-shot, prototypes (`fewshot`), a linear probe on the mean frame embedding (logistic regression,
its C by cross-validation inside the fold) and `motion-prompts`; ActionCLIP learns its head alone,
or all.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import actcli
from actcli.metrics import Share
from actcli.tasks.examples import read_labelled
from actcli.types import Failure, Prediction, VideoRef

Refs = list[VideoRef]


@dataclass(frozen=True)
class Fold:
    train: Refs
    test: Refs
    options: dict[str, Any]


def folds_of(refs: Refs, count: int, options: dict[str, Any]) -> list[Fold]:
    place: dict[str, int] = {}
    number = []
    for ref in refs:
        number.append(place.get(ref.label or "", 0) % count)
        place[ref.label or ""] = place.get(ref.label or "", 0) + 1
    return [Fold([r for r, n in zip(refs, number, strict=True) if n != fold],
                 [r for r, n in zip(refs, number, strict=True) if n == fold], options)
            for fold in range(count)]  # fmt: skip


def rights(refs: Refs, results: list[Prediction | Failure]) -> int:
    assert all(result.ok for result in results)
    return sum(isinstance(result, Prediction) and result.label == ref.label
               for ref, result in zip(refs, results, strict=True))  # fmt: skip


def zero_shot(fold: Fold) -> int:
    labels = sorted({ref.label or "" for ref in fold.train})
    return rights(fold.test, actcli.classify(fold.test, labels, **fold.options))


def prototypes(fold: Fold) -> int:
    return rights(fold.test, actcli.fewshot(fold.test, fold.train, **fold.options))


def linear_probe(fold: Fold) -> int:
    from sklearn.linear_model import LogisticRegressionCV

    with tempfile.TemporaryDirectory() as folder:

        def mean_frames(refs: Refs, name: str) -> tuple[Any, list[str]]:
            """The mean embedding of each clip, read from a few-shot file of all clips."""
            from actcli.checkpoint import read_checkpoint

            path = Path(folder) / f"{name}.safetensors"
            actcli.fewshot((), refs, save=str(path), **fold.options)
            info, tensors = read_checkpoint(path)
            assert info.support is not None
            values = tensors["support.values"].float().mean(1)
            return values / values.norm(dim=-1, keepdim=True), [c.label for c in info.support]

        known, labels = mean_frames(fold.train, "train")
        unknown, truth = mean_frames(fold.test, "test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probe = LogisticRegressionCV(Cs=np.logspace(-2, 4, 13), cv=3, max_iter=2000)
        guesses = probe.fit(known.numpy(), labels).predict(unknown.numpy())
    return int((guesses == np.array(truth)).sum())


def trained(**given: Any) -> Callable[[Fold], int]:
    def measure(fold: Fold) -> int:
        with tempfile.TemporaryDirectory() as folder:
            actcli.finetune(fold.train, Path(folder) / "run", **(fold.options | given))
            options = fold.options | {"model": str(Path(folder) / "run")}
            return rights(fold.test, actcli.classify(fold.test, **options))

    return measure


WAYS: dict[str, Callable[[Fold], int]] = {
    "zero-shot": zero_shot,
    "prototypes": prototypes,
    "linear probe": linear_probe,
    "motion-prompts": trained(),
    "actionclip, head LSTM": trained(
        method="actionclip", epochs=100, learning_rate=1e-3,
        options={"learn": "head", "head": "LSTM"}),
    "actionclip, all, meanP": trained(
        method="actionclip", epochs=40, learning_rate=1e-4, clips_per_step=16,
        options={"head": "meanP"}),
    "actionclip, all, meanP, crops": trained(
        method="actionclip", epochs=40, learning_rate=3e-4, clips_per_step=16, augment="crop",
        options={"head": "meanP"}),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--model", default="demo")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    refs = list(read_labelled(args.clips, use="train"))
    folds = folds_of(refs, args.folds, {"model": args.model})
    for name, measure in WAYS.items():
        started = time.perf_counter()
        share = Share(sum(measure(fold) for fold in folds), len(refs))
        low, high = share.interval
        seconds = (time.perf_counter() - started) / len(folds)
        print(
            f"{name:30} {share.value:.3f} ({low:.2f}-{high:.2f}) {seconds:5.0f} s a fold",
            flush=True,
        )


if __name__ == "__main__":
    main()
