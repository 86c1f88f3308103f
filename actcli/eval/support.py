"""How good few-shot classes are, told from their own examples: each clip against the others.

Shape letters: S support clips, C classes, T' frame embeddings per clip, D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Final, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.labelled import Support
from actcli.methods.base import Method
from actcli.methods.nearest_prototype import MethodConfig
from actcli.metrics import Share, confusions
from actcli.types import Text

_SURER: Final = 3.0
"""A clip looks mislabelled if another class is this many times more probable than its own."""
_SAME_DISTANCE: Final = 0.005
"""Mean distance of frames at equal places below which two clips show the same thing."""
_MOST_COMPARED: Final = 5000
"""Support clips that are compared pair by pair: 100 MB of distances."""
_CHUNK: Final = 256
_TELLING_WIDTH: Final = 0.3
"""Width of the interval above which the clips are too few to tell."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A support clip that looks like another class, by its place among the clips."""

    clip: int
    looks_like: int
    score: float
    own_score: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Leave-one-out on the support: each clip against prototypes made without it."""

    share: Share
    """Of the clips that could be tried: those whose class has another clip."""
    confused: tuple[tuple[int, int, int], ...]
    """(true class, predicted class, how often), the most frequent first"""
    suspects: tuple[Suspect, ...]
    by_matcher: dict[str, Share]
    """The same with other matchers, where the method has a choice."""

    @property
    def is_telling(self) -> bool:
        """Whether there are enough clips for the number to mean something."""
        low, high = self.share.interval
        return high - low <= _TELLING_WIDTH


@torch.inference_mode()
def estimate(
    method: Method, support: Support, text: Text, twins: Sequence[tuple[int, int]] = ()
) -> Estimate:
    """Leave-one-out on the support of a few-shot task.

    The share of the words is that of the whole support: one number, from all clips.

    twins:  pairs of clips that show the same: a clip is tried without any of its twins, for with
        one of them in its prototype it would only find itself
    """
    left_out = _LeftOut(method, support, text, _groups(len(support.values), twins))
    tried, targets = left_out.tried, left_out.targets
    if not len(tried):
        return Estimate(Share(0, 0), (), (), {})
    scores = left_out.scores(method)
    return Estimate(
        _share(scores, targets),
        tuple(confusions(targets.tolist(), scores.argmax(-1).tolist())),
        tuple(_suspects(scores, targets, tried)),
        {
            name: _share(left_out.scores(_with_matcher(method, name)), targets)
            for name in _other_matchers(method)
        },
    )


@torch.inference_mode()
def surenesses(method: Method, support: Support, text: Text) -> Tensor:
    """How sure each clip's best label is where prototypes are made without the clip: [S'].

    Clips that show the same as another are tried without it too, those alone in their class not.
    """
    twins = find_twins(support.values)
    left_out = _LeftOut(method, support, text, _groups(len(support.values), twins))
    return left_out.scores(method).amax(-1) if len(left_out.tried) else torch.zeros(0)


class _LeftOut:
    """The support with prototypes that each clip had no part in."""

    def __init__(self, method: Method, support: Support, text: Text, groups: Tensor) -> None:
        groups = groups.to(support.targets.device)
        kinds = torch.unique(torch.stack([support.targets, groups]), dim=1)[0]
        others = torch.bincount(kinds, minlength=len(text.labels))
        self.tried = (others[support.targets] > 1).nonzero()[:, 0]  # [S']
        self._values = support.values[self.tried].float()
        self.targets = support.targets[self.tried]
        self._frames = method.query_frames(self._values)
        self._prototypes = method.prototypes(support, text)
        self._own = method.prototypes_without_each(support, text, groups)[self.tried]

    def scores(self, method: Method) -> Tensor:
        """Probabilities [S', C] of each clip that was tried."""
        parts = []
        for start in range(0, len(self.targets), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            distance = method.distance(self._frames[chunk], self._prototypes.values)
            own = method.distance(self._frames[chunk, None], self._own[chunk, None])  # [s, 1, 1]
            distance = distance.scatter(1, self.targets[chunk, None], own[..., 0])
            parts.append(
                method.distance_logits(
                    distance,
                    self._values[chunk],
                    self._prototypes.text,
                    self._prototypes.text_weight,
                )
            )
        return torch.cat(parts).float().softmax(-1)


def _groups(count: int, twins: Sequence[tuple[int, int]]) -> Tensor:
    """Clips that show the same have the same number, over any chain of pairs: int64 [S]."""
    group = list(range(count))

    def first(clip: int) -> int:
        while group[clip] != clip:
            clip = group[clip]
        return clip

    for one, other in twins:
        group[first(other)] = first(one)
    return torch.tensor([first(clip) for clip in range(count)])


def _share(scores: Tensor, targets: Tensor) -> Share:
    return Share(int((scores.argmax(-1) == targets).sum()), len(targets))


def _other_matchers(method: Method) -> list[str]:
    names = get_args(type(method.config).model_fields["matcher"].annotation)
    base = get_args(MethodConfig.model_fields["matcher"].annotation)
    # Methods that transform frames for one matcher have no choice.
    return [name for name in base if name != method.config.matcher] if names == base else []


def _with_matcher(method: Method, matcher: str) -> Method:
    """A method that differs in its matcher and shares all else."""
    other = copy(method)
    other.config = method.config.model_copy(update={"matcher": matcher})
    return other


def _suspects(scores: Tensor, targets: Tensor, clips: Tensor) -> list[Suspect]:
    """Clips that are surely of another class, in classes that are else recognised.

    scores [S', C], targets [S'], clips [S']
    """
    best, guess = scores.max(-1)
    own = scores.gather(-1, targets[:, None])[:, 0]
    right = (guess == targets).long()
    num_classes = scores.shape[-1]
    others = torch.bincount(targets, minlength=num_classes)[targets] - 1
    recognised = torch.bincount(targets, right, num_classes)[targets] - right
    is_odd = (guess != targets) & (best > _SURER * own) & (others > 1) & (2 * recognised >= others)
    found = [
        Suspect(int(clips[row]), int(guess[row]), float(best[row]), float(own[row]))
        for row in is_odd.nonzero()[:, 0].tolist()
    ]
    return sorted(found, key=lambda suspect: suspect.own_score / suspect.score)


@torch.inference_mode()
def find_twins(values: Tensor) -> list[tuple[int, int]]:
    """Pairs of clips whose frames at equal places are all but the same: [S, T', D].

    None are looked for among more than 5,000 clips.
    """
    count, length = values.shape[:2]
    if count > _MOST_COMPARED:
        return []
    flat = (F.normalize(values.float(), dim=-1) / length**0.5).flatten(1)  # [S, T' * D]
    near = (1 - flat @ flat.T < _SAME_DISTANCE).triu(1).nonzero()
    return [(int(i), int(j)) for i, j in near.tolist()]
