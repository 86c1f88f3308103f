"""One model of each family in its true size, random weights: ours against open_clip's own.

PYTHONPATH=. python tests/models/family_table.py [FOLDER]      prints a Markdown table

What is compared: pictures through open_clip's PIL transform and `encode_image`, against ours from
the stored pixels; the same pixels through both towers; prompts through both tokenizers and towers.
For families whose tokenizer must be downloaded (SigLIP, CLIPA), both text towers get the same
random ids instead.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import normalize

from actcli.errors import ModelError
from actcli.models.backbone import find_backbone
from actcli.models.catalog import find_entry
from actcli.models.open_clip import OpenClipBackbone
from actcli.video.transform import fit_picture
from tests.models.tiny_models import PROMPTS, build_model, disturb

FAMILIES = {
    "ViT, OpenAI": "ViT-B-32/openai",
    "ViT, plain": "ViT-B-32/laion2b_s34b_b79k",
    "ResNet": "RN50/openai",
    "ConvNeXt": "convnext_base/laion400m_s13b_b51k",
    "EVA02": "EVA02-B-16/merged2b_s8b_b131k",
    "SigLIP": "ViT-B-16-SigLIP/webli",
    "SigLIP2": "ViT-B-32-SigLIP2-256/webli",
    "PE-Core": "PE-Core-T-16-384/meta",
    "MobileCLIP2": "MobileCLIP2-S0/dfndr2b",
    "CLIPA": "ViT-L-14-CLIPA/datacomp1b",
    "CoCa": "coca_ViT-B-32/laion2b_s13b_b90k",
    "ViTamin": "ViTamin-S/datacomp1b",
    "xlm-roberta": "xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k",
    "NLLB": "nllb-clip-base/v1",
}
SIZES = [(240, 320), (360, 640), (640, 360), (480, 480)]


@dataclass(frozen=True, slots=True)
class Row:
    """What one family's comparison found; cosines are the least of all inputs."""

    family: str
    name: str
    frames: float = 0.0
    text: float = 0.0
    text_compared: str = ""
    pixels: int = 0
    pipeline: float = 0.0
    error: float = 0.0
    """How far ours are from theirs, in units of how far two different inputs are apart."""
    is_meta: bool = False
    build_s: float = 0.0
    total_s: float = 0.0
    refused: str = ""

    def markdown(self) -> str:
        if self.refused:
            return f"| {self.family} | `{self.name}` | refused: {self.refused} |||||||"
        return (
            f"| {self.family} | `{self.name}` | {self.frames:.7f} | {self.text:.7f} "
            f"({self.text_compared}) | {self.pixels} | {self.pipeline:.6f} | {self.error:.0e} "
            f"| {'yes' if self.is_meta else 'slow way'} | {self.build_s:.2f} | {self.total_s:.0f} |"
        )


HEAD = (
    "| family | configuration | frames cosine | text cosine | grey levels | whole picture cosine "
    "| error | built on meta | build s | all s |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


class Messages(logging.Handler):
    """Collects what a logger says."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def save_family(folder: Path, name: str) -> None:
    """A model of a configuration's true size, disturbed, in float32."""
    entry = find_entry(name)
    assert entry is not None, name
    config = entry.model_config()
    vision = {"timm_model_pretrained": False} if "timm_model_name" in config["vision_cfg"] else {}
    config["vision_cfg"] |= vision
    folder.mkdir(parents=True, exist_ok=True)
    saved = {"model_cfg": config, "preprocess_cfg": dict(entry.preprocess)}
    (folder / "open_clip_config.json").write_text(json.dumps(saved))
    if "hf_model_name" in config["text_cfg"]:  # needs files to be built at all
        return
    torch.manual_seed(0)
    state = build_model(config).state_dict()
    disturbed = {key: disturb(key, value) for key, value in state.items()}
    save_file(disturbed, folder / "open_clip_model.safetensors")


def picture(height: int, width: int, seed: int) -> Any:
    """Shapes with edges and a little noise, another for each seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    a, b, c = random.uniform(3, 25, (3, 3))
    waves = [np.sin(a[i] * x + b[i] * y) + np.cos(c[i] * y - a[i] * x) for i in range(3)]
    disc = (np.hypot(x - random.uniform(), y - random.uniform()) < 0.25) * random.uniform(-120, 120)
    noise = random.normal(0, 6, (height, width, 3))
    return (np.stack(waves, -1) * 45 + 120 + disc[..., None] + noise).clip(0, 255).astype(np.uint8)


def least_cosine(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float(torch.cosine_similarity(ours.double(), theirs.double()).min())


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest distance of ours from theirs by the least between theirs, all of length one.

    Random towers give different pictures nearly the same direction: a cosine alone says little.
    """
    ours, theirs = (normalize(e.double(), dim=-1) for e in (ours, theirs))
    apart = torch.pdist(theirs).min()
    return float((ours - theirs).norm(dim=-1).max() / apart)


@torch.no_grad()
def compare(family: str, folder: Path) -> Row:
    import open_clip

    start, name = time.perf_counter(), FAMILIES[family]
    save_family(folder, name)
    messages = Messages()
    log = logging.getLogger("actcli.models.weights")
    log.addHandler(messages)
    log.setLevel(logging.INFO)
    try:
        backbone = OpenClipBackbone(find_backbone(f"local-dir:{folder}"))
        built = time.perf_counter()
        backbone.ensure_built()
        build_s = time.perf_counter() - built
    except ModelError as error:
        return Row(family, name, refused=error.message.replace(f"{folder}: ", ""))
    finally:
        log.removeHandler(messages)
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model.eval()

    pictures = [picture(*size, seed) for seed, size in enumerate(SIZES)]
    wanted = backbone.spec.preprocessing
    ours = torch.stack([torch.from_numpy(fit_picture(p, p.shape[:2], wanted)) for p in pictures])
    theirs = torch.stack([transform(Image.fromarray(p)) for p in pictures])  # type: ignore[misc]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (wanted.mean, wanted.std))
    levels = ((theirs * std + mean) * 255 - ours).abs().max().round()
    embeddings, expected = backbone.encode_frames(ours), model.encode_image(theirs)
    same_pixels = model.encode_image((ours / 255 - mean) / std)
    if backbone.spec.config["model_cfg"]["text_cfg"].get("hf_tokenizer_name"):
        size = model.text.vocab_size if hasattr(model, "text") else model.vocab_size
        ids = torch.randint(1, size, (4, backbone.context_length))
        texts, compared = backbone._encode_ids(ids), "random ids"
    else:
        ids = open_clip.get_tokenizer(f"local-dir:{folder}")(PROMPTS)
        texts, compared = backbone.encode_text(PROMPTS), "prompts"
    expected_texts = model.encode_text(ids)
    return Row(
        family, name,
        frames=least_cosine(embeddings, same_pixels),
        text=least_cosine(texts, expected_texts),
        text_compared=compared,
        pixels=int(levels),
        pipeline=least_cosine(embeddings, expected),
        error=max(
            relative_error(embeddings, same_pixels), relative_error(texts, expected_texts)
        ),
        is_meta=not messages.texts,
        build_s=build_s,
        total_s=time.perf_counter() - start,
    )  # fmt: skip


def main(root: Path) -> None:
    print(HEAD, flush=True)
    for family in FAMILIES:
        folder = root / family
        print(compare(family, folder).markdown(), flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else place))
