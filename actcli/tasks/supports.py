"""The examples behind few-shot classes: embedded, kept in a file, changed class by class."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from actcli.checkpoint_info import CheckpointInfo, SupportClip
from actcli.errors import ModelError, UsageError
from actcli.labelled import Prototypes, Support
from actcli.types import FrameEmbeddings, Text

if TYPE_CHECKING:
    from actcli.methods.base import Method

_VALUES, _TARGETS, _TEXT, _PROTOTYPES = (
    "support.values", "support.targets", "text.values", "prototypes.values",
)  # fmt: skip


_MOST_PROMPTS = 64
"""Prompts a class, when classes with other numbers of them meet."""


@dataclass(frozen=True, slots=True, eq=False)
class SupportSet:
    """Support clips and their classes; of a compact file the prototypes are all there is."""

    clips: tuple[SupportClip, ...]
    """S, in the order of the embeddings"""
    text: Text
    """of the C classes"""
    support: Support | None
    compact: Prototypes | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""
        return self.text.labels

    def prototypes(self, method: Method) -> Prototypes:
        """What queries are compared with."""
        if self.compact is not None:
            wanted = method.config.text_weight
            return self.compact if wanted is None else replace(self.compact, text_weight=wanted)
        support, text = self.placed(method)
        return method.prototypes(support, text)

    def placed(self, method: Method) -> tuple[Support, Text]:
        """Clips and words on the device of a method."""
        assert self.support is not None, "a set is whole or compact"
        device, support = method.backbone.device, self.support
        return (
            Support(support.values.to(device), support.targets.to(device)),
            replace(self.text, values=self.text.values.to(device)),
        )

    def tensors(self, compact: Prototypes | None = None) -> dict[str, Tensor]:
        """What a file keeps: all, or the given prototypes instead of the clips."""
        if compact is not None:
            return {_PROTOTYPES: compact.values, _TEXT: self.text.values.float()}
        assert self.support is not None, "a compact set keeps its prototypes"
        return {
            _VALUES: self.support.values.float(),
            _TARGETS: self.support.targets,
            _TEXT: self.text.values.float(),
        }

    def only(self, labels: Sequence[str]) -> SupportSet:
        """The set with these of its classes, in this order."""
        places = [self.labels.index(label) for label in labels]
        text = Text(tuple(labels), tuple(self.text.prompts[c] for c in places),
                    self.text.values[places])  # fmt: skip
        wanted = set(labels)
        kept = [i for i, clip in enumerate(self.clips) if clip.label in wanted]
        clips = tuple(self.clips[i] for i in kept)
        if self.compact is not None:
            values = self.compact.values[places]
            return SupportSet(clips, text, None, replace(self.compact, values=values, text=text))
        assert self.support is not None, "a set is whole or compact"
        targets = torch.tensor([labels.index(clip.label) for clip in clips])
        return SupportSet(clips, text, Support(self.support.values[kept], targets))

    def joined(self, other: SupportSet, *, append: bool) -> SupportSet:
        """This set with the classes of another: new ones last, those of the same name replaced.

        append:  clips of the same name are added to those that are there
        """
        self._check_whole()
        common = [label for label in self.labels if label in other.labels]
        base = self if append or not common else self._less(common)
        if base is None:
            return other
        rows = [c for c, label in enumerate(other.labels) if label not in base.labels]
        text = _joined_text(base.text, other.text, rows)
        assert base.support is not None
        assert other.support is not None
        values = [base.support.values.float(), other.support.values.float()]
        if values[0].shape[1:] != values[1].shape[1:]:
            raise UsageError(
                f"the saved clips have {values[0].shape[1]} frames each "
                f"(got {values[1].shape[1]} now)",
                hint=f"--frames {values[0].shape[1]}",
            )
        clips = base.clips + other.clips
        targets = torch.tensor([text.labels.index(clip.label) for clip in clips])
        return SupportSet(clips, text, Support(torch.cat(values), targets))

    def _less(self, labels: Collection[str]) -> SupportSet | None:
        kept = [label for label in self.labels if label not in labels]
        return self.only(kept) if kept else None

    def _check_whole(self) -> None:
        if self.support is None:
            raise ModelError(
                "a compact file keeps prototypes only: its classes can't be changed",
                hint="make it anew, without --compact",
            )


def _joined_text(base: Text, other: Text, rows: Sequence[int]) -> Text:
    """The words of both, those of `other` from some of its rows.

    Where one has more prompts a class, all repeat theirs as often as it takes: the mean over the
    prompts of a class stays what it was.
    """
    counts = base.values.shape[1], other.values.shape[1]
    count = math.lcm(*counts) if rows else counts[0]
    if count > _MOST_PROMPTS:
        raise UsageError(
            f"the saved classes have {counts[0]} prompts each and the new ones {counts[1]}",
            hint="use the same number of prompts as before",
        )
    values = [base.values.float().repeat(1, count // counts[0], 1)]
    prompts = [own * (count // counts[0]) for own in base.prompts]
    if rows:
        values.append(other.values[list(rows)].float().repeat(1, count // counts[1], 1))
        prompts += [other.prompts[c] * (count // counts[1]) for c in rows]
    labels = base.labels + tuple(other.labels[c] for c in rows)
    return Text(labels, tuple(prompts), torch.cat(values))


def make_supports(
    clips: Sequence[SupportClip], videos: Sequence[FrameEmbeddings], text: Text
) -> SupportSet:
    """A set of freshly embedded examples; several views of one are averaged frame by frame."""
    values = torch.stack([video.values.float().mean(0) for video in videos])  # [S, T', D]
    targets = torch.tensor([text.labels.index(clip.label) for clip in clips])
    return SupportSet(tuple(clips), text, Support(values, targets))


def read_supports(info: CheckpointInfo, tensors: Mapping[str, Tensor]) -> SupportSet:
    """The examples of a few-shot file.

    Raises ModelError for a file that has none, or whose parts contradict each other.
    """
    needed = {_TEXT, _PROTOTYPES} if info.compact else {_TEXT, _VALUES, _TARGETS}
    if info.support is None or not needed <= tensors.keys():
        raise ModelError("no few-shot classes in this file", hint="actcli fewshot --support DIR")
    _check_shapes(info, tensors)
    clips, text = info.support, Text(info.labels, info.prompts, tensors[_TEXT])
    if info.compact:
        weight = info.text_weight or 0.0
        return SupportSet(clips, text, None, Prototypes(tensors[_PROTOTYPES], text, weight))
    support = Support(tensors[_VALUES], tensors[_TARGETS])
    stated = [info.labels.index(clip.label) for clip in clips]
    if stated != support.targets.tolist() or set(stated) != set(range(len(info.labels))):
        raise ModelError("the classes and the clips of this file contradict each other")
    return SupportSet(clips, text, support)


def _check_shapes(info: CheckpointInfo, tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError for tensors that are not what the header makes them."""
    classes, dim, clips = len(info.labels), info.backbone.embed_dim, len(info.support or ())
    expected: dict[str, tuple[int | None, ...]] = {
        _TEXT: (classes, len(info.prompts[0]) if info.prompts else 0, dim),
        _PROTOTYPES: (classes, None, dim),
        _VALUES: (clips, None, dim),
        _TARGETS: (clips,),
    }
    for name, shape in expected.items():
        value = tensors.get(name)
        if value is None:
            continue
        fits = len(value.shape) == len(shape) and all(
            got > 0 and wanted in (None, got)
            for got, wanted in zip(value.shape, shape, strict=True)
        )
        is_number = value.dtype == torch.int64 if name == _TARGETS else value.is_floating_point()
        if not (fits and is_number and bool(torch.isfinite(value.float()).all())):
            raise ModelError(
                f"{name} of this file is not usable (got {value.dtype} {tuple(value.shape)}, "
                f"expected finite numbers {tuple(n or 'T' for n in shape)})",
                hint="make the file anew: actcli fewshot --support DIR --save FILE",
            )
