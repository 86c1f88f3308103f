"""The examples behind few-shot classes: embedded, kept in a file, changed class by class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from actcli.checkpoint import CheckpointInfo, SupportClip
from actcli.errors import ModelError, UsageError
from actcli.labelled import Prototypes, Support
from actcli.types import FrameEmbeddings, Text

if TYPE_CHECKING:
    from actcli.methods.base import Method

_VALUES, _TARGETS, _TEXT, _PROTOTYPES = (
    "support.values", "support.targets", "text.values", "prototypes.values",
)  # fmt: skip


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
            return self.compact
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
        new = [label for label in other.labels if label not in base.labels]
        labels = (*base.labels, *new)
        rows = [other.labels.index(label) for label in new]
        text = Text(labels, base.text.prompts + tuple(other.text.prompts[c] for c in rows),
                    _stack_prompts(base.text, other.text, rows))  # fmt: skip
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
        targets = torch.tensor([labels.index(clip.label) for clip in clips])
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


def _stack_prompts(base: Text, other: Text, rows: Sequence[int]) -> Tensor:
    if base.values.shape[1] != other.values.shape[1] and rows:
        raise UsageError(
            f"the saved classes have {base.values.shape[1]} prompts each "
            f"(got {other.values.shape[1]} for the new ones)",
            hint="use the same --template as before, or none: then it is taken from the file",
        )
    return torch.cat([base.values.float(), other.values[list(rows)].float()])


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
    clips, text = info.support, Text(info.labels, info.prompts, tensors[_TEXT])
    if info.compact:
        weight = info.text_weight or 0.0
        return SupportSet(clips, text, None, Prototypes(tensors[_PROTOTYPES], text, weight))
    support = Support(tensors[_VALUES], tensors[_TARGETS])
    stated = [info.labels.index(clip.label) for clip in clips if clip.label in info.labels]
    if stated != support.targets.tolist() or set(stated) != set(range(len(info.labels))):
        raise ModelError("the classes and the clips of this file contradict each other")
    return SupportSet(clips, text, support)
