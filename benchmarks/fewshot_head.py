r"""A trained CLIP-FSAR head on the demo's novel classes, beside plain prototypes.

    actcli demo one --set single --per-class 75 --seed 103
    actcli demo two --set pairs --per-class 75 --seed 103
    mkdir base && mv one/query/* two/query/* base
    actcli finetune base --model demo --method clip-fsar --set learn=head --set mlp_dim=512 \
        --set text_token=false --steps 1000 -o runs/fsar
    PYTHONPATH=. python benchmarks/fewshot_head.py runs/fsar --episodes 2000

The classes are never trained on and their words are unknown to the demo model. Static ones can be
told by a frame; kneeling and rising by the order of time alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from demo_embeddings import Embedded, draw_and_embed
from fewshot_demo import QUERIES, episode_accuracies

from actcli.checkpoint import build_method, find_checkpoint, read_checkpoint
from actcli.methods.base import Method
from actcli.metrics import mean_interval
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone

PAIR = ["kneel down", "rise from knees"]


@torch.inference_mode()
def report(title: str, data: Embedded, way: int, episodes: int, methods: dict[str, Method]) -> None:
    for shot in (1, 5):
        print(f"{title}, {way}-way {shot}-shot")
        for name, method in methods.items():
            shares, _ = episode_accuracies(data, method, way, shot, episodes)
            mean, half = mean_interval(shares)
            print(f"  {name:32} {mean:.4f} +- {half:.4f}")


def read(name: str, backbone: OpenClipBackbone) -> Method:
    path = find_checkpoint(name)
    assert path is not None, f"{name}: no checkpoint"
    return build_method(path, *read_checkpoint(path), backbone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="*", help="run folders or checkpoint files")
    parser.add_argument("--episodes", type=int, default=2000)
    args = parser.parse_args()
    backbone = OpenClipBackbone(find_backbone("demo"))
    methods = {"plain prototypes, otam": Method(backbone).eval()}
    methods |= {Path(name).name: read(name, backbone) for name in args.model}
    novel = draw_and_embed("novel", 75, 101)
    static = novel.only([name for name in novel.names if name not in PAIR])
    assert len(static.values) >= 5 + QUERIES
    report("novel static", static, 5, args.episodes, methods)
    report("novel, all 8", novel, 5, args.episodes, methods)
    report(" / ".join(PAIR), novel.only(PAIR), 2, args.episodes, methods)


if __name__ == "__main__":
    main()
