"""Several labels at once: pictures of two drawn figures side by side that do different things.

    PYTHONPATH=. python benchmarks/multi_label.py --seeds 7,8 [--films 300] [-o multi.json]
    PYTHONPATH=. python benchmarks/multi_label.py --write DIR --films 200 --seeds 7
    actcli calibrate DIR/labelled.csv --multi-label --model demo -o DIR/cal.json

Two clips are drawn and joined into one picture, in two layouts: "halves" takes the middle half of
each clip's width at its full height, "small" the whole width of both at half the size, grey above
and below. Each label's score against several backgrounds; mean average precision over the labels.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from actcli.config import FewShotConfig, with_options
from actcli.data.negatives import negatives_for
from actcli.demo import known_words
from actcli.demo.figures import demo_labels, draw_scene
from actcli.eval.metrics import mean_average_precision
from actcli.methods.base import Method
from actcli.models.multi_label import against_rest
from actcli.tasks.pipeline import Pipeline, Started
from actcli.types import Text

FRAMES, SIDE = 8, 64
WHEN = (np.arange(FRAMES) + 0.5) / FRAMES
NEGATIONS = ("a video without {}", "a video of someone not {}")


def picture(left: Any, right: Any, layout: str) -> Any:
    """Two frames [240, 320, 3] as one [X, X, 3]."""
    if layout == "halves":
        joined = np.concatenate((left[:, 100:220], right[:, 100:220]), 1)
    else:
        wide = np.concatenate((left[:, 40:280], right[:, 40:280]), 1)
        joined = np.full((480, 480, 3), 128, np.uint8)
        joined[120:360] = wide
    return np.asarray(Image.fromarray(joined).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def drawn(count: int, seed: int, layout: str) -> Iterator[tuple[Any, list[Any]]]:
    """(two classes, pictures over time) of each film."""
    labels, draw = demo_labels("single"), np.random.default_rng(seed)
    for _ in range(count):
        pair = draw.choice(len(labels), 2, replace=False)
        seeds = draw.integers(0, 2**62, 2)
        both = [draw_scene(labels[c], int(s)).frames(WHEN, (320, 240))
                for c, s in zip(pair, seeds, strict=True)]  # fmt: skip
        yield pair, [picture(left, right, layout) for left, right in zip(*both, strict=True)]


def films(method: Method, count: int, seed: int, layout: str) -> tuple[Tensor, Tensor]:
    """Embeddings [N, T, D] and truth [N, C] of films of two figures."""
    clips = np.empty((count, FRAMES, 3, SIDE, SIDE), np.uint8)
    truth = torch.zeros(count, len(demo_labels("single")), dtype=torch.bool)
    for n, (pair, pictures) in enumerate(drawn(count, seed, layout)):
        clips[n] = np.stack(pictures).transpose(0, 3, 1, 2)
        truth[n, torch.tensor(pair)] = True
    return method.embed(torch.from_numpy(clips)), truth


def write(folder: Path, count: int, seed: int) -> None:
    """Films as files, and a list with a row for each figure."""
    folder.mkdir(parents=True, exist_ok=True)
    labels, rows = demo_labels("single"), ["path,label"]
    for n, (pair, pictures) in enumerate(drawn(count, seed, "halves")):
        with av.open(str(folder / f"{n:04d}.mp4"), "w") as container:
            stream: Any = container.add_stream("libx264", 4, {"crf": "10"})
            stream.width = stream.height = SIDE
            stream.pix_fmt = "yuv420p"
            for one in pictures:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(one), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        rows += [f"{n:04d}.mp4,{labels[c]}" for c in pair]
    (folder / "labelled.csv").write_text("\n".join(rows) + "\n")


def scored(started: Started, values: Tensor) -> dict[str, Tensor]:
    """Scores [N, C] by several rules; all but the softmax are logits."""
    method, labels = started.method, demo_labels("single")

    def text(phrases: list[str], templates: tuple[str, ...] = ("a video of {}",)) -> Text:
        return started.embed_text(phrases, tuple(tuple(t.format(p) for t in templates)
                                                 for p in phrases))  # fmt: skip

    words = text(list(labels))
    logits = method.logits(values, words)
    bank = method.logits(values, text(negatives_for(labels, known=known_words())))
    others = (logits.sum(-1, keepdim=True) - logits) / (logits.shape[-1] - 1)
    rest = torch.stack([logits[:, [k for k in range(logits.shape[1]) if k != c]].logsumexp(-1)
                        for c in range(logits.shape[1])], -1)  # fmt: skip
    return {
        "cosine alone": logits,
        "softmax over labels": logits.softmax(-1),
        "less a negation": logits - method.logits(values, text(list(labels), NEGATIONS)),
        "less 'a video of a person'": logits - method.logits(values, text(["a person"])),
        "less mean of bank": logits - bank.mean(-1, keepdim=True),
        "against the sum of the bank": logits - bank.logsumexp(-1, keepdim=True),
        "less mean of other labels": logits - others,
        "against the sum of other labels": logits - rest,
        "less mean of other labels and bank": against_rest(logits, bank),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="7,8")
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--write", type=Path, metavar="DIR", help="Only write films to it.")
    args = parser.parse_args()
    if args.write:
        write(args.write, args.films, int(args.seeds.split(",")[0]))
        return
    found: dict[str, list[float]] = {}
    pipeline = Pipeline(with_options(FewShotConfig(), {"model": "demo"}), exact=True)
    with pipeline.start() as started, torch.inference_mode():
        for layout in ("halves", "small"):
            for seed in map(int, args.seeds.split(",")):
                values, truth = films(started.method, args.films, seed, layout)
                for name, scores in scored(started, values).items():
                    value = mean_average_precision(scores, truth)
                    found.setdefault(f"{layout:6} | {name}", []).append(value)
    for name, each in found.items():
        print(f"{name:45} mAP {statistics.mean(each):.3f}  ({', '.join(f'{v:.3f}' for v in each)})")
    if args.output:
        args.output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
