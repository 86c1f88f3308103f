"""What a backbone must offer, and the reference to one: a name resolved to files and settings.

Nothing here imports torch or open_clip: naming a model, checking its files and computing the
digest that cache keys are made of cost milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, get_args

from actcli.errors import ModelError
from actcli.models.catalog import HUB_PREFIX, refuse_unknown
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
PARTS: Final = get_args(Part)

LOCAL_PREFIX: Final = "local-dir:"
DEMO_HEAD: Final = "demo-fewshot"
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
    commit: str | None = None
    """Of the repository that the files were downloaded from."""
    promised_sha256: str | None = None
    """What the hub said that the weight file hashes to."""

    def digest(self, weights_sha256: str) -> str:
        """Hex digest of all that decides an embedding: weights, config and tokenizer.

            sha256(sha256(weight file), canonical JSON of the config, sha256(tokenizer files))

        weights_sha256: of the file at `weights_path`; callers memoise it, for it reads every byte.

        Raises ModelError for weights that are not what the hub said they are.
        """
        if self.promised_sha256 not in (None, weights_sha256):
            raise ModelError(
                f"{self.name}: {self.weights_path} is damaged (got {weights_sha256[:12]}…, "
                f"expected {str(self.promised_sha256)[:12]}…)",
                hint=f"actcli models rm --yes {self.name}, then: actcli models pull {self.name}",
            )
        parts = [weights_sha256, json.dumps(self.config, sort_keys=True, separators=(",", ":"))]
        for path in self.tokenizer_files:
            with path.open("rb") as file:
                parts.append(path.name + hashlib.file_digest(file, "sha256").hexdigest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """Where the files of a model are."""

    folder: Path
    weights: Path
    tokenizer: Path | None = None
    """The folder of a Hugging Face tokenizer's files, where they are."""
    commit: str | None = None
    promised_sha256: str | None = None


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

    @property
    def text_tower_is_original(self) -> bool:
        """The same of the text tower."""

    def normalize(self, frames: Tensor) -> Tensor:
        """uint8 [M, 3, X, X] -> (frames / 255 - mean) / std, on the device."""

    def encode_frames(self, frames: Tensor) -> Tensor:
        """uint8 [M, 3, X, X] -> [M, D]."""

    def encode_text(self, prompts: list[str], *, is_quiet: bool = False) -> Tensor:
        """M prompts -> [M, D]; those that were too long are then in `cut_prompts`."""

    def token_embeddings(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """M prompts -> embedded tokens [M, L, W], and the position of each pooled token [M]."""

    def encode_tokens(self, embeddings: Tensor, end: Tensor) -> Tensor:
        """[M, L, W] and the positions to pool [M] -> [M, D]."""

    @property
    def text_width(self) -> int:
        """W."""

    @property
    def prompt_start(self) -> int:
        """Where the words of an embedded prompt begin: behind the start token, if there is one."""

    def encode_after_prefix(self, prefix: Tensor, suffix: Tensor, end: Tensor) -> Tensor:
        """Prompts that share a beginning: [N, Lp, W], [N, k, Ls, W], int64 [N, k] -> [N, k, D].

        end: the position to pool, counted within the suffix
        """

    def encode_grid(self, frames: Tensor, side: int) -> Tensor:
        """uint8 [M, 3, X, X] -> [M, 1 + side * side, D]: the whole frame, then its cells."""

    def freeze(self, parts: Collection[Part]) -> None:
        """Freeze exactly these parts; all others learn."""


def is_local(name: str) -> bool:
    """Whether a name stands for files that are here, wherever here is."""
    return name == "demo" or name.startswith(LOCAL_PREFIX)


def find_backbone(name: str) -> BackboneSpec:
    """The backbone that a `--model` name means, of those that are on this machine anyway.

    Raises ModelError for a name that stands for nothing here, and for a folder that is no model.
    """
    if name == "demo":
        if not _DEMO_FOLDER.is_dir():
            raise ModelError(
                "demo: its files are missing from this installation",
                hint="pip install --force-reinstall actcli",
            )
        return _read_folder(_DEMO_FOLDER, name, licence="apache-2.0")
    if name.startswith(LOCAL_PREFIX):
        typed = name.removeprefix(LOCAL_PREFIX)
        if not typed:
            raise ModelError(f'"{name}": no folder given', hint=WHAT_TO_TYPE)
        return _read_folder(_expand(typed), name)
    raise refuse_name(name)


def refuse_name(name: str) -> ModelError:
    """The error for a name that stands for no model, as precise as the name allows."""
    if name == DEMO_HEAD or name.endswith(".safetensors"):
        hint = f"actcli models show {name}"
        return ModelError(f"{name}: a checkpoint, not a model by name", hint=hint)
    if os.path.isdir(folder := _expand(name)):
        return ModelError(
            f"{name}: a folder needs its prefix", hint=f"type --model {LOCAL_PREFIX}{folder}"
        )
    return refuse_unknown(name, also=("demo", DEMO_HEAD, LOCAL_PREFIX, HUB_PREFIX))


def _expand(typed: str) -> Path:
    try:
        return Path(typed).expanduser()
    except RuntimeError:  # "~nobody": then it is a folder of that name, and will not be found
        return Path(typed)


def _read_folder(folder: Path, name: str, *, licence: str | None = None) -> BackboneSpec:
    config = read_config(folder)
    refuse_foreign_towers(folder, config["model_cfg"])
    found = FoundFiles(folder, find_weights(folder), folder)
    stated = str(config.get("license", "unknown")).lower()
    return make_spec(name, found, config, licence=licence or stated)


def make_spec(
    name: str, files: FoundFiles, config: Mapping[str, Any], *, licence: str = "unknown"
) -> BackboneSpec:
    """The backbone that some files make, once their config is known.

    Raises ModelError for weights that are none, and for a setting that we can't honour.
    """
    if "logit_scale" not in read_shapes(files.weights):
        raise ModelError(
            f"{files.weights}: not the weights of an open_clip model (it has no logit_scale)",
            hint=WHAT_TO_TYPE,
        )
    model, text = config["model_cfg"], config["model_cfg"]["text_cfg"]
    place = files.tokenizer if text.get("hf_tokenizer_name") else None
    tokenizer = [] if place is None else [place / file for file in TOKENIZER_NAMES]
    try:
        return BackboneSpec(
            name=name,
            folder=files.folder,
            weights_path=files.weights,
            config={key: config[key] for key in ("model_cfg", "preprocess_cfg")},
            preprocessing=read_preprocessing(files.folder, config),
            context_length=int(text.get("context_length", 77)),
            embed_dim=model["embed_dim"],
            score_kind="softmax" if model.get("init_logit_bias") is None else "sigmoid",
            # CoCa pools a token that stands behind the padding, and sees it.
            text_is_causal=not (text.get("no_causal_mask") or text.get("embed_cls")),
            activation="quick_gelu" if model.get("quick_gelu") else "gelu",
            tokenizer_files=tuple(path for path in tokenizer if path.is_file()),
            licence=licence,
            commit=files.commit,
            promised_sha256=files.promised_sha256,
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{files.folder / CONFIG_NAME}: a setting is of the wrong kind ({error})",
            hint="use the open_clip_config.json that came with the weights",
        ) from error
