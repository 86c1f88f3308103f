"""Training steps that reach the image tower, beside the loop that one would write with open_clip.

    PYTHONPATH=. python benchmarks/training_steps.py CLIPS      # CLIPS/<label>/*

Both read the same videos, at the same size, with the same model of random weights in fp32. The
loop is a `DataLoader` of two workers that decodes with PyAV and prepares frames with open_clip's
own transform; ActionCLIP's is mean pooling and the KL loss, CLIP-FSAR's a Transformer layer and
OTAM in a loop over cells. Every measurement is a process of its own, in turn; medians over steps
and rounds, peak memory of the training process and of its largest worker. The training process
computes with one thread, so that its CPU time a clip says something on a busy machine as well.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

FRAMES, CLIPS_PER_STEP, WAY, QUERIES = 8, 8, 4, 1
MODEL = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 384, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 4, "layers": 6},
}
"""A ViT-S/32: full size takes half a minute a step on two cores."""
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "actionclip": ("actionclip", {"options": {"head": "meanP"}}),
    "actionclip --clips-held 2": ("actionclip", {"options": {"head": "meanP"}, "clips_held": 2}),
    "actionclip, 4 clips --accumulate 2": (
        "actionclip", {"options": {"head": "meanP"}, "accumulate": 2, "clips_per_step": 4}),
    "clip-fsar": ("clip-fsar", {"options": {"way": WAY, "queries": QUERIES}, "accumulate": 1}),
    "clip-fsar --clips-held 2": (
        "clip-fsar", {"options": {"way": WAY, "queries": QUERIES}, "accumulate": 1,
                      "clips_held": 2}),
}  # fmt: skip


def write_model(folder: Path) -> None:
    config = {"model_cfg": MODEL, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    model = open_clip.CLIP(**MODEL)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")


Pace = tuple[float, float]
"""Seconds a clip: of the wall clock, of this process's CPU"""


class Clock:
    """Paces of one step after another."""

    def __init__(self) -> None:
        self.before = time.perf_counter(), time.process_time()

    def pace(self, clips: int) -> Pace:
        now = time.perf_counter(), time.process_time()
        wall, cpu = ((b - a) / clips for a, b in zip(self.before, now, strict=True))
        self.before = now
        return wall, cpu


def ours(name: str, data: Path, folder: Path, steps: int) -> list[Pace]:
    from actcli.config import with_options
    from actcli.config_train import FinetuneConfig
    from actcli.tasks.examples import read_labelled
    from actcli.tasks.finetune import FineTune
    from actcli.train.events import StepEvent

    logging.disable(logging.WARNING)
    method, given = OURS[name]
    options = {"model": f"local-dir:{folder}", "method": method, "num_frames": FRAMES,
               "augment": "crop", "flip": "off", "workers": 2, "device": "cpu", "steps": steps,
               "clips_per_step": CLIPS_PER_STEP, "templates": ("a video of {}",)}  # fmt: skip
    config = with_options(FinetuneConfig(), options | given)
    with tempfile.TemporaryDirectory() as out:
        run = FineTune(read_labelled(str(data), use="train"), (), config, Path(out) / "run")
        clips = given.get("accumulate", 1) * config.train.clips_per_step
        if method == "clip-fsar":
            clips = WAY * (1 + QUERIES)
        clock, paces = Clock(), []
        for event in run.stream():
            if isinstance(event, StepEvent):
                paces.append(clock.pace(clips))
        return paces


class Clips(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Evenly spaced frames of each video, decoded from its start, as most scripts do."""

    def __init__(self, data: Path, transform: Callable[[Any], Tensor]) -> None:
        self.labels = sorted(path.name for path in data.iterdir() if path.is_dir())
        self.files = [(str(file), c) for c, label in enumerate(self.labels)
                      for file in sorted((data / label).iterdir())]  # fmt: skip
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        file, target = self.files[place]
        with av.open(file) as container:
            frames = list(container.decode(video=0))
        chosen = np.linspace(0, len(frames) - 1, FRAMES).astype(int)
        return torch.stack([self.transform(frames[i].to_image()) for i in chosen]), target


class Episodes(torch.utils.data.Sampler[list[int]]):
    """WAY classes, one support and QUERIES queries of each, supports first."""

    def __init__(self, files: list[tuple[str, int]], steps: int) -> None:
        self.targets, self.steps = np.array([c for _, c in files]), steps

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng(0)
        for _ in range(self.steps):
            classes = rng.choice(self.targets.max() + 1, WAY, replace=False)
            drawn = [rng.choice(np.flatnonzero(self.targets == c), 1 + QUERIES, replace=False)
                     for c in classes]  # fmt: skip
            yield [int(d[0]) for d in drawn] + [int(i) for d in drawn for i in d[1:]]

    def __len__(self) -> int:
        return self.steps


def by_hand(name: str, data: Path, folder: Path, steps: int) -> list[Pace]:
    """The same steps, written with open_clip and PyTorch."""
    model, transform, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    clips = Clips(data, transform)
    tokens = tokenizer([f"a video of {label.replace('_', ' ')}" for label in clips.labels])
    head = nn.TransformerEncoderLayer(256, 8, 2048, batch_first=True)
    learning = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(learning, lr=1e-5)
    if name == "actionclip":
        batch = torch.utils.data.RandomSampler(clips, True, steps * CLIPS_PER_STEP)
        loader = torch.utils.data.DataLoader(clips, CLIPS_PER_STEP, sampler=batch, num_workers=2)
    else:
        loader = torch.utils.data.DataLoader(
            clips, batch_sampler=Episodes(clips.files, steps), num_workers=2
        )
    clock, paces = Clock(), []
    for frames, targets in loader:
        values = model.encode_image(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        step = contrastive if name == "actionclip" else episodic
        loss = step(model, head, values, tokens, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        paces.append(clock.pace(len(frames)))
    return paces


def contrastive(
    model: Any, _: nn.Module, values: Tensor, tokens: Tensor, targets: Tensor
) -> Tensor:
    """KL divergence from the same-class matrix, both ways."""
    video = F.normalize(values.mean(1), dim=-1)
    words = F.normalize(model.encode_text(tokens[targets]), dim=-1)
    logits = model.logit_scale.exp() * video @ words.T
    same = (targets[:, None] == targets).float()
    truth = same / same.sum(1, keepdim=True)
    kinds = (F.kl_div(x.log_softmax(-1), truth, reduction="batchmean") for x in (logits, logits.T))
    return sum(kinds, torch.zeros(()))


def episodic(
    model: Any, head: nn.Module, values: Tensor, tokens: Tensor, targets: Tensor
) -> Tensor:
    """Cross entropy of soft OTAM costs against prototypes that saw their words."""
    with torch.no_grad():
        words = model.encode_text(tokens[targets[:WAY]])
    prototypes = head(torch.cat([values[:WAY], words[:, None]], 1))[:, :-1]
    query = head(values[WAY:])
    distance = 1 - torch.einsum(
        "qtd,cud->qctu", F.normalize(query, dim=-1), F.normalize(prototypes, dim=-1)
    )
    cost = otam(distance) + otam(distance.transpose(2, 3))
    return F.cross_entropy(-cost, torch.arange(WAY).repeat_interleave(QUERIES))


def otam(distance: Tensor, smooth: float = 0.1) -> Tensor:
    """One cell after the other, as published code does it."""
    d = F.pad(distance, (1, 1))
    rows, columns = d.shape[-2:]
    cost: dict[tuple[int, int], Tensor] = {}
    for j in range(columns):
        before = cost.get((0, j - 1))
        cost[0, j] = d[..., 0, j] if before is None else d[..., 0, j] + before
    for i in range(1, rows):
        cost[i, 0] = d[..., i, 0]
        for j in range(1, columns):
            ways = [cost[i - 1, j - 1], cost[i, j - 1]]
            if j in (1, columns - 1):
                ways.append(cost[i - 1, j])
            near = torch.stack(ways)
            cost[i, j] = d[..., i, j] - smooth * torch.logsumexp(-near / smooth, 0)
    return cost[rows - 1, columns - 1]


def child(who: str, name: str, data: Path, folder: Path, steps: int) -> None:
    torch.set_num_threads(1)
    paces = (ours if who == "ours" else by_hand)(name, data, folder, steps)
    peaks = [resource.getrusage(w).ru_maxrss / 1024
             for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]  # fmt: skip
    wall, cpu = (statistics.median(pace[i] for pace in paces[1:]) for i in (0, 1))
    print(json.dumps({"wall": wall, "cpu": cpu, "peaks": peaks}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--child", nargs=3, metavar=("WHO", "NAME", "FOLDER"))
    args = parser.parse_args()
    if args.child:
        who, name, folder = args.child
        child(who, name, args.clips, Path(folder), args.steps)
        return
    runs = [
        ("by hand", "actionclip"),
        *(("ours", name) for name in OURS if "fsar" not in name),
        ("by hand", "clip-fsar"),
        *(("ours", name) for name in OURS if "fsar" in name),
    ]
    found: dict[tuple[str, str], list[Any]] = {run: [] for run in runs}
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        for _ in range(args.rounds):
            for run in runs:
                command = [sys.executable, __file__, str(args.clips), "--steps", str(args.steps)]
                done = subprocess.run([*command, "--child", *run, folder], check=True,
                                      stdout=subprocess.PIPE, text=True)  # fmt: skip
                found[run].append(json.loads(done.stdout.splitlines()[-1]))
    for (who, name), parts in found.items():
        wall, cpu = (statistics.median(part[key] for part in parts) for key in ("wall", "cpu"))
        own, worker = (statistics.median(p["peaks"][i] for p in parts) for i in (0, 1))
        print(
            f"{who:8} {name:36} {1 / wall:6.2f} clips/s  {cpu:5.2f} CPU s/clip  {own:6.0f} MB, "
            f"worker {worker:5.0f} MB"
        )


if __name__ == "__main__":
    main()
