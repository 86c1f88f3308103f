"""What a backbone must offer, and the reference to one: a name resolved to files and settings.

Nothing here imports torch or open_clip: naming a model, checking its files and computing the
digest that cache keys are made of cost milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from actcli.errors import ModelError, close_names, shorten_list
from actcli.models.model_config import (
    CONFIG_NAME,
    WHAT_TO_TYPE,
    read_config,
    read_preprocessing,
    refuse_foreign_towers,
)
from actcli.models.weight_file import find_weights, read_shapes
from actcli.types import Preprocessing, ScoreKind

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Part = Literal["image", "text", "scale"]

ALIASES: Final[Mapping[str, str]] = {
    "default": "PE-Core-B-16/meta",
    "fast": "ViT-B-32/datacomp_xl_s13b_b90k",
    "best": "PE-Core-L-14-336/meta",
    "paper": "ViT-B-16/openai",
}
LOCAL_PREFIX: Final = "local-dir:"
TOKENIZER_NAMES: Final = ("tokenizer.json", "tokenizer_config.json", "spiece.model", "vocab.txt")
_DEMO_FOLDER = Path(__file__).resolve().parents[1] / "demo" / "model"


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """A backbone that was found: its files and all that its config says, nothing loaded."""

    name: str
    """As the user typed it, and as records show it."""
    folder: Path
    weights_path: Path
    config: Mapping[str, Any] = field(hash=False, repr=False)
    """`model_cfg` and `preprocess_cfg`, as open_clip writes them."""
    preprocessing: Preprocessing
    context_length: int
    """Tokens that the text tower reads, its start and end token included."""
    embed_dim: int
    score_kind: ScoreKind
    text_is_causal: bool
    """Whether a token sees only those before it, so that nothing after the end token counts."""
    activation: Literal["gelu", "quick_gelu"]
    tokenizer_files: tuple[Path, ...] = ()
    """Of a Hugging Face tokenizer; empty where open_clip's own tokenizer is used."""
    licence: str = "unknown"
    family: str = "open_clip"

    def digest(self, weights_sha256: str) -> str:
        """Hex digest of all that decides an embedding: weights, config and tokenizer.

            sha256(sha256(weight file), canonical JSON of the config, sha256(tokenizer files))

        weights_sha256: of the file at `weights_path`; callers memoise it, for it reads every byte.
        """
        parts = [weights_sha256, json.dumps(self.config, sort_keys=True, separators=(",", ":"))]
        for path in self.tokenizer_files:
            with path.open("rb") as file:
                parts.append(path.name + hashlib.file_digest(file, "sha256").hexdigest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CutPrompt:
    """A prompt that was longer than a text tower reads."""

    prompt: str
    read: str
    """The beginning that the text tower did read, as its tokenizer spells it."""


class Backbone(Protocol):
    """A pretrained two-tower model; embeddings are un-normalised, in the precision it runs in.

    Shape letters: M images or prompts, X input side, D embedding dimension, L tokens, W width of
    the text tower.
    """

    @property
    def spec(self) -> BackboneSpec:
        """Where it comes from and what its config says."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def digest(self) -> str:
        """Hex digest of weights and config, as `BackboneSpec.digest`."""

    @property
    def input_size(self) -> int:
        """X, side in pixels of the square that the image tower reads."""

    @property
    def embed_dim(self) -> int:
        """D."""

    @property
    def score_kind(self) -> ScoreKind:
        """softmax, or sigmoid with a bias."""

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt, start and end included."""

    @property
    def text_is_causal(self) -> bool:
        """Whether a token sees only those before it."""

    @property
    def logit_scale(self) -> Tensor:
        """Scalar: the log of what cosines are multiplied by."""

    @property
    def logit_bias(self) -> Tensor | None:
        """Scalar added to logits, of sigmoid models only."""

    @property
    def cut_prompts(self) -> tuple[CutPrompt, ...]:
        """Prompts of the last text pass that were longer than the context length."""

    @property
    def image_tower(self) -> nn.Module:
        """The image tower itself, for methods that wrap its blocks."""

    @property
    def image_tower_is_original(self) -> bool:
        """Whether the image tower is frozen, unwrapped and holds the weights of its file."""

    def normalize(self, frames: Tensor) -> Tensor:
        """uint8 [M, 3, X, X] -> (frames / 255 - mean) / std, on the device."""

    def encode_frames(self, frames: Tensor) -> Tensor:
        """uint8 [M, 3, X, X] -> [M, D]."""

    def encode_text(self, prompts: list[str]) -> Tensor:
        """M prompts -> [M, D]; those that were too long are then in `cut_prompts`."""

    def token_embeddings(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """M prompts -> embedded tokens [M, L, W], and the position of each pooled token [M]."""

    def encode_tokens(self, embeddings: Tensor, end: Tensor) -> Tensor:
        """[M, L, W] and the positions to pool [M] -> [M, D]."""

    def freeze(self, parts: Collection[Part]) -> None:
        """Freeze exactly these parts; all others learn."""


def find_backbone(name: str) -> BackboneSpec:
    """The backbone that a `--model` name means.

    Raises ModelError for a name that this version cannot read, and for a folder that is no model.
    """
    if name == "demo":
        if not _DEMO_FOLDER.is_dir():
            raise ModelError(
                "demo: its files are missing from this installation",
                hint="pip install --force-reinstall actcli",
            )
        return _read_folder(_DEMO_FOLDER, name, licence="Apache-2.0")
    if name.startswith(LOCAL_PREFIX):
        typed = name.removeprefix(LOCAL_PREFIX)
        if not typed:
            raise ModelError(f'"{name}": no folder given', hint=WHAT_TO_TYPE)
        return _read_folder(_expand(typed), name)
    raise _refuse(name)


def _expand(typed: str) -> Path:
    try:
        return Path(typed).expanduser()
    except RuntimeError:  # "~nobody": then it is a folder of that name, and will not be found
        return Path(typed)


def _refuse(name: str) -> ModelError:
    """The error for a name that is no local model, as precise as the name allows."""
    reads = "this version reads demo and local-dir: models only"
    if name in ALIASES:
        return ModelError(f"{name} ({ALIASES[name]}): {reads}", hint=WHAT_TO_TYPE)
    if name.endswith(".safetensors"):
        return ModelError(f"{name}: {reads}, not checkpoint files", hint=WHAT_TO_TYPE)
    if (folder := _expand(name)).is_dir():
        return ModelError(
            f"{name}: a folder needs its prefix", hint=f"type --model {LOCAL_PREFIX}{folder}"
        )
    if name.startswith("hf-hub:") or re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return ModelError(f"{name}: {reads}, and downloads nothing", hint=WHAT_TO_TYPE)
    close = close_names(name, ["demo", LOCAL_PREFIX, *ALIASES, *ALIASES.values()])
    meant = f"did you mean {shorten_list(close)}? " if close else ""
    return ModelError(f'unknown model (got "{name}")', hint=meant + WHAT_TO_TYPE)


def _read_folder(folder: Path, name: str, *, licence: str | None = None) -> BackboneSpec:
    config = read_config(folder)
    refuse_foreign_towers(folder, config["model_cfg"])
    weights = find_weights(folder)
    if "logit_scale" not in read_shapes(weights):
        raise ModelError(
            f"{weights}: not the weights of an open_clip model (it has no logit_scale)",
            hint=WHAT_TO_TYPE,
        )
    model, text = config["model_cfg"], config["model_cfg"]["text_cfg"]
    tokenizer = [folder / file for file in TOKENIZER_NAMES if text.get("hf_tokenizer_name")]
    try:
        return BackboneSpec(
            name=name,
            folder=folder,
            weights_path=weights,
            config={key: config[key] for key in ("model_cfg", "preprocess_cfg")},
            preprocessing=read_preprocessing(folder, config),
            context_length=int(text.get("context_length", 77)),
            embed_dim=model["embed_dim"],
            score_kind="softmax" if model.get("init_logit_bias") is None else "sigmoid",
            text_is_causal=not text.get("no_causal_mask", False),
            activation="quick_gelu" if model.get("quick_gelu") else "gelu",
            tokenizer_files=tuple(path for path in tokenizer if path.is_file()),
            licence=licence or str(config.get("license", "unknown")),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{folder / CONFIG_NAME}: a setting is of the wrong kind ({error})",
            hint="use the open_clip_config.json that came with the weights",
        ) from error
