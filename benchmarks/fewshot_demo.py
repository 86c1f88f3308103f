"""Few-shot accuracy on the demo's clips: every matcher, with words and without, over episodes.

    PYTHONPATH=. python benchmarks/fewshot_demo.py --episodes 2000

Novel classes (their words are unknown to the demo model) and base classes (known), 5-way with 1
and 5 shots; and each pair that only the order of time tells apart. The interval is that of the mean
over episodes. `--support DIR` measures a folder of your own instead.
"""

from __future__ import annotations

import argparse
import time
from copy import copy
from pathlib import Path

import torch
from demo_embeddings import Embedded, draw_and_embed, embed
from torch import Tensor

from actcli.data.episodes import EpisodeSampler, EpisodeShape
from actcli.labelled import Support
from actcli.methods.base import Method
from actcli.methods.nearest_prototype import MethodConfig
from actcli.metrics import mean_interval
from actcli.models.align import MATCHERS
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.tasks.examples import read_support
from actcli.types import Text

PAIRS = (
    ("lie down", "get up"), ("raise arms", "lower arms"), ("walk left", "walk right"),
    ("sit down", "stand up"), ("pick up", "put down"),
)  # fmt: skip
QUERIES = 3


def episode_accuracies(
    data: Embedded, method: Method, way: int, shot: int, episodes: int
) -> tuple[list[float], float]:
    """Share of right queries of each episode, and the mean weight of the words."""
    shape = EpisodeShape(way, shot, QUERIES)
    sampler = EpisodeSampler(data.targets.tolist(), shape, seed=0)
    shares, weights = [], []
    for episode in sampler.first(episodes):
        classes = list(episode.classes)
        text = Text(tuple(data.names[c] for c in classes),
                    tuple(data.text.prompts[c] for c in classes),
                    data.text.values[classes])  # fmt: skip
        support = Support(data.values[list(episode.support)], torch.tensor(episode.support_targets))
        prototypes = method.prototypes(support, text)
        logits = method.prototype_logits(data.values[list(episode.query)], prototypes)
        right: Tensor = logits.argmax(-1) == torch.tensor(episode.query_targets)
        shares.append(float(right.float().mean()))
        weights.append(prototypes.text_weight)
    return shares, sum(weights) / len(weights)


def with_config(method: Method, **config: object) -> Method:
    other = copy(method)
    other.config = MethodConfig.model_validate(config)
    return other


@torch.inference_mode()
def report(title: str, data: Embedded, method: Method, way: int, episodes: int) -> None:
    variants = {name: {"matcher": name, "text_weight": 0.0} for name in MATCHERS}
    variants |= {
        "otam + words auto": {"matcher": "otam"},
        "otam + words 0.5": {"matcher": "otam", "text_weight": 0.5},
        "words alone": {"matcher": "otam", "text_weight": 1.0},
    }
    counts = torch.bincount(data.targets)
    for shot in (1, 5):
        if int(counts.min()) < shot + QUERIES:
            print(f"{title} {shot}-shot: too few clips")
            continue
        print(f"\n{title}, {way}-way {shot}-shot, {episodes} episodes x {QUERIES} queries a class")
        for name, config in variants.items():
            started = time.perf_counter()
            shares, weight = episode_accuracies(
                data, with_config(method, **config), way, shot, episodes
            )
            mean, half = mean_interval(shares)
            rate = episodes / (time.perf_counter() - started)
            print(f"  {name:18} {mean:.4f} +- {half:.4f}   words {weight:.2f}   {rate:.0f}/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--per-class", type=int, default=75)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--model", default="demo", help="demo or local-dir:PATH")
    parser.add_argument("--support", type=Path, help="DIR/<label>/* instead of drawn clips")
    args = parser.parse_args()
    method = Method(OpenClipBackbone(find_backbone(args.model))).eval()
    if args.support is not None:
        data = embed(list(read_support(str(args.support))), args.model)
        report(args.support.name, data, method, 5, args.episodes)
        return
    novel = draw_and_embed("novel", args.per_class, args.seed, args.model)
    pair = ["kneel down", "rise from knees"]
    static = novel.only([name for name in novel.names if name not in pair])
    report("novel static", static, method, 5, args.episodes)
    report("novel, all 8", novel, method, 5, args.episodes)
    report("novel pair " + " / ".join(pair), novel.only(pair), method, 2, args.episodes)
    singles = draw_and_embed("single", args.per_class, args.seed + 2, args.model)
    report("base singles", singles, method, 5, args.episodes)
    pairs = draw_and_embed("pairs", args.per_class, args.seed + 1, args.model)
    for names in PAIRS:
        report("base pair " + " / ".join(names), pairs.only(list(names)), method, 2, args.episodes)


if __name__ == "__main__":
    main()
