"""Train the demo's small CLIP from nothing, on drawn clips: about ten minutes on two cores.

    python examples/train_demo_model.py --out demo-model

The folder can be used as any open_clip model: `--model local-dir:demo-model`.

Contrastive learning alone finds colours and nothing else for a long time. What makes the image
tower see limbs is an auxiliary loss: the joints must follow linearly from the embedding of a
frame. The linear layer is thrown away in the end.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from demo_training_data import (
    PHRASES,
    SIDE,
    TEMPLATES,
    Caption,
    Clip,
    caption_words,
    draw_training_clips,
    is_true,
    write_caption,
)
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import save_file
from torch import Tensor, nn

from actcli.demo.skeleton import NUM_POSE_JOINTS

CONTEXT, VOCABULARY, EMBED = 24, 49408, 128
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": EMBED,
        "vision_cfg": {
            "image_size": SIDE, "layers": [1, 1, 2, 1], "width": 16, "head_width": 16,
        },
        "text_cfg": {
            "context_length": CONTEXT, "vocab_size": VOCABULARY,
            "width": 48, "heads": 4, "layers": 2,
        },
    },
    "preprocess_cfg": {
        "mean": list(OPENAI_DATASET_MEAN), "std": list(OPENAI_DATASET_STD),
        "interpolation": "bicubic", "resize_mode": "shortest",
    },
}  # fmt: skip

CLIPS_PER_CLASS = 450
BATCH, FRAMES_PER_CLIP = 64, 2
LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 1e-3, 0.05, 100
POSE_WEIGHT, POSE_SCALE = 10.0, 4.0
MAX_SCALE = float(np.log(100.0))


class Tokens:
    """Texts to rows of a small table that holds only the tokens that captions use.

    Rows keep the order of the token ids, so that the end token stays the largest.
    """

    def __init__(self, words: list[str]) -> None:
        self._tokenizer = open_clip.SimpleTokenizer(context_length=CONTEXT)
        self.of_word = {word: self._tokenizer.encode(word) for word in words}
        used = {token for tokens in self.of_word.values() for token in tokens}
        used |= set(self._tokenizer.encode(","))
        used |= {0, self._tokenizer.sot_token_id, self._tokenizer.eot_token_id}
        self.ids = torch.tensor(sorted(used))
        self._row_of = torch.full((VOCABULARY,), -1, dtype=torch.long)
        self._row_of[self.ids] = torch.arange(len(self.ids))
        # Lists, not tensors: small tensors kept between large passing ones would pin the heap
        # and let the process grow by gigabytes.
        self._known: dict[str, list[int]] = {}

    def rows(self, texts: list[str]) -> Tensor:
        """Rows [len(texts), 24]."""
        for text in texts:
            if text not in self._known:
                rows = self._row_of[self._tokenizer(text)[0]].tolist()
                assert min(rows) >= 0, f"{text!r}: a token is missing from the table"
                self._known[text] = rows
        return torch.tensor([self._known[text] for text in texts])


class Batches:
    """Endless batches of clips with captions."""

    def __init__(self, clips: list[Clip], seed: int) -> None:
        self._clips = clips
        self._rng = np.random.default_rng((seed, 3))
        mean, std = (np.array(v, dtype=np.float32) for v in _mean_and_std())
        self._mean, self._std = torch.from_numpy(mean), torch.from_numpy(std)

    def draw(self) -> tuple[Tensor, Tensor, list[Caption], Tensor]:
        """Pixels [B * 2, 3, X, X], joints [B * 2, 22], captions, and truth [B, B] of each."""
        rng = self._rng
        clips = [self._clips[i] for i in rng.choice(len(self._clips), BATCH, replace=False)]
        pixels, joints = [], []
        for clip in clips:
            chosen = rng.choice(len(clip.frames), FRAMES_PER_CLIP, replace=False)
            pixels.append(clip.frames[chosen])
            joints.append(clip.joints[chosen].reshape(FRAMES_PER_CLIP, -1))
        captions = [write_caption(clip, rng) for clip in clips]
        truth = [[float(is_true(caption, clip)) for caption in captions] for clip in clips]
        images = torch.from_numpy(np.concatenate(pixels)).float().div_(255.0)
        images = (images - self._mean[:, None, None]) / self._std[:, None, None]
        target = (torch.from_numpy(np.concatenate(joints)) - 0.5) * POSE_SCALE
        return images, target, captions, torch.tensor(truth)

    def drop_tokens(self, rows: Tensor) -> Tensor:
        """Replace 5 % of the words in half of the texts by the empty row 0."""
        shape = tuple(rows.shape)
        is_dropped = torch.from_numpy(
            (self._rng.uniform(size=shape) < 0.05) & (self._rng.uniform(size=(shape[0], 1)) < 0.5)
        )
        # The two largest rows are the start and the end token.
        is_word = rows < rows.max() - 1
        return torch.where(is_dropped & is_word, 0, rows)


def soft_contrast(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy in both directions where several captions may be true of a clip.

    logits:  [N, B]
    truth:   [N, B], 0 or 1; every row and column holds a 1
    """
    to_text = truth / truth.sum(dim=1, keepdim=True)
    to_clip = truth / truth.sum(dim=0, keepdim=True)
    by_row = -(to_text * logits.log_softmax(dim=1)).sum(dim=1).mean()
    by_column = -(to_clip * logits.log_softmax(dim=0)).sum(dim=0).mean()
    return (by_row + by_column) / 2.0


def train(clips: list[Clip], tokens: Tokens, steps: int, seed: int) -> open_clip.CLIP:
    """Train a model with the small token table."""
    torch.manual_seed(seed)
    model = build_model(len(tokens.ids))
    pose = nn.Linear(EMBED, 2 * NUM_POSE_JOINTS)
    batches = Batches(clips, seed)
    optimizer = make_optimizer(model, pose)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    started = time.monotonic()
    model.train()
    for step in range(1, steps + 1):
        images, joints, captions, truth = batches.draw()
        rows = batches.drop_tokens(tokens.rows([caption.text for caption in captions]))
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            embeddings = model.encode_image(images)
        embeddings = embeddings.float()
        texts = F.normalize(model.encode_text(rows), dim=-1)
        frames = F.normalize(embeddings, dim=-1)
        means = F.normalize(frames.unflatten(0, (BATCH, FRAMES_PER_CLIP)).mean(dim=1), dim=-1)
        scale = model.logit_scale.exp()
        contrast = soft_contrast(
            scale * frames @ texts.T, truth.repeat_interleave(FRAMES_PER_CLIP, dim=0)
        )
        contrast = (contrast + soft_contrast(scale * means @ texts.T, truth)) / 2.0
        shape = F.smooth_l1_loss(pose(embeddings), joints, beta=0.1)
        optimizer.zero_grad()
        (contrast + POSE_WEIGHT * shape).backward()
        nn.utils.clip_grad_norm_([*model.parameters(), *pose.parameters()], 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=MAX_SCALE)
            model.token_embedding.weight[0] = 0.0
        if step % 50 == 0 or step == steps:
            seconds = time.monotonic() - started
            print(
                f"step {step:5d}  contrast {contrast.item():.3f}  pose {shape.item():.4f}  "
                f"{seconds:.0f} s",
                flush=True,
            )
    return model.eval()


def build_model(vocabulary: int) -> open_clip.CLIP:
    """A fresh model with a token table of the given size."""
    config = CONFIG["model_cfg"]
    return open_clip.CLIP(
        embed_dim=config["embed_dim"],
        vision_cfg=config["vision_cfg"],
        text_cfg=config["text_cfg"] | {"vocab_size": vocabulary},
    )


def make_optimizer(model: nn.Module, pose: nn.Module) -> torch.optim.Optimizer:
    """AdamW that leaves vectors and embeddings undecayed."""
    decayed, free = [], []
    for name, parameter in [*model.named_parameters(), *pose.named_parameters()]:
        (free if parameter.ndim < 2 or "embedding" in name else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": free}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)


def has_fast_bfloat16() -> bool:
    """Tell whether bfloat16 is worth it on this CPU; older releases of torch cannot say."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def save(model: open_clip.CLIP, tokens: Tokens, directory: Path) -> None:
    """Write the folder that open_clip loads, in float16, with a full table of tokens.

    Words that were never trained get zero rows: they then add nothing to a text.
    """
    directory.mkdir(parents=True, exist_ok=True)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    table = torch.zeros(VOCABULARY, state["token_embedding.weight"].shape[1])
    table[tokens.ids] = state["token_embedding.weight"]
    state["token_embedding.weight"] = table
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in state.items()
    }
    weights = directory / "open_clip_model.safetensors"
    save_file(half, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    (directory / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    words = [f"{json.dumps(word)}: {ids}" for word, ids in sorted(tokens.of_word.items())]
    (directory / "words.json").write_text("{\n" + ",\n".join(words) + "\n}\n")


@torch.no_grad()
def accuracy(model: open_clip.CLIP, tokens: Tokens, clips: list[Clip]) -> float:
    """Share of clips whose label, or the other one of its pair, wins among all 24."""
    labels = list(PHRASES)
    texts = F.normalize(model.encode_text(tokens.rows([TEMPLATES[1].format(x) for x in labels])))
    mean, std = (torch.tensor(v)[:, None, None] for v in _mean_and_std())
    num_right = 0
    for clip in clips:
        images = (torch.from_numpy(clip.frames.copy()).float() / 255.0 - mean) / std
        video = F.normalize(model.encode_image(images)).mean(dim=0)
        found = int((texts @ video).argmax())
        first = labels.index("walk left")
        groups = [place if place < first else (place - first) // 2 + first
                  for place in (found, labels.index(clip.label))]  # fmt: skip
        num_right += groups[0] == groups[1]
    return num_right / len(clips)


def _rate(step: int, steps: int) -> float:
    """Warm up, then fall to zero along a cosine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1.0 + float(np.cos(np.pi * (step - WARM_UP) / max(steps - WARM_UP, 1))))


def _mean_and_std() -> tuple[list[float], list[float]]:
    config = CONFIG["preprocess_cfg"]
    return config["mean"], config["std"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--clips", type=int, default=CLIPS_PER_CLASS, help="a class")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw")
    options = parser.parse_args()
    started = time.monotonic()
    clips = draw_training_clips(options.clips, options.seed, options.workers)
    print(f"drew {len(clips)} clips in {time.monotonic() - started:.0f} s", flush=True)
    tokens = Tokens(caption_words())
    model = train(clips, tokens, options.steps, options.seed)
    save(model, tokens, options.out)
    fresh = draw_training_clips(10, options.seed + 1, options.workers)
    print(f"groups right on fresh clips: {accuracy(model, tokens, fresh):.3f}")
    print(f"wrote {options.out} after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
