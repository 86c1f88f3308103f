"""Which examples there are and of which classes, before and after a saved file is changed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from actcli.cache import Cache
from actcli.checkpoint_info import CheckpointInfo, SupportClip
from actcli.config import SamplingConfig
from actcli.data.labels import LabelSet
from actcli.data.manifest import read_manifest
from actcli.errors import InputError, UsageError, flag_of, shorten_list
from actcli.types import Prediction, VideoRef

log = logging.getLogger("actcli.tasks.examples")

Use = Literal["support", "train", "val"]
_SPLITS: Final[dict[Use, tuple[str, ...]]] = {
    "support": ("support", "train"),
    "train": ("train", "support"),
    "val": ("val", "query", "test"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the examples: a new set, or a saved file with other classes."""

    update: bool = False
    """The model is a few-shot file; its classes are kept, those of the same name replaced."""
    append: bool = False
    """Clips of a class that the file has are added to it."""
    drop: tuple[str, ...] = ()
    save: str | None = None
    compact: bool = False
    """Save prototypes only."""

    def check_save(self) -> None:
        """Raise UsageError if nothing can be saved where it says, before anything is computed."""
        if self.save is None:
            return
        if not self.save.endswith(".safetensors"):
            raise UsageError(f"--save {self.save}: the name must end in .safetensors")
        folder = os.path.dirname(self.save) or "."
        if not os.path.isdir(folder):
            raise UsageError(f"--save {self.save}: no such folder ({folder})")


class KnownExamples:
    """The clips behind classes, found again by content, whatever their names."""

    def __init__(self, clips: Iterable[SupportClip], cache: Cache) -> None:
        self._cache = cache
        self._by_content: dict[str, list[SupportClip]] = {}
        for clip in clips:
            if clip.sha256 is not None:
                self._by_content.setdefault(clip.sha256, []).append(clip)

    def has(self, ref: VideoRef) -> bool:
        """Whether the same part of the same file is there, with the same label."""
        own = clip_of(ref, self._cache)
        return own in [
            clip.model_copy(update={"input": own.input}) for clip in self._same_file(own)
        ]

    def has_content(self, ref: VideoRef) -> bool:
        """Whether some part of the same moments is there, whatever its label."""
        own = clip_of(ref, self._cache)
        return any(overlap(clip, own) for clip in self._same_file(own))

    def say(self, found: Prediction) -> Prediction:
        """The prediction, with a warning if its video is one of the examples."""
        if not self._by_content:
            return found
        own = clip_of(found.ref, self._cache)
        same = [clip for clip in self._same_file(own) if overlap(clip, own)]
        if not same:
            return found
        said = f'is also an example of "{same[0].label}" ({same[0].input}): its score means little'
        return replace(found, warnings=(*found.warnings, said))

    def _same_file(self, clip: SupportClip) -> list[SupportClip]:
        return self._by_content.get(clip.sha256 or "", [])


def clip_of(ref: VideoRef, cache: Cache) -> SupportClip:
    """An example as a few-shot file names it."""
    try:
        digest = cache.file_digest(ref.path).hex()
    except (OSError, ValueError):
        digest = None  # the decoder will say what is wrong with it
    return SupportClip(
        input=ref.id, label=ref.label or "", sha256=digest,
        start_s=ref.start_s, end_s=ref.end_s,
    )  # fmt: skip


def overlap(one: SupportClip, other: SupportClip) -> bool:
    """Whether two parts of one file have a moment in common."""
    end = float("inf")
    return (one.start_s or 0.0) < (other.end_s or end) and (other.start_s or 0.0) < (
        one.end_s or end
    )


def spelled_as(known: Sequence[str], support: Sequence[VideoRef]) -> list[VideoRef]:
    """The examples, labels spelled as a file has them where it has them."""
    names = LabelSet(tuple(known), source="the saved classes") if known else None
    spelled = []
    for ref in support:
        if not isinstance(ref, VideoRef) or not ref.label:
            named = ref.id if isinstance(ref, VideoRef) else repr(ref)
            raise UsageError(
                f"--support: {named} has no label",
                hint='in Python: VideoRef("clip.mp4", label="run"), or a folder of folders',
            )
        place = None if names is None else names.find(ref.label)
        label = ref.label if names is None or place is None else names[place]
        spelled.append(replace(ref, label=label))
    return spelled


def without(known: Sequence[str], dropped: Sequence[str]) -> tuple[str, ...]:
    """The labels that are left.

    Raises UsageError for one that isn't there, and where none is left.
    """
    if not dropped:
        return tuple(known)
    names = LabelSet(tuple(known), source="the saved classes")
    gone = {names.index(label) for label in dropped}
    return tuple(label for c, label in enumerate(known) if c not in gone)


def choice(labels: tuple[str, ...]) -> LabelSet:
    """The classes that are chosen from.

    Raises UsageError if there are not two.
    """
    if len(labels) < 2:
        got = shorten_list(labels) or "none"
        raise UsageError(
            f"--support: one class is no choice (got {got}, expected two or more)",
            hint="a folder for each label, as DIR/jump/*.mp4 and DIR/run/*.mp4",
        )
    return LabelSet(labels, source="--support")


def with_prompts(labels: tuple[str, ...], names: LabelSet | None) -> LabelSet:
    """The classes with the prompts that `--labels-file` has for some of them."""
    if names is None:
        return LabelSet(labels, source="--support")
    known = LabelSet(labels, source="--support")
    own: list[tuple[str, ...]] = [()] * len(labels)
    strange = []
    for name, prompts in zip(names.names, names.prompts, strict=True):
        place = known.find(name)
        if prompts and place is None:
            strange.append(name)
        elif place is not None:
            own[place] = prompts
    if strange:
        log.warning("prompts of labels without new examples are not used: %s",
                    shorten_list(strange))  # fmt: skip
    return LabelSet(labels, tuple(own), source="--support")


def check_update(
    model: str, info: CheckpointInfo, sampling: SamplingConfig, change: Change,
    names: LabelSet | None,
) -> None:  # fmt: skip
    """Raise UsageError for settings that would mix clips of two kinds in one saved file."""
    for name, made in info.sampling.model_dump().items():
        got = getattr(sampling, name)
        if got != made:
            flag = flag_of(name)
            raise UsageError(
                f"{flag}: the examples of {model} were made with {made} (got {got})",
                hint=f"leave {flag} out, or make the file anew from all examples",
            )
    if change.append and names is not None:
        saved = LabelSet(info.labels, source=model)
        own = zip(names.names, names.prompts, strict=True)
        if common := [name for name, prompts in own if prompts and saved.find(name) is not None]:
            raise UsageError(
                f"--labels-file: {shorten_list(common)} have their words in {model} already, "
                "and --append keeps those",
                hint="without --append the class is replaced, words and all",
            )


def changes(
    before: Sequence[str], new: Sequence[str], change: Change, already: tuple[str, ...] = ()
) -> dict[str, tuple[str, ...]]:
    """What an update does to which classes, in words.

    already:  inputs that were not appended, for they are examples already
    """
    if not before:
        return {}
    common = tuple(label for label in new if label in before and label not in change.drop)
    done = {
        "dropped": change.drop,
        "there already": already,
        "appended to" if change.append else "replaced": common,
        "added": tuple(label for label in new if label not in common),
    }
    return {what: labels for what, labels in done.items() if labels}


def read_support(
    path: str,
    *,
    root: str | None = None,
    split: str | None = None,
    names: Sequence[str] | None = None,
    glob: str | None = None,
) -> tuple[VideoRef, ...]:
    """The examples that a folder or a list holds; raises as `read_labelled`."""
    return read_labelled(path, use="support", root=root, split=split, names=names, glob=glob)


def read_labelled(
    path: str,
    *,
    use: Use,
    root: str | None = None,
    split: str | None = None,
    names: Sequence[str] | None = None,
    glob: str | None = None,
) -> tuple[VideoRef, ...]:
    """The labelled videos of a folder or a list; of a list with splits those for a use.

    Raises InputError for a label without any, UsageError where a list leaves open which are meant.
    """
    try:
        found = read_manifest(path, root=root, split=split, names=names, glob=glob)
    except UsageError as error:
        if use == "val":  # whose flags have other names
            message = error.message.replace("--split", "--val-split")
            raise UsageError(message, hint=error.hint) from error
        raise
    if found.empty:
        raise InputError(
            f"{path}: no videos for {shorten_list(found.empty)}",
            hint="put clips into the folder, or remove it",
        )
    if split is not None or len(found.splits) < 2:
        return found.refs
    chosen = next((name for name in _SPLITS[use] if name in found.splits), None)
    if chosen is None:
        raise UsageError(
            f"{path}: which rows are for {use}? (it has the splits {shorten_list(found.splits)})",
            hint=f"--{'val-' if use == 'val' else ''}split {found.splits[0]}",
        )
    log.info("%s: the rows of the split %s", path, chosen)
    rows = zip(found.refs, found.ref_splits, strict=True)
    return tuple(ref for ref, name in rows if name == chosen)
