"""Zero-shot CLIP: a video is the mean of its frames, a label the mean of its prompts.

Radford et al., ICML 2021 (arXiv 2103.00020), section 3.1, frame by frame. Every other method is a
subclass that overrides the parts which its paper changes.

Shape letters: N clips, T frames, T' frame embeddings per clip, X input side, D embedding
dimension, C classes, P prompts per class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from actcli.config import Config
from actcli.errors import ModelError, UsageError
from actcli.models.backbone import Backbone
from actcli.models.scores import cosine_logits
from actcli.types import Text

Encode = Callable[[list[str]], Tensor]


class MethodConfig(Config):
    """What a method lets users choose: for zero-shot CLIP, nothing."""


class Method(nn.Module):
    """A way to get from frames to logits; this base class is zero-shot CLIP.

    Methods see N clips of one view each: views are folded into N before, and averaged after.
    """

    name: ClassVar[str] = "clip"
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    trains_on: ClassVar[Literal["clips", "embeddings", "episodes"] | None] = None
    """Which batches `loss` wants; None has nothing to train."""

    backbone: Backbone

    def __init__(self, backbone: Backbone, config: MethodConfig | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config or self.Config()

    def embed(self, frames: Tensor) -> Tensor:
        """Each frame through the image tower: uint8 [N, T, 3, X, X] -> [N, T, D], un-normalised."""
        embeddings = self.backbone.encode_frames(frames.flatten(0, 1))  # [N * T, D]
        return embeddings.reshape(*frames.shape[:2], embeddings.shape[-1])

    def embed_text(
        self,
        labels: Sequence[str],
        prompts: Sequence[Sequence[str]],
        *,
        encode: Encode | None = None,
    ) -> Text:
        """The prompts of each label through the text tower.

        labels:   C names, at least one
        prompts:  [C][P]
        encode:   M prompts -> [M, D], where the caller knows some already; default the text tower
        returns:  values [C, P, D], un-normalised

        Raises UsageError if the labels do not all have the same number of prompts.
        """
        for label, own in zip(labels, prompts, strict=True):
            if len(own) != len(prompts[0]) or not own:
                raise UsageError(
                    f'label "{label}": every label needs as many prompts as the first '
                    f"(got {len(own)}, expected {max(1, len(prompts[0]))})"
                )
        run = encode or self.backbone.encode_text
        values = run([prompt for own in prompts for prompt in own])  # [C * P, D]
        values = values.reshape(len(labels), len(prompts[0]), values.shape[-1])
        return Text(tuple(labels), tuple(map(tuple, prompts)), values)

    def logits(self, video: Tensor, text: Text) -> Tensor:
        """Scaled cosine of pooled video and averaged text, as `cosine_logits`.

        video:    [N, T', D], un-normalised
        returns:  [N, C]; their softmax (or sigmoid, by the backbone's kind) is the score
        """
        scale, bias = self.backbone.logit_scale, self.backbone.logit_bias
        return cosine_logits(video, text.values, scale, bias)[0]

    def similarity(self, video: Tensor, text: Text) -> Tensor | None:
        """The cosines behind the logits, [N, C] in [-1, 1]; None where a method has none."""
        return cosine_logits(video, text.values, self.backbone.logit_scale)[1]

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Named scalar terms whose sum is minimised; this method has none.

        Raises ModelError, for there is nothing to train.
        """
        raise ModelError(f"method {self.name}: it has nothing to train", hint="actcli classify")

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """The loss, so that wrappers of the module see the pass that they are to synchronise."""
        return self.loss(batch)

    def param_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Groups for an optimiser: by default one, of all parameters that learn."""
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": learning, "lr": learning_rate}]

    def cache_key(self) -> str:
        """Hex digest of all that decides `embed`: equal keys mean equal embeddings.

        The backbone's own where `embed` is inherited and the image tower as it was loaded, so that
        methods share what they compute alike; else a digest of the method with its weights.
        """
        is_original = self.backbone.image_tower_is_original
        if is_original and type(self).embed is Method.embed:
            return self.backbone.digest
        about = (self.backbone.digest, self.name, self.config.model_dump_json(), is_original)
        key = hashlib.sha256(repr(about).encode())
        for name, value in self.state_dict().items():
            if is_original and name.startswith("backbone."):
                continue  # the backbone's digest stands for it
            key.update(name.encode())
            key.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        if not is_original:
            key.update(repr(self.backbone.image_tower).encode())
        return key.hexdigest()
