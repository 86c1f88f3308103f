"""Zero-shot CLIP: a video is the mean of its frames, a label the mean of its prompts.

Radford et al., ICML 2021 (arXiv 2103.00020), section 3.1, frame by frame. With examples besides
words it is nearest prototype, in the space of the same embeddings. Every other method is a subclass
that overrides the parts which its paper changes.

Shape letters: N clips, T frames, T' frame embeddings per clip, X input side, D embedding
dimension, C classes, P prompts per class, S support clips, Q queries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from actcli.config import Config
from actcli.errors import ModelError, UsageError, shorten_list
from actcli.labelled import Episode, Prototypes, Support
from actcli.models.align import MATCHERS, class_means, match_mean, means_without_each
from actcli.models.backbone import Backbone
from actcli.models.scores import cosine_logits
from actcli.types import Text

Encode = Callable[[list[str]], Tensor]
Recall = Callable[[str, list[str], Encode], Tensor]
"""(digest of what computes, items, how to compute those that are not known) -> stacked values"""

DISTANCE_SCALE: Final = 0.05
"""What distances to prototypes are divided by before their softmax: measured on the demo's clips,
where it is near the best log-likelihood for one shot as for five, whatever the matcher."""
LARGEST_AUTO_WEIGHT: Final = 0.5


class MethodConfig(Config):
    """What a method lets users choose: for CLIP, how examples are used where there are some."""

    matcher: Literal["mean", "otam", "bimhm", "diag"] = "otam"
    """How a query's frames are compared with a prototype's."""
    text_weight: float | None = Field(None, ge=0.0, le=1.0)
    """Share of the words in few-shot scores; None lets the support clips tell, see `text_trust`."""


class Method(nn.Module):
    """A way to get from frames to logits; this base class is zero-shot CLIP.

    Methods see N clips of one view each: views are folded into N before, and averaged after.
    """

    name: ClassVar[str] = "clip"
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    trains_on: ClassVar[Literal["clips", "embeddings", "episodes"] | None] = None
    """Which batches `loss` wants; None has nothing to train."""
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

    @property
    def merges_before(self) -> bool:
        """Whether the clips of a class are averaged before `modulate`, instead of after."""
        return False

    def modulate(self, frames: Tensor, words: Tensor) -> Tensor:
        """Support frames as they enter prototypes: here of length 1, so that no clip outweighs.

        frames:   [M, T', D], of clips, or of means of a class's clips
        words:    [M, D], un-normalised, the text of each one's class
        returns:  [M, T', D]
        """
        return F.normalize(frames.float(), dim=-1)

    def prototypes(self, support: Support, text: Text) -> Prototypes:
        """One sequence of frames a class: the frame-wise mean of its support clips."""
        num_classes, words = len(text.labels), _mean_prompt(text)
        values, targets = support.values.float(), support.targets
        if self.merges_before:
            means = self.modulate(class_means(values, targets, num_classes), words)
        else:
            means = class_means(self.modulate(values, words[targets]), targets, num_classes)
        return Prototypes(means, text, self.text_weight(support, text))

    def prototypes_without_each(
        self, support: Support, text: Text, groups: Tensor | None = None
    ) -> Tensor:
        """For each support clip its class's prototype made of the others: [S, T', D].

        groups:   int64 [S]; clips of one group are left out together
        returns:  NaN for a clip beside which its class has no other
        """
        num_classes, words = len(text.labels), _mean_prompt(text)[support.targets]
        values, targets = support.values.float(), support.targets
        if self.merges_before:
            return self.modulate(means_without_each(values, targets, num_classes, groups), words)
        return means_without_each(self.modulate(values, words), targets, num_classes, groups)

    def text_weight(self, support: Support, text: Text) -> float:
        """The share of the words: as configured, else half of how far they can be trusted."""
        chosen = self.config.text_weight
        return LARGEST_AUTO_WEIGHT * self.text_trust(support, text) if chosen is None else chosen

    def text_trust(self, support: Support, text: Text) -> float:
        """How well the words alone name the support clips: 1 always and surely, 0 as chance does.

            t = (exp(mean_s log p(y_s | words)) - 1/C) / (1 - 1/C), not below 0

        The geometric mean punishes words that are surely wrong: labels that are no words to the
        text tower, or that only time order tells apart, are left out of the scores by themselves.
        """
        log_scores = self.logits(support.values, text).float().log_softmax(-1)  # [S, C]
        truth = log_scores.gather(-1, support.targets[:, None]).mean().exp().item()
        chance = 1 / len(text.labels)
        return max(0.0, (truth - chance) / (1 - chance)) if chance < 1 else 0.0

    def prototype_logits(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Logits of queries against prototypes: [Q, T', D] -> [Q, C]."""
        distance = self.distance(self.query_frames(query), prototypes.values)
        return self.distance_logits(distance, query, prototypes.text, prototypes.text_weight)

    def distance(self, frames: Tensor, prototypes: Tensor) -> Tensor:
        """How far query frames, as `query_frames` gives them, are from prototypes.

        frames [..., Q, T', D], prototypes [..., C, T', D] -> [..., Q, C]
        """
        return MATCHERS[self.config.matcher](frames, prototypes)

    def distance_logits(self, distance: Tensor, query: Tensor, text: Text, weight: float) -> Tensor:
        """Log-probabilities by distances and by words, the words with their weight.

            w log p(c | words) + (1 - w) log p(c | examples)

        where p(c | examples) is the softmax of -distance / DISTANCE_SCALE.

        distance [Q, C], query [Q, T', D] -> [Q, C]
        """
        seen = (-distance / DISTANCE_SCALE).log_softmax(-1)
        return mix_in_text(seen, self.logits(query, text), weight) if weight else seen

    def query_frames(self, query: Tensor) -> Tensor:
        """Query frames as they meet prototypes: [Q, T', D] -> [Q, T', D]."""
        return query.float()

    def prototype_similarity(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Cosine of pooled query and pooled prototype, whatever the matcher: [Q, C] in [-1, 1]."""
        return 1 - match_mean(self.query_frames(query), prototypes.values)

    def episode_logits(self, episode: Episode) -> Tensor:
        """A whole few-shot task: [Q, C]."""
        return self.prototype_logits(episode.query, self.prototypes(episode.support, episode.text))

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Named scalar terms whose sum is minimised; this method has none.

        Raises ModelError, for there is nothing to train.
        """
        raise ModelError(f"method {self.name}: it has nothing to train", hint="actcli classify")

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """The loss, so that wrappers of the module see the pass that they are to synchronise."""
        return self.loss(batch)

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


def _alone(values: Tensor) -> Tensor:
    return values


def mix_in_text(seen: Tensor, text_logits: Tensor, weight: float) -> Tensor:
    """Logarithm of the weighted geometric mean of two scores, not normalised again: [Q, C].

    seen:         log-probabilities by examples
    text_logits:  by words
    weight:       of the words; 1 leaves the examples out
    """
    told = text_logits.to(seen.dtype).log_softmax(-1)
    return told if weight == 1.0 else weight * told + (1 - weight) * seen


def _mean_prompt(text: Text) -> Tensor:
    """The un-normalised mean over prompts: [C, P, D] -> [C, D]."""
    return text.values.float().mean(1)
