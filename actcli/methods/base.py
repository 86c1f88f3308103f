"""Zero-shot CLIP: a video is the mean of its frames, a label the mean of its prompts.

Radford et al., ICML 2021 (arXiv 2103.00020), section 3.1, frame by frame. With examples besides
words it is nearest prototype, as in `nearest_prototype`. Every other method is a subclass that
overrides the parts which its paper changes.

Shape letters: N clips, T frames, T' frame embeddings per clip, X input side, D embedding
dimension, C classes, P prompts per class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from actcli.errors import ModelError, UsageError, shorten_list
from actcli.labelled import PixelBatch
from actcli.methods.nearest_prototype import MethodConfig, NearestPrototype
from actcli.models.backbone import PARTS, Backbone, Part
from actcli.models.scores import cosines, exact, pooled, scaled
from actcli.types import Text

Encode = Callable[[list[str]], Tensor]
Compare = Callable[[Tensor], tuple[Tensor, Tensor | None]]
Recall = Callable[[str, list[str], Encode], Tensor]
"""(digest of what computes, items, how to compute those that are not known) -> stacked values"""


class Method(NearestPrototype):
    """A way to get from frames to logits; this base class is zero-shot CLIP.

    Methods see N clips of one view each: views are folded into N before, and averaged after.
    """

    name: ClassVar[str] = "clip"
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    trains_on: ClassVar[Literal["clips", "episodes"] | None] = None
    """Which batches `loss` wants; None has nothing to train."""
    templates: ClassVar[tuple[str, ...] | None] = None
    """The prompts of its paper; None has no choice of its own."""
    clips_held: int | None = None
    """Clips whose passes are kept for gradients at once, the others computed again; None is all."""
    accuracy: Tensor | None = None
    """Share of right answers in the last `loss`, for people to watch."""

    backbone: Backbone

    def __init__(self, backbone: Backbone, config: MethodConfig | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config or self.Config()
        self.gather: Callable[[Tensor], Tensor] = _alone
        """The same values of all processes, [N, ...] -> [N of all, ...], with gradients: for
        losses that need the whole batch."""

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
        recall: Recall | None = None,
    ) -> Text:
        """The prompts of each label through the text tower.

        labels:   C names, at least one
        prompts:  [C][P]
        encode:   M prompts -> [M, D], where the caller knows some already; default the text tower
        recall:   the same for texts that a method computes in its own way; here there are none
        returns:  values [C, P, D], un-normalised

        Raises UsageError if there are no labels, one of them twice, or not all with the same
        number of prompts.
        """
        if not labels or len(set(labels)) < len(labels):
            raise UsageError(
                f"labels: {shorten_list(labels) or 'none'} (expected one or more, each once)"
            )
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

    def comparison(self, text: Text) -> Compare:
        """What compares videos with one text; what no video changes of it is computed here, once.

        For CLIP the logits are the scaled cosines of `cosine_logits`.

        text:     on the device of the videos
        returns:  [N, T', D], un-normalised -> logits [N, C], whose softmax (or sigmoid, by the
            backbone's kind) is the score; and the cosines behind them, [N, C] in [-1, 1], or None
            where a method has none
        """
        if type(self).logits is not Method.logits:
            return lambda video: (self.logits(video, text), self.similarity(video, text))
        directions = exact(pooled(text.values))  # [C, D]
        scale, bias = self.backbone.logit_scale, self.backbone.logit_bias

        def compare(video: Tensor) -> tuple[Tensor, Tensor]:
            similarity = cosines(video, directions)
            return scaled(similarity, scale, bias), similarity

        return compare

    def logits(self, video: Tensor, text: Text) -> Tensor:
        """The logits of a `comparison`: [N, T', D] -> [N, C]."""
        return self.comparison(_beside(video, text))(video)[0]

    def similarity(self, video: Tensor, text: Text) -> Tensor | None:
        """The cosines of a `comparison`: [N, T', D] -> [N, C]."""
        return self.comparison(_beside(video, text))(video)[1]

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Named scalar terms whose sum is minimised; this method has none.

        Raises ModelError, for there is nothing to train.
        """
        raise ModelError(f"method {self.name}: it has nothing to train", hint="actcli classify")

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """The loss, so that wrappers of the module see the pass that they are to synchronise.

        Where the image tower learns, batches come as pixels, and are embedded here.
        """
        if isinstance(batch, PixelBatch):
            batch = batch.embedded(self._embed_to_learn(batch.frames))
        return self.loss(batch)

    def _embed_to_learn(self, frames: Tensor) -> Tensor:
        if self.clips_held is None:
            return self.embed(frames)
        parts = torch.split(frames, self.clips_held)
        return torch.cat([checkpoint(self.embed, part, use_reentrant=False) for part in parts])

    @classmethod
    def training_defaults(cls, config: MethodConfig) -> Mapping[str, Any]:
        """Settings of `TrainConfig` that differ from its defaults, of the method's paper."""
        return {}

    @property
    def learning_parts(self) -> tuple[Part, ...]:
        """The parts of the backbone that training changes; without "image" batches hold embeddings
        that were computed once."""
        return ()

    def start_learning(self) -> None:
        """Make the parameters that are to change ask for gradients."""
        if self.learning_parts:
            self.backbone.freeze(set(PARTS) - set(self.learning_parts))

    @property
    def classes_per_step(self) -> int | None:
        """How many labels the batches of training are to name; None is all."""
        return None

    def whole_frames(self, video: Tensor) -> Tensor:
        """The whole frames among a clip's embeddings, [N, T', D] -> [N, T, D]: here all."""
        return video

    def observe(self, values: Tensor) -> None:
        """Take from a training set what must be known before the first step: [N, T', D]."""

    def param_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Groups for an optimiser: by default one, of all parameters that learn."""
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": learning, "lr": learning_rate}]

    @property
    def embeds_by_frame(self) -> bool:
        """Whether frames are embedded one by one, as zero-shot CLIP does it."""
        return type(self).embed is Method.embed

    def text_key(self) -> str:
        """Hex digest of all that decides what the text tower makes of a prompt."""
        if self.backbone.text_tower_is_original:
            return self.backbone.digest
        key = hashlib.sha256(self.backbone.digest.encode())
        for name, value in self.state_dict().items():
            if name.startswith("backbone.") and not name.startswith("backbone.model.visual."):
                key.update(name.encode())
                key.update(_bytes(value))
        return key.hexdigest()

    def cache_key(self) -> str:
        """Hex digest of all that decides `embed`: equal keys mean equal embeddings.

        The backbone's own where frames are embedded one by one by the image tower as it was loaded,
        so that methods share what they compute alike; else one of the method with its weights.
        """
        is_original = self.backbone.image_tower_is_original
        if is_original and self.embeds_by_frame:
            return self.backbone.digest
        about = (self.backbone.digest, self.name, self.config.model_dump_json(), is_original)
        key = hashlib.sha256(repr(about).encode())
        for name, value in self.state_dict().items():
            if is_original and name.startswith("backbone."):
                continue  # the backbone's digest stands for it
            key.update(name.encode())
            key.update(_bytes(value))
        if not is_original:
            key.update(repr(self.backbone.image_tower).encode())
        return key.hexdigest()


def _bytes(value: Tensor) -> Any:
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def _beside(video: Tensor, text: Text) -> Text:
    """The text on the video's device."""
    return replace(text, values=text.values.to(video.device))


def _alone(values: Tensor) -> Tensor:
    return values
