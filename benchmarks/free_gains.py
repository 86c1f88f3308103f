"""Better zero-shot for nothing: template sets, described labels, weighted frames; on drawn clips.

    PYTHONPATH=. python benchmarks/free_gains.py --seeds 7,8 [--per-class 30] [-o gains.json]

Fourteen known actions, and the eight of `--set novel`, whose words the demo model never saw. Top-1
over all seeds with its 95 % interval, and the mean log-likelihood of the true label.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from demo_embeddings import Embedded, draw_and_embed
from torch import Tensor

from actcli.config import FewShotConfig, with_options
from actcli.data.prompts import TEMPLATE_SETS
from actcli.metrics import Share
from actcli.models.frame_weights import agreement
from actcli.tasks.pipeline import Pipeline, Started
from actcli.types import Text

DESCRIBED = {
    "run": ("a stick figure sprinting", "someone jogging"),
    "jump": ("a stick figure hopping high", "someone leaping in the air"),
    "jumping jack": ("a star jump with both arms and legs", "someone doing jumping jacks"),
    "wave": ("someone waving hello with a hand", "a figure greeting someone"),
    "squat": ("someone crouching down", "a figure doing squats"),
    "kick": ("someone kicking in the air", "a stick figure kicking"),
    "punch": ("someone boxing", "a figure hitting and punching"),
    "clap": ("someone applauding", "a figure clapping both hands"),
    "bow": ("a figure bending forward", "someone bowing"),
    "crawl": ("someone creeping on all fours", "a figure crawling on the floor"),
    "cartwheel": ("a figure doing cartwheels", "someone cartwheeling"),
    "throw": ("someone tossing a ball", "a figure pitching a ball"),
    "dance": ("a figure dancing to music", "someone doing disco"),
    "spin": ("someone turning around in a pirouette", "a figure twirling"),
    "push-up": ("a figure lying on the floor lifting up on both arms",),
    "lunge": ("a figure going forward and down in a crouch",),
    "handstand": ("a figure standing on both hands",),
    "climb": ("a figure going up with both hands",),
    "overhead press": ("someone lifting both arms up high",),
    "side bend": ("a figure bending left and right",),
    "kneel down": ("someone lowering down to the floor",),
    "rise from knees": ("someone rising and standing up",),
}


def words(started: Started, clips: Embedded, templates: tuple[str, ...]) -> Text:
    return started.embed_text(
        clips.names, tuple(tuple(t.format(n) for t in templates) for n in clips.names)
    )


def numbers(logits: Tensor, targets: Tensor, plain: Tensor) -> tuple[float, ...]:
    """(right, clips, log-likelihood, right where `plain` logits are wrong, the other way round)"""
    right, before = logits.argmax(-1) == targets, plain.argmax(-1) == targets
    likelihood = float(-F.cross_entropy(logits.double(), targets, reduction="sum"))
    gained, lost = int((right & ~before).sum()), int((before & ~right).sum())
    return int(right.sum()), len(targets), likelihood, gained, lost


def measured(started: Started, clips: Embedded) -> dict[str, tuple[float, ...]]:
    method, found = started.method, {}
    plain = words(started, clips, TEMPLATE_SETS["default"])
    before = method.logits(clips.values, plain)

    def note(name: str, text: Text, values: Tensor) -> None:
        found[name] = numbers(method.logits(values, text), clips.targets, before)

    for name, templates in TEMPLATE_SETS.items():
        note(f"template {name}", words(started, clips, templates), clips.values)
    own = tuple(DESCRIBED[name] for name in clips.names)
    described = started.embed_text(clips.names, own)
    both = started.embed_text(clips.names, tuple((*plain.prompts[c] * len(own[c]), *own[c])
                                                 for c in range(len(own))))  # fmt: skip
    note("described labels", described, clips.values)
    note("described labels and default", both, clips.values)
    for sharpness in (0.5, 1.0, 2.0, 4.0):
        for text, name in ((plain, "default"), (words(started, clips, TEMPLATE_SETS["video"]),
                                                "video")):  # fmt: skip
            similarity = method.similarity(clips.values.flatten(0, 1)[:, None], text)
            assert similarity is not None
            scale = method.backbone.logit_scale.exp()
            logits = (scale * similarity).reshape(*clips.values.shape[:2], -1)
            note(f"frame weights {sharpness}, {name}", text,
                 agreement(clips.values, logits, sharpness))  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="7,8")
    parser.add_argument("--per-class", type=int, default=30)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    sums: dict[str, list[float]] = {}
    pipeline = Pipeline(with_options(FewShotConfig(), {"model": "demo"}), exact=True)
    with pipeline.start() as started, torch.inference_mode():
        for which in ("single", "novel"):
            for seed in map(int, args.seeds.split(",")):
                clips = draw_and_embed(which, args.per_class, seed)
                for name, added in measured(started, clips).items():
                    held = sums.setdefault(f"{which:6} | {name}", [0, 0, 0.0, 0, 0])
                    held[:] = [a + b for a, b in zip(held, added, strict=True)]
    for name, (right, total, likelihood, gained, lost) in sums.items():
        share = Share(int(right), int(total))
        low, high = share.interval
        print(f"{name:42} top-1 {share.value:6.1%} [{low:.1%}, {high:.1%}]  "
              f"log-likelihood {likelihood / total:.3f}  +{gained} -{lost}")  # fmt: skip
    if args.output:
        args.output.write_text(json.dumps(sums, indent=1))


if __name__ == "__main__":
    main()
