"""Embeddings with what is known about them: what few-shot tasks and training hand around.

As in `types`, tensors are held without importing torch. Shape letters: S support clips, Q queries,
N clips, T' frame embeddings per clip, D embedding dimension, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actcli.types import Text, check_rank

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """The labelled example clips of a few-shot task: S clips of C classes, in any order."""

    values: Tensor
    """[S, T', D], un-normalised frame embeddings"""
    targets: Tensor
    """int64 [S], in 0..C-1; every class has at least one"""

    def __post_init__(self) -> None:
        check_rank("Support", "values", self.values, "S T D")
        check_rank("Support", "targets", self.targets, "S")
        if self.targets.shape[0] != self.values.shape[0]:
            raise ValueError(
                f"Support: {self.targets.shape[0]} targets (expected {self.values.shape[0]})"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Prototypes:
    """What few-shot queries are compared with: one sequence of frames, and the words, a class."""

    values: Tensor
    """[C, T', D]"""
    text: Text
    text_weight: float
    """Share of the words in the scores, in [0, 1]."""

    def __post_init__(self) -> None:
        check_rank("Prototypes", "values", self.values, "C T D")
        if self.values.shape[0] != len(self.text.labels):
            raise ValueError(
                f"Prototypes: {self.values.shape[0]} classes (expected {len(self.text.labels)})"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """One few-shot task: support and query clips, and the words of its classes."""

    support: Support
    query: Tensor
    """[Q, T', D], un-normalised frame embeddings"""
    text: Text
    """of the C classes of the episode"""
    query_targets: Tensor | None = None
    """int64 [Q], in 0..C-1, where they are known"""

    def __post_init__(self) -> None:
        check_rank("Episode", "query", self.query, "Q T D")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledEmbeddings:
    """A batch to learn from, of clips whose embeddings are known.

    What is random in a batch comes with it, so that the same step draws the same whether one
    process computes it or several share it.
    """

    values: Tensor
    """[N, T', D], un-normalised"""
    targets: Tensor
    """int64 [N], in 0..C-1"""
    text: Text
    """of all C classes, by hand-written prompts"""
    classes: Tensor
    """int64 [S], rising: the classes to score in this step, those of the targets among them"""
    noise: Tensor
    """[N, T'], uniform in [0, 1)"""
    class_noise: Tensor
    """[C], uniform in [0, 1), the same in all processes"""
    clips: Tensor
    """int64 [N], which of the training clips these are"""

    def __post_init__(self) -> None:
        check_rank("LabelledEmbeddings", "values", self.values, "N T D")
        check_rank("LabelledEmbeddings", "targets", self.targets, "N")

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What is known of its clips, a row each."""
        return (self.values,)

    def embedded(self, values: Tensor) -> LabelledEmbeddings:
        """The same batch with these embeddings of its clips, [N, T', D]."""
        return replace(self, values=values)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingEpisode:
    """An episode to learn from, and where its classes stand among all that are trained."""

    episode: Episode
    support_classes: Tensor
    """int64 [S], in 0..C_train-1"""
    query_classes: Tensor
    """int64 [Q], in 0..C_train-1"""
    all_text: Text
    """of the C_train classes"""
    clips: Tensor
    """int64 [S + Q], which of the training clips these are, supports first"""

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What is known of its clips, a row each, supports first."""
        return self.episode.support.values, self.episode.query

    def embedded(self, values: Tensor) -> TrainingEpisode:
        """The same episode with these embeddings of its clips, [S + Q, T', D]."""
        count = len(self.support_classes)
        support = replace(self.episode.support, values=values[:count])
        return replace(self, episode=replace(self.episode, support=support, query=values[count:]))


@dataclass(frozen=True, slots=True, eq=False)
class PixelBatch:
    """A batch to learn from whose clips are not embedded, for the image tower learns too."""

    frames: Tensor
    """uint8 [N, T, 3, X, X]"""
    batch: LabelledEmbeddings | TrainingEpisode
    """all else; its embeddings are empty"""

    def __post_init__(self) -> None:
        check_rank("PixelBatch", "frames", self.frames, "N T 3 X X")

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What is known of its clips, a row each."""
        return (self.frames,)

    @property
    def clips(self) -> Tensor:
        """Which of the training clips these are, int64 [N]."""
        return self.batch.clips

    def embedded(self, values: Tensor) -> LabelledEmbeddings | TrainingEpisode:
        """The batch with these embeddings of its clips, [N, T', D]."""
        return self.batch.embedded(values)
