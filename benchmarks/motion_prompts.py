"""Motion-prompt adaptation on the demo's clips: order pairs, few clips, parts on and off, speed.

    PYTHONPATH=. python benchmarks/motion_prompts.py            # all of it, about half an hour
    PYTHONPATH=. python benchmarks/motion_prompts.py --only switches

Trained on the ten members of the five order pairs; tested on 195 fresh clips of each. "Held out"
are the 14 single actions: their words are known to the demo model, fine-tuning never saw them.
"In the pair": only the two members compete. Mean and standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from demo_embeddings import CLIPS, Embedded, draw_and_embed, draw_grid
from fewshot_demo import PAIRS
from safetensors.torch import save_file
from torch import Tensor

from actcli.config_train import TrainConfig
from actcli.data.labels import LabelSet
from actcli.methods.base import Method
from actcli.methods.motion_prompts.config import MotionPromptsConfig
from actcli.methods.motion_prompts.method import MotionPrompts
from actcli.metrics import Share
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.train.events import StepEvent
from actcli.train.loop import Trainer
from actcli.train.source import EmbeddingBatches, TrainingSet
from actcli.types import Text

SWITCHES: dict[str, dict[str, Any]] = {
    "default": {},
    "scales=short": {"scales": "short"},
    "scales=long": {"scales": "long"},
    "scales=off": {"scales": "off"},
    "prompts=off": {"prompts": "off"},
    "prompts=exact": {"prompts": "exact"},
    "exchange=text": {"exchange": "text"},
    "exchange=both": {"exchange": "both"},
    "exact, text": {"prompts": "exact", "exchange": "text"},
    "frozen_weight=0": {"frozen_weight": 0.0},
    "tie_weight=0": {"tie_weight": 0.0, "text_tie_weight": 0.0},
    "no tie at all": {"frozen_weight": 0.0, "tie_weight": 0.0, "text_tie_weight": 0.0},
    "cut_guard off": {"cut_guard": False},
    "frame_dropout=0": {"frame_dropout": 0.0},
    "num_prompt_tokens=4": {"num_prompt_tokens": 4},
    "num_prompt_tokens=16": {"num_prompt_tokens": 16},
}


@dataclass(frozen=True)
class Data:
    train: Embedded
    test: Embedded
    held_out: Embedded


def take(data: Embedded, count: int, seed: int) -> TrainingSet:
    """`count` clips of each class, others for each seed."""
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for c in range(len(data.names)):
        own = (data.targets == c).nonzero()[:, 0]
        kept.append(own[torch.randperm(len(own), generator=generator)[:count]])
    rows = torch.cat(kept)
    return TrainingSet(data.values[rows][:, None], data.targets[rows], data.text)


def train(
    backbone: OpenClipBackbone, data: TrainingSet, seed: int, epochs: int, **config: Any
) -> tuple[MotionPrompts, float, float]:
    """A trained method, the seconds it took, and the clips/s of its steps (median)."""
    torch.manual_seed(seed)
    method = MotionPrompts(backbone, MotionPromptsConfig(**config))
    batches = EmbeddingBatches(
        data, batch_size=64, seed=seed, classes_per_step=method.classes_per_step
    )
    method.observe(data.values.flatten(0, 1))
    started = time.perf_counter()
    events = list(Trainer(method, batches, TrainConfig(epochs=epochs)).run())
    seconds = time.perf_counter() - started
    rate = statistics.median(e.clips_per_s for e in events if isinstance(e, StepEvent))
    return method.eval(), seconds, rate


@torch.inference_mode()
def logits_of(method: Method, data: Embedded) -> Tensor:
    text = method.embed_text(data.names, data.text.prompts)
    return torch.cat([method.logits(chunk, text) for chunk in data.values.split(256)])


def in_pair(logits: Tensor, data: Embedded) -> Share:
    """Right against the other member of the pair alone."""
    other = {a: b for one, two in PAIRS for a, b in ((one, two), (two, one))}
    rival = torch.tensor([data.names.index(other[name]) for name in data.names])[data.targets]
    rows = torch.arange(len(logits))
    right = logits[rows, data.targets] > logits[rows, rival]
    return Share(int(right.sum()), len(right))


def top1(logits: Tensor, data: Embedded) -> Share:
    return Share(int((logits.argmax(-1) == data.targets).sum()), len(logits))


def both(one: Embedded, other: Embedded) -> Embedded:
    text = Text(one.names + other.names, one.text.prompts + other.text.prompts,
                torch.cat([one.text.values, other.text.values]))  # fmt: skip
    targets = torch.cat([one.targets, other.targets + len(one.names)])
    return Embedded(torch.cat([one.values, other.values]), targets, text)


def measure(method: Method, data: Data) -> dict[str, float]:
    test = logits_of(method, data.test)
    all_of = both(data.test, data.held_out)
    return {
        "in the pair": in_pair(test, data.test).value,
        "10-way": top1(test, data.test).value,
        "held out": top1(logits_of(method, data.held_out), data.held_out).value,
        "24-way": top1(logits_of(method, all_of), all_of).value,
    }


def told(rows: list[dict[str, float]]) -> str:
    parts = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        spread = f" +- {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        parts.append(f"{name} {statistics.mean(values):.4f}{spread}")
    return "   ".join(parts)


def accuracy(backbone: OpenClipBackbone, data: Data, seeds: int, counts: list[int]) -> None:
    frozen = Method(backbone).eval()
    print("zero-shot     ", told([measure(frozen, data)]))
    share = top1(logits_of(frozen, data.held_out), data.held_out)
    print(f"held out, zero-shot: {share.count} of {share.total}, interval {share.interval}")
    for count in counts:
        rows, seconds, intervals = [], [], []
        for seed in range(seeds):
            epochs = 50 if count <= 16 else 20
            method, took, _ = train(backbone, take(data.train, count, seed), seed, epochs)
            rows.append(measure(method, data))
            seconds.append(took)
            intervals.append(top1(logits_of(method, data.held_out), data.held_out).interval)
        low, high = min(i[0] for i in intervals), max(i[1] for i in intervals)
        print(
            f"{count:4} clips/class  {told(rows)}   {statistics.mean(seconds):.1f} s"
            f"   held-out intervals within {low:.4f}-{high:.4f}",
            flush=True,
        )


def switches(backbone: OpenClipBackbone, data: Data, seeds: int, count: int) -> None:
    for name, config in SWITCHES.items():
        rows, seconds = [], []
        for seed in range(seeds):
            clips = take(data.train, count, seed)
            method, took, _ = train(backbone, clips, seed, 50, **config)
            rows.append(measure(method, data))
            seconds.append(took)
        print(f"{name:22} {told(rows)}   {statistics.mean(seconds):.1f} s", flush=True)


def dials(backbone: OpenClipBackbone, data: Data, count: int) -> None:
    method, _, _ = train(backbone, take(data.train, count, 0), 0, 50)
    config = method.config
    for motion in (0.0, 0.25, 0.5, 0.75, 1.0):
        for share in (0.0, None, 0.5):
            method.config = config.model_copy(update={"motion": motion, "learned_prompts": share})
            method.block.config = method.config
            print(f"motion {motion:4} learned_prompts {share!s:5} {told([measure(method, data)])}")


def grid(backbone: OpenClipBackbone, per_class: int, seeds: int) -> None:
    """Whole frames against a 3 x 3 grid, on fewer clips: embeddings are ten times as large."""
    for side in (0, 3):
        train_set = draw_grid("pairs", per_class, 202, backbone, side)
        test_set = draw_grid("pairs", 60, 303, backbone, side)
        rows = []
        for seed in range(seeds):
            method, _, _ = train(backbone, take(train_set, per_class, seed), seed, 50, grid=side)
            logits = logits_of(method, test_set)
            rows.append({"in the pair": in_pair(logits, test_set).value,
                         "10-way": top1(logits, test_set).value})  # fmt: skip
        print(f"grid={side}  {told(rows)}", flush=True)


def throughput(backbone: OpenClipBackbone, data: Data) -> None:
    """Clips/s of epochs from cached embeddings: the demo's pairs, and a slice of K400's size."""
    _, seconds, rate = train(backbone, take(data.train, 100, 0), 0, 5)
    print(f"10 classes, demo model: {5 * 1000 / seconds:.0f} clips/s (steps: {rate:.0f})")
    large = random_backbone()
    labels = LabelSet.bundled("kinetics400")
    with torch.inference_mode():
        prompts = tuple((f"a video of {words}",) for words in labels.words)
        hand = Method(large).embed_text(labels.names, prompts)
    text = Text(hand.labels, hand.prompts, hand.values.clone())
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2048, 1, 8, large.embed_dim, generator=generator)
    slice_of = TrainingSet(values, torch.arange(2048) % 400, text)
    for prompts_kind, steps in (("off", 8), ("mix", 2)):
        method = MotionPrompts(large, MotionPromptsConfig(prompts=prompts_kind))
        batches = EmbeddingBatches(
            slice_of, batch_size=512, seed=0, classes_per_step=method.classes_per_step
        )
        config = TrainConfig(steps=steps)
        events = [e for e in Trainer(method, batches, config).run() if isinstance(e, StepEvent)]
        rate = statistics.median(e.clips_per_s for e in events)
        hours = 240_000 / rate / 3600
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"400 classes, batch 512, ViT-B-32-sized text tower, prompts={prompts_kind}: "
            f"{rate:.0f} clips/s, an epoch of 240,000 clips {hours:.2f} h, peak {peak:.0f} MB",
            flush=True,
        )
    size = 240_000 * 8 * large.embed_dim * 4 / 1e9
    print(f"embeddings of 240,000 clips in memory: {size:.2f} GB in fp32")


def random_backbone() -> OpenClipBackbone:
    """A ViT-B-32 with random weights, made once."""
    folder = CLIPS / "ViT-B-32-random"
    if not (folder / "open_clip_config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        config = open_clip.get_model_config("ViT-B-32")
        torch.manual_seed(0)
        state = open_clip.CLIP(**config).state_dict()
        save_file(state, folder / "open_clip_model.safetensors")
        stated = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {}}
        (folder / "open_clip_config.json").write_text(json.dumps(stated))
    return OpenClipBackbone(find_backbone(f"local-dir:{folder}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["curve", "switches", "dials", "grid", "speed"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=4, help="clips a class for the switches")
    args = parser.parse_args()
    backbone = OpenClipBackbone(find_backbone("demo"))
    data = Data(
        draw_and_embed("pairs", 100, 202),
        draw_and_embed("pairs", 195, 303),
        draw_and_embed("single", 80, 304),
    )
    if args.only in (None, "curve"):
        accuracy(backbone, data, args.seeds, [2, 4, 8, 16, 100])
    if args.only in (None, "switches"):
        switches(backbone, data, args.seeds, args.count)
    if args.only in (None, "dials"):
        dials(backbone, data, args.count)
    if args.only in (None, "grid"):
        grid(backbone, 20, args.seeds)
    if args.only in (None, "speed"):
        throughput(backbone, data)


if __name__ == "__main__":
    main()
