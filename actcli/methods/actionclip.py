"""ActionCLIP: action recognition as matching of videos and sentences, trained end to end.

Wang, Xing, Liu, "ActionCLIP: A New Paradigm for Video Action Recognition" (arXiv 2109.08472). Where
paper and published code differ the code is followed: Conv_1D reads memory the wrong way (or, with
`conv_layout="time"`, the right one), scores are averaged over templates, the scale at test is 100
whatever was learned. Joint space-time is what the published code, which fails, means to do.
Not followed: the head's position table where nothing reads it, training without float32 masters,
and a validation that drops the last batch. Stochastic depth and embedding dropout, off in every
published config, are not here. Parity: tests/parity/test_actionclip_against_reference.py.

Shape letters: N clips, T frames, D embedding dimension, C classes, P prompts per class, X input
side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, ClassVar, Final, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from actcli.data.prompts import TEMPLATE_SETS
from actcli.errors import ModelError
from actcli.labelled import LabelledEmbeddings
from actcli.methods.base import Compare, Method
from actcli.methods.nearest_prototype import MethodConfig
from actcli.models.backbone import Backbone, Part
from actcli.models.space_time import check_joint, check_shift, joint_frames, shifted_blocks
from actcli.models.temporal_heads import HeadName, make_head
from actcli.types import Text

_TEST_SCALE: Final = 100.0
_SHARPNESS: Final = 10.0
"""What the same-class matrix is multiplied by before its softmax: near, not quite, one-hot."""
_LEARNING: Final[dict[str, tuple[Part, ...]]] = {
    "head": (),
    "image": ("image",),
    "all": ("image", "text", "scale"),
}


class ActionClipConfig(MethodConfig):
    """The switches of the published configs."""

    head: HeadName = "Transf"
    """How frames become a video (sim_header): meanP, Conv_1D, LSTM, Transf, Transf_cls."""
    conv_layout: Literal["published", "time"] = "published"
    """What Conv_1D runs over: memory read the wrong way, as published, or time."""
    heads: int | None = Field(None, ge=1, le=64)
    """Of attention in Transf (D / 64 if None); Transf_cls has 8."""
    num_frames: int = Field(8, ge=1, le=256)
    """T, which Transf_cls and `joint` are made for; by default that of the run."""
    token_shift: bool = False
    """Shift channels between the frames inside the image tower (tsm)."""
    joint: bool = False
    """One embedding of the patches of all frames, in the image tower; takes head meanP."""
    learn: Literal["head", "image", "all"] = "all"
    """What training changes: the head alone, the image tower too, or all, as published."""
    head_rate: float = Field(10.0, gt=0)
    """Learning rate of the head, in units of the towers' (f_ratio)."""

    @model_validator(mode="after")
    def _joint_leaves_the_head_nothing(self) -> Self:
        if self.joint and self.head != "meanP":
            raise ValueError("joint: makes one embedding of a video; it takes --set head=meanP")
        return self


class ActionClip(Method):
    """A head over time, and towers trained to match videos and sentences (ActionCLIP)."""

    name = "actionclip"
    Config: ClassVar[type[MethodConfig]] = ActionClipConfig
    trains_on = "clips"
    templates = TEMPLATE_SETS["actionclip"]
    config: ActionClipConfig

    def __init__(self, backbone: Backbone, config: MethodConfig | None = None) -> None:
        super().__init__(backbone, config)
        chosen, dim = self.config, backbone.embed_dim
        heads = 8 if chosen.head == "Transf_cls" else chosen.heads or max(1, dim // 64)
        if chosen.head.startswith("Transf") and dim % heads:
            raise ModelError(f"{self.name}: {heads} heads do not divide the embedding (got {dim})")
        self.head = make_head(
            chosen.head, dim, heads=heads, num_frames=chosen.num_frames,
            is_mixed=chosen.conv_layout == "published",
        )  # fmt: skip
        if chosen.token_shift:
            check_shift(backbone.image_tower)
        self.time_embedding: nn.Parameter | None = None
        if chosen.joint:
            check_joint(backbone.image_tower)
            width = backbone.image_tower.get_parameter("class_embedding").numel()
            start = torch.randn(chosen.num_frames, width) * width**-0.5
            self.time_embedding = nn.Parameter(start)

    @classmethod
    def training_defaults(cls, config: MethodConfig) -> Mapping[str, Any]:
        """Batch and optimiser of the published configs, with their rate where towers learn."""
        own = {"clips_per_step": 32, "weight_decay": 0.2, "clip_norm": None, "warm_up": 0.1}
        is_alone = isinstance(config, ActionClipConfig) and config.learn == "head"
        return own | {"learning_rate": 5e-5 if is_alone else 5e-6}

    @property
    def learning_parts(self) -> tuple[Part, ...]:
        """The parts of the backbone that training changes."""
        return _LEARNING[self.config.learn]

    @property
    def embeds_by_frame(self) -> bool:
        """Whether frames are embedded one by one, as zero-shot CLIP does it."""
        return not (self.config.token_shift or self.config.joint)

    def embed(self, frames: Tensor) -> Tensor:
        """Frames through the image tower, with what is switched on of time inside it.

        uint8 [N, T, 3, X, X] -> [N, T, D], or [N, 1, D] of all frames together; un-normalised
        """
        num_frames = frames.shape[1]
        tower = None if self.embeds_by_frame else self.backbone.image_tower
        with ExitStack() as added:
            if tower is not None and self.config.token_shift:
                added.enter_context(shifted_blocks(tower, num_frames))
            if tower is not None and self.time_embedding is not None:
                self._check_length(num_frames)
                added.enter_context(joint_frames(tower, self.time_embedding))
            values = self.backbone.encode_frames(frames.flatten(0, 1))
        return values.reshape(len(frames), -1, values.shape[-1])

    def _check_length(self, num_frames: int) -> None:
        made_for = self.config.num_frames
        if num_frames != made_for:
            raise ModelError(
                f"{self.name}: made for {made_for} frames (got {num_frames})",
                hint=f"--frames {made_for}",
            )

    def whole_video(self, video: Tensor) -> Tensor:
        """What the head makes of a clip: [N, T', D] -> [N, D], of length 1."""
        if self.config.head == "Transf_cls":
            self._check_length(video.shape[1])
        return F.normalize(self.head(video.float()), dim=-1)

    def comparison(self, text: Text) -> Compare:
        """The logarithm of scores that are averaged over templates, and the cosines of the video
        and the mean of the label's prompts.

        p(c) = mean_p softmax_c(100 cos(v, t_cp))
        """
        words = F.normalize(text.values.float(), dim=-1)  # [C, P, D]
        means = F.normalize(words.mean(1), dim=-1)  # [C, D]

        def compare(video: Tensor) -> tuple[Tensor, Tensor]:
            whole = self.whole_video(video)
            cosines = torch.einsum("nd,cpd->npc", whole, words)
            by_template = (_TEST_SCALE * cosines).log_softmax(-1)  # [N, P, C]
            logits = by_template.logsumexp(1) - math.log(by_template.shape[1])
            return logits, whole @ means.T

        return compare

    def loss(self, batch: LabelledEmbeddings) -> dict[str, Tensor]:
        """`same_class_loss` of the videos and one prompt of each, drawn from its templates."""
        text, targets = batch.text, batch.targets
        drawn = (batch.noise[:, 0] * len(text.prompts[0])).long()  # [N]
        if "text" in self.learning_parts:
            words = self._read(text, targets.tolist(), drawn.tolist())
        else:
            words = text.values[targets, drawn]
        videos = self.gather(self.whole_video(batch.values))
        words = self.gather(F.normalize(words.float(), dim=-1))
        targets = self.gather(targets)
        with torch.autocast(videos.device.type, enabled=False):
            loss, logits = same_class_loss(
                videos.float(), words.float(), self.backbone.logit_scale, targets
            )
        self.accuracy = (targets[logits.argmax(-1)] == targets).float().mean()
        return {"contrast": loss}

    def _read(self, text: Text, targets: list[int], drawn: list[int]) -> Tensor:
        """Prompts through the text tower, with gradients and each once: [N, D]."""
        wanted = [text.prompts[c][p] for c, p in zip(targets, drawn, strict=True)]
        place = {prompt: i for i, prompt in enumerate(dict.fromkeys(wanted))}
        values = self.backbone.encode_text(list(place), is_quiet=True)
        return values[[place[prompt] for prompt in wanted]]

    def param_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """The text side, the image tower, and the head at its own rate; all of it decays."""
        sides: tuple[list[Tensor], ...] = ([], [], [])
        for name, parameter in self.named_parameters():
            is_image = name.startswith("backbone.model.visual.") or name == "time_embedding"
            side = sides[1] if is_image else sides[0 if name.startswith("backbone.") else 2]
            if parameter.requires_grad:
                side.append(parameter)
        rates = (learning_rate, learning_rate, self.config.head_rate * learning_rate)
        if not self.learning_parts:
            rates = (learning_rate,) * 3  # with nothing beside it the head has the rate itself
        return [
            {"params": side, "lr": rate} for side, rate in zip(sides, rates, strict=True) if side
        ]

    @classmethod
    def from_reference(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published names as ours.

        state:  `model_state_dict` as it is, and `fusion_model_state_dict` with "module." before
            each name, as the published files have it
        """
        return {
            renamed: value
            for name, value in state.items()
            if (renamed := rename(name, state)) is not None
        }


def same_class_loss(
    video: Tensor, text: Tensor, logit_scale: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Symmetric KL divergence between who matches whom and who is of the same class.

        A = exp(s) V T^t        G_ij = [y_i = y_j]        Q = softmax_j(10 G)
        loss = (KL(Q | softmax A) + KL(Q | softmax A^t)) / 2, means over rows

    video, text:  [N, D], of length 1
    targets:      int64 [N]
    returns:      the loss, and A [N, N]
    """
    logits = logit_scale.exp() * video @ text.T
    same = (targets[:, None] == targets).to(logits)
    wanted = (_SHARPNESS * same).softmax(-1)
    both = [F.kl_div(a.log_softmax(-1), wanted, reduction="batchmean") for a in (logits, logits.T)]
    return (both[0] + both[1]) / 2, logits


_UNREAD: Final = "frame_position_embeddings.weight"
_FUSION: Final = "module."
_DROPPED: Final = ("input_resolution", "context_length", "vocab_size")


def rename(name: str, state: Mapping[str, Tensor]) -> str | None:
    """One published key as ours; None for what nothing reads."""
    if name.startswith(_FUSION):
        own = name.removeprefix(_FUSION)
        is_read = f"{_FUSION}transformer.resblocks.0.ln_1.weight" in state
        return f"head.{own}" if own != _UNREAD or is_read else None
    if name in _DROPPED:
        return None
    if name == "visual.time_embedding":
        return "time_embedding"
    if name == "logit_scale":
        return "backbone.logit_scale"
    return "backbone.model." + re.sub(r"(resblocks\.\d+)\.net\.", r"\1.", name)


def to_reference(name: str) -> str:
    """One of our names as the published layout has it, less the shift's ".net"."""
    if name.startswith("head."):
        return _FUSION + name.removeprefix("head.")
    if name == "time_embedding":
        return "visual.time_embedding"
    return name.removeprefix("backbone.model.").removeprefix("backbone.")


def reference_config(state: Mapping[str, Tensor]) -> ActionClipConfig:
    """The config that published weights need, told by their names; as `from_reference`.

    Raises ModelError for a head that no published config has.
    """
    marks: dict[str, HeadName] = {
        "transformer.resblocks.0.ln_1.weight": "Transf",
        "transformer.cls_token": "Transf_cls",
        "lstm_visual.weight_ih_l0": "LSTM",
        "shift.weight": "Conv_1D",
    }
    found = [head for mark, head in marks.items() if _FUSION + mark in state]
    has_fusion = any(name.startswith(_FUSION) for name in state)
    if len(found) > 1 or (has_fusion and not found):
        raise ModelError("its fusion module is of no kind that was published")
    options: dict[str, Any] = {"head": found[0] if found else "meanP"}
    time = state.get("visual.time_embedding")
    positions = state.get(f"{_FUSION}transformer.pos_embed")
    if time is not None:
        options |= {"joint": True, "num_frames": len(time)}
    if positions is not None:
        options |= {"num_frames": positions.shape[1] - 1}
    is_shifted = any(".net." in name for name in state)
    return ActionClipConfig(**options, token_shift=is_shifted)
