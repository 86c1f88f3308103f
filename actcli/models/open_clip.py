"""The open_clip family behind the `Backbone` protocol, built when first used.

Shape letters: M images or prompts, X input side, D embedding dimension, L tokens, W width of the
text tower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import Any, Final

import torch
from torch import Tensor, nn

from actcli.errors import ModelError, UsageError
from actcli.models.backbone import PARTS, BackboneSpec, CutPrompt, Part
from actcli.models.grid import grid_embeddings
from actcli.models.last_block import pooled_token_only
from actcli.models.text_prefix import can_share_prefix, run_after_prefix
from actcli.models.tokens import Tokens, make_tokenizer, pooled_positions, warn_of_cut
from actcli.models.towers import build_towers
from actcli.models.weights import identity, read_scale

_PROMPTS_PER_PASS: Final = 256


class OpenClipBackbone(nn.Module):
    """A CLIP of open_clip's configs: two towers, frozen, in one dtype.

    Construction reads the logit scale and nothing else; the towers are built, and open_clip is
    imported, at the first call that needs them. A run whose embeddings are all cached never does.

    digest: of weights and config, where the caller knows it; else it is computed when asked for.

    Raises UsageError for float16 on a CPU, ModelError for weights that do not fit their config.
    """

    model: Any
    logit_scale: Tensor
    logit_bias: Tensor | None
    _gain: Tensor
    _shift: Tensor

    def __init__(
        self,
        spec: BackboneSpec,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        digest: str | None = None,
    ) -> None:
        super().__init__()
        place = torch.device(device)
        if dtype == torch.float16 and place.type == "cpu":
            raise UsageError(
                "--precision: fp16 is slower than fp32 on a CPU",
                hint="use --precision bf16 or fp32",
            )
        self.spec = spec
        self.dtype = dtype
        self.input_size = spec.preprocessing.size_px
        self.embed_dim = spec.embed_dim
        self.score_kind = spec.score_kind
        self.context_length = spec.context_length
        self.text_is_causal = spec.text_is_causal
        self.cut_prompts: tuple[CutPrompt, ...] = ()
        """The prompts of the last call that were longer than the context length."""
        self._digest = digest
        self._tokenizer: Callable[[list[str]], Tokens] | None = None
        self._original: tuple[object, object] = ((), ())
        self.register_module("model", None)
        # Ours rather than the model's: known before it is built, and never in half precision.
        scale, bias = read_scale(spec)
        self.logit_scale = nn.Parameter(scale.to(place), requires_grad=False)
        self.logit_bias = (
            None if bias is None else nn.Parameter(bias.to(place), requires_grad=False)
        )
        mean = torch.tensor(spec.preprocessing.mean, device=place).view(3, 1, 1)
        std = torch.tensor(spec.preprocessing.std, device=place).view(3, 1, 1)
        self.register_buffer("_gain", 1 / (255 * std), persistent=False)
        self.register_buffer("_shift", -mean / std, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.logit_scale.device

    @property
    def digest(self) -> str:
        """Hex digest of weights and config, as `BackboneSpec.digest`."""
        if self._digest is None:
            with self.spec.weights_path.open("rb") as file:
                weights = hashlib.file_digest(file, "sha256").hexdigest()
            self._digest = self.spec.digest(weights)
        return self._digest

    @property
    def image_tower(self) -> nn.Module:
        """The image tower itself, for methods that wrap its blocks."""
        tower: nn.Module = self.ensure_built().visual
        return tower

    @property
    def image_tower_is_original(self) -> bool:
        """Whether the image tower is frozen, unwrapped and holds the weights of its file."""
        return self.model is None or identity(self.model)[0] == self._original[0]

    @property
    def text_tower_is_original(self) -> bool:
        """The same of the text tower."""
        return self.model is None or identity(self.model)[1] == self._original[1]

    def ensure_built(self) -> Any:
        """Build the towers unless they are there, and return open_clip's model.

        Raises ModelError if open_clip refuses the config or the weights do not fit it.
        """
        if self.model is None:
            # The first call may come from inference mode, whose tensors could never be trained.
            with torch.inference_mode(False), torch.no_grad():
                model = build_towers(self.spec).to(device=self.device, dtype=self.dtype)
            self.model = model.requires_grad_(False).eval()
            self._original = identity(model)
        return self.model

    def train(self, mode: bool = True) -> OpenClipBackbone:
        """Switch modes, but leave frozen towers alone, and batch statistics as they were learned:
        those of a few clips say little, and each process would have its own."""
        super().train(mode)
        for part in () if self.model is None else self.model.children():
            is_frozen = not any(parameter.requires_grad for parameter in part.parameters())
            for module in part.modules():
                if is_frozen or isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.training = False
        return self

    def freeze(self, parts: Collection[Part]) -> None:
        """Freeze exactly these parts; all others learn."""
        unknown = set(parts) - set(PARTS)
        if unknown:
            raise ValueError(f"freeze: unknown parts {unknown} (expected {PARTS})")
        self.ensure_built()
        for name, parameter in self.named_parameters():
            part = "image" if name.startswith("model.visual.") else "text"
            part = part if name.startswith("model.") else "scale"
            parameter.requires_grad_(part not in parts)
        self.train(self.training)

    def normalize(self, frames: Tensor) -> Tensor:
        """Scale pixels as the model was trained to see them, on its device and in its dtype.

            x = (frames / 255 - mean) / std, per channel

        frames:   uint8 [M, 3, X, X]
        returns:  float [M, 3, X, X]
        """
        pixels = frames.to(self.device).float()
        return torch.addcmul(self._shift, pixels, self._gain).to(self.dtype)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """uint8 [M, 3, X, X] -> [M, D], un-normalised."""
        size = self.input_size
        if frames.dtype != torch.uint8 or tuple(frames.shape[1:]) != (3, size, size):
            raise ValueError(
                f"encode_frames: got {frames.dtype} {tuple(frames.shape)}, "
                f"expected uint8 [M, 3, {size}, {size}]"
            )
        with pooled_token_only(self.image_tower):
            return _first(self.image_tower(self.normalize(frames)))

    def encode_text(self, prompts: list[str], *, is_quiet: bool = False) -> Tensor:
        """M prompts -> [M, D], un-normalised; prompts that are too long are named in a warning,
        unless it is quiet.

        Where the text tower is causal, passes end at the longest prompt: no later token counts.
        """
        self.cut_prompts = ()
        if not prompts:
            return torch.zeros(0, self.embed_dim, dtype=self.dtype, device=self.device)
        parts = []
        cut: list[CutPrompt] = []
        for start in range(0, len(prompts), _PROMPTS_PER_PASS):
            tokens = self._tokenize(prompts[start : start + _PROMPTS_PER_PASS])
            parts.append(self._encode_ids(tokens.ids))
            cut += tokens.cut
        self._report(cut, is_quiet=is_quiet)
        return torch.cat(parts)

    def token_embeddings(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """M prompts -> embedded tokens [M, L, W], and the position of each pooled token [M].

        L is that of the longest prompt where the text tower is causal, else the context length.
        Positions are not yet added.

        Raises ModelError for a text tower that needs to see the ids.
        """
        if self._text_tower_masks_padding():
            raise ModelError(
                f"{self.spec.name}: its text tower reads whole prompts only",
                hint="see other models: actcli models list",
            )
        tokens = self._tokenize(prompts)
        self._report(tokens.cut)
        return self._embed_tokens(tokens.ids)

    def encode_tokens(self, embeddings: Tensor, end: Tensor) -> Tensor:
        """Run the text tower on embedded tokens and pool one position of each row.

        embeddings:  [M, L, W], without positions
        end:         int64 [M], in 0..L-1
        returns:     [M, D], un-normalised
        """
        tower = self._text_tower()
        length = embeddings.shape[1]
        mask = None if tower.attn_mask is None else tower.attn_mask[:length, :length]
        x = embeddings + tower.positional_embedding[:length]
        x = tower.ln_final(tower.transformer(x, attn_mask=mask))  # [M, L, W]
        return _project(tower, x[torch.arange(len(x), device=x.device), end])

    def encode_after_prefix(self, prefix: Tensor, suffix: Tensor, end: Tensor) -> Tensor:
        """Prompts that share a beginning, which a causal text tower computes once.

        prefix [N, Lp, W], suffix [N, k, Ls, W], both without positions; end int64 [N, k], the
        position to pool within the suffix -> [N, k, D], un-normalised
        """
        tower = self._text_tower()
        if self.text_is_causal and can_share_prefix(tower):
            return _project(tower, run_after_prefix(tower, prefix, suffix, end))
        beginnings = prefix[:, None].expand(-1, suffix.shape[1], -1, -1)
        whole = torch.cat([beginnings, suffix], 2).flatten(0, 1)  # [N * k, Lp + Ls, W]
        texts = self.encode_tokens(whole, end.flatten() + prefix.shape[1])
        return texts.reshape(*suffix.shape[:2], -1)

    def encode_grid(self, frames: Tensor, side: int) -> Tensor:
        """uint8 [M, 3, X, X] -> [M, 1 + side * side, D], as `grid_embeddings`."""
        return grid_embeddings(self.image_tower, self.normalize(frames), side)

    @property
    def text_width(self) -> int:
        """W, of the text tower's tokens."""
        return int(self._text_cfg["width"])

    @property
    def prompt_start(self) -> int:
        """Where the words of an embedded prompt begin: behind the start token, if there is one."""
        return 0 if self._text_cfg.get("hf_tokenizer_name") else 1

    @property
    def _text_cfg(self) -> dict[str, Any]:
        return dict(self.spec.config["model_cfg"]["text_cfg"])

    def _text_tower(self) -> Any:
        """The module that holds the parts of the text tower, under names that all models share."""
        model = self.ensure_built()
        return model.text if hasattr(model, "text") else model

    def _text_tower_masks_padding(self) -> bool:
        """Whether what a token sees depends on which ids are padding, as in CoCa."""
        return getattr(self._text_tower(), "cls_emb", None) is not None

    def _encode_ids(self, ids: Tensor) -> Tensor:
        """int64 [M, L] -> [M, D], un-normalised."""
        if self._text_tower_masks_padding():
            return _first(self._text_tower()(ids.to(self.device)))
        return self.encode_tokens(*self._embed_tokens(ids))

    def _embed_tokens(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [M, L] -> [M, L', W] and the pooled positions [M], L' as `token_embeddings`."""
        end = pooled_positions(ids, self._text_cfg)
        if self.text_is_causal and len(ids):
            ids = ids[:, : int(end.max()) + 1]
        return self._text_tower().token_embedding(ids.to(self.device)), end.to(self.device)

    def _tokenize(self, prompts: list[str]) -> Tokens:
        if self._tokenizer is None:
            self._tokenizer = make_tokenizer(self.spec)
        return self._tokenizer(prompts)

    def _report(self, cut: Collection[CutPrompt], *, is_quiet: bool = False) -> None:
        self.cut_prompts = tuple(cut)
        warn_of_cut(self.spec, [] if is_quiet else [prompt.read for prompt in cut])


def _project(tower: Any, pooled: Tensor) -> Tensor:
    """From the text tower to the joint space: [..., W] -> [..., D]."""
    projection = tower.text_projection
    if isinstance(projection, nn.Linear):
        projected: Tensor = projection(pooled)
        return projected
    return pooled if projection is None else pooled @ projection


def _first(outputs: Any) -> Tensor:
    """The embeddings that a tower gives, alone or before its tokens, as CoCa's do."""
    embeddings: Tensor = outputs[0] if isinstance(outputs, tuple) else outputs
    return embeddings
