"""Train a CLIP-FSAR head on the demo's base classes, and measure it on classes that it never saw.

    PYTHONPATH=. python benchmarks/fewshot_head.py --save head.safetensors

The towers stay frozen: the head alone learns, from cached embeddings, in 1-shot episodes of which
half hold a pair that only the order of time tells apart. `actcli fewshot --model head.safetensors`
uses it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from demo_embeddings import Embedded, draw_and_embed
from fewshot_demo import PAIRS, QUERIES, episode_accuracies

from actcli.checkpoint import backbone_ref, changed_tensors, write_checkpoint
from actcli.checkpoint_info import CheckpointInfo
from actcli.config import SamplingConfig
from actcli.data.episodes import EpisodeSampler, EpisodeShape
from actcli.labelled import Episode, Support, TrainingEpisode
from actcli.methods.base import Method
from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig
from actcli.metrics import mean_interval
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.train.schedule import warm_cosine
from actcli.types import Text


def join(one: Embedded, other: Embedded) -> Embedded:
    text = Text(one.names + other.names, one.text.prompts + other.text.prompts,
                torch.cat([one.text.values, other.text.values]))  # fmt: skip
    targets = torch.cat([one.targets, other.targets + len(one.names)])
    return Embedded(torch.cat([one.values, other.values]), targets, text)


def train(method: ClipFsar, data: Embedded, episodes: int, rate: float) -> None:
    pairs = [(data.names.index(a), data.names.index(b)) for a, b in PAIRS]
    sampler = EpisodeSampler(
        data.targets.tolist(), EpisodeShape(5, 1, 5), seed=0, must_hold=pairs, share=0.5
    )
    optimizer = torch.optim.AdamW(method.param_groups(rate), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: warm_cosine(step, episodes, warm_up=20)
    )
    method.train()
    for picked in sampler.first(episodes):
        classes = torch.tensor(picked.classes)
        text = Text(tuple(data.names[c] for c in picked.classes),
                    tuple(data.text.prompts[c] for c in picked.classes),
                    data.text.values[classes])  # fmt: skip
        support, query = (torch.tensor(picked.support_targets), torch.tensor(picked.query_targets))
        episode = Episode(
            Support(data.values[list(picked.support)], support),
            data.values[list(picked.query)], text, query,
        )  # fmt: skip
        terms = method(TrainingEpisode(episode, classes[support], classes[query], data.text))
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        schedule.step()
    method.eval()


def save(path: Path, method: ClipFsar, data: Embedded, episodes: int) -> None:
    spec = method.backbone.spec
    info = CheckpointInfo(
        method=method.name, config=method.config.model_dump(mode="json"),
        backbone=backbone_ref(spec, method.backbone.digest), sampling=SamplingConfig(),
        transform=spec.preprocessing, templates=("a video of {}",),
        training={"classes": list(data.names), "episodes": episodes, "clips": len(data.values)},
    )  # fmt: skip
    write_checkpoint(path, info, changed_tensors(method))


@torch.inference_mode()
def report(title: str, data: Embedded, way: int, episodes: int, **methods: Method) -> None:
    for shot in (1, 5):
        found = []
        for name, method in methods.items():
            shares, _ = episode_accuracies(data, method, way, shot, episodes)
            mean, half = mean_interval(shares)
            found.append(f"{name} {mean:.4f} +- {half:.4f}")
        print(f"{title:34} {way}-way {shot}-shot  " + "   ".join(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=2000, help="to measure with")
    parser.add_argument("--train-episodes", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--save", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    backbone = OpenClipBackbone(find_backbone("demo"))
    base = join(draw_and_embed("single", 75, 103), draw_and_embed("pairs", 75, 102))
    head = ClipFsar(backbone, ClipFsarConfig(mlp_dim=512))
    started = time.perf_counter()
    train(head, base, args.train_episodes, args.lr)
    print(f"{args.train_episodes} episodes in {time.perf_counter() - started:.0f} s")
    if args.save is not None:
        save(args.save, head, base, args.train_episodes)
    plain = Method(backbone).eval()
    novel = draw_and_embed("novel", 75, 101)
    pair = ["kneel down", "rise from knees"]
    static = novel.only([name for name in novel.names if name not in pair])
    assert len(static.values) >= 5 + QUERIES
    report("novel static", static, 5, args.episodes, otam=plain, head=head)
    report("novel, all 8", novel, 5, args.episodes, otam=plain, head=head)
    report(" / ".join(pair), novel.only(pair), 2, args.episodes, otam=plain, head=head)


if __name__ == "__main__":
    main()
