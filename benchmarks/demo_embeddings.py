"""Clips of the demo, drawn once and embedded: what the other benchmarks start from."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from actcli.config import FewShotConfig, LimitsConfig, SamplingConfig, with_options
from actcli.demo.clips import write_demo
from actcli.demo.figures import Which
from actcli.methods.base import Method
from actcli.methods.motion_prompts.config import MotionPromptsConfig
from actcli.methods.motion_prompts.method import MotionPrompts
from actcli.models.open_clip import OpenClipBackbone
from actcli.tasks.pipeline import Pipeline
from actcli.types import Failure, Text, VideoRef
from actcli.video.clips import read_clip

CLIPS = Path(tempfile.gettempdir()) / "actcli-benchmark"


@dataclass(frozen=True)
class Embedded:
    """[N, T, D] embeddings of N clips, their classes, and the words of the classes."""

    values: Tensor
    targets: Tensor
    text: Text

    @property
    def names(self) -> tuple[str, ...]:
        return self.text.labels

    def only(self, names: list[str]) -> Embedded:
        places = [self.names.index(name) for name in names]
        kept = torch.isin(self.targets, torch.tensor(places))
        moved = torch.full((len(self.names),), -1)
        moved[places] = torch.arange(len(places))
        text = Text(tuple(names), tuple(self.text.prompts[c] for c in places),
                    self.text.values[places])  # fmt: skip
        return Embedded(self.values[kept], moved[self.targets[kept]], text)


def draw_and_embed(which: Which, per_class: int, seed: int, model: str = "demo") -> Embedded:
    """Draw `per_class` clips of each class, unless they are there, and embed them."""
    folder = CLIPS / f"{which}-{per_class}-{seed}"
    if not (folder / "manifest.csv").is_file():
        for _ in write_demo(folder, which=which, per_class=per_class, seed=seed):
            pass
    paths = sorted((folder / "query").glob("*/*.mp4"))
    return embed([VideoRef(str(path), label=path.parent.name) for path in paths], model)


def embed(refs: list[VideoRef], model: str) -> Embedded:
    """Embed labelled videos with a model, in fp32 and through the cache."""
    pipeline = Pipeline(with_options(FewShotConfig(), {"model": model}), exact=True)
    names = sorted({ref.label or "" for ref in refs})
    prompts = tuple((f"a video of {name}",) for name in names)
    values, targets = [], []
    with pipeline.start() as started:
        text = started.embed_text(names, prompts)
        for result in started.engine.embed(refs):
            assert not isinstance(result, Failure), result
            values.append(result.values.mean(0))
            targets.append(names.index(result.ref.label or ""))
    return Embedded(torch.stack(values), torch.tensor(targets), text)


def draw_grid(
    which: Which, per_class: int, seed: int, backbone: OpenClipBackbone, side: int
) -> Embedded:
    """As `draw_and_embed`, with `side` x `side` cells of each frame behind it."""
    folder = CLIPS / f"{which}-{per_class}-{seed}"
    if not (folder / "manifest.csv").is_file():
        for _ in write_demo(folder, which=which, per_class=per_class, seed=seed):
            pass
    paths = sorted((folder / "query").glob("*/*.mp4"))
    names = sorted({path.parent.name for path in paths})
    spec = backbone.spec
    method = MotionPrompts(backbone, MotionPromptsConfig(grid=side, prompts="off"))
    values = []
    with torch.inference_mode():
        for path in paths:
            clip = read_clip(VideoRef(str(path)), SamplingConfig(), spec.preprocessing,
                             LimitsConfig())  # fmt: skip
            values.append(method.embed(torch.from_numpy(clip.frames))[0])
        prompts = tuple((f"a video of {name}",) for name in names)
        text = Method(backbone).embed_text(names, prompts)
    targets = torch.tensor([names.index(path.parent.name) for path in paths])
    return Embedded(torch.stack(values), targets, text)
