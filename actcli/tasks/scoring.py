"""One video's embeddings to its prediction: against words, or against examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actcli.types import FrameEmbeddings, Prediction, ScoredLabel, ScoreKind, VideoRef

if TYPE_CHECKING:
    from torch import Tensor

    from actcli.eval.metrics import Outcome
    from actcli.labelled import Prototypes
    from actcli.methods.base import Method
    from actcli.types import Text

_SOFTMAX: Final = "softmax"


class Compared(NamedTuple):
    """What the views of a video are to the labels."""

    logits: Tensor
    """[V, C]"""
    similarity: Tensor | None = None
    """[V, C], cosines"""
    confidence: Tensor | None = None
    """[V], how sure it is that any of the labels fits; None: nobody asks."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """What compares the embeddings [V, T', D] of a video, or of several, with labels."""

    labels: tuple[str, ...]
    score_kind: ScoreKind
    compare: Callable[[Tensor], Compared]
    is_calibrated: bool = False
    """Whether scores are probabilities by a calibration."""
    least_confidence: float | None = None
    """Below it none of the labels is said to fit."""
    label_thresholds: tuple[float, ...] | None = None
    """The score from which each label holds, where several may."""

    def verdict(self, scores: Tensor, sure: float | None) -> dict[str, Any]:
        """What a prediction says besides its scores, by field.

        scores [C], of one video; sure: its confidence, a mean over its views
        """
        found: dict[str, Any] = {"calibrated": self.is_calibrated}
        if sure is not None and self.least_confidence is not None:
            found |= {"abstained": not sure >= self.least_confidence, "confidence": sure}
        if self.label_thresholds is not None:
            holding = [
                (-score, c)
                for c, (score, least) in enumerate(
                    zip(scores.tolist(), self.label_thresholds, strict=True)
                )
                if score >= least
            ]
            found["present"] = tuple(self.labels[c] for _, c in sorted(holding))
        return found


def by_words(method: Method, text: Text) -> Scorer:
    """Videos against prompts."""
    device = method.backbone.device
    compare = method.comparison(replace(text, values=text.values.to(device)))
    return Scorer(
        text.labels,
        method.backbone.score_kind,
        lambda values: Compared(*compare(values.to(device))),
    )


def by_examples(method: Method, prototypes: Prototypes) -> Scorer:
    """Videos against prototypes."""
    device = method.backbone.device
    text = replace(prototypes.text, values=prototypes.text.values.to(device))
    placed = replace(prototypes, values=prototypes.values.to(device), text=text)

    def compare(values: Tensor) -> Compared:
        values = values.to(device)
        return Compared(
            method.prototype_logits(values, placed), method.prototype_similarity(values, placed)
        )

    return Scorer(text.labels, _SOFTMAX, compare)


def scores_of(video: FrameEmbeddings, scorer: Scorer) -> Tensor:
    """The scores of one video, averaged over its views: float64 [C] on the CPU."""
    return _compared(video, scorer)[0]


def _compared(video: FrameEmbeddings, scorer: Scorer) -> tuple[Tensor, Compared]:
    import torch

    from actcli.models.scores import average_views, scores_from_logits

    with torch.inference_mode():
        compared = scorer.compare(video.values)
    scores = scores_from_logits(compared.logits, scorer.score_kind)  # [V, C]
    return average_views(scores[None])[0], compared


def named_part(ref: VideoRef) -> str:
    """The name of a video; of a trimmed one with its seconds, as media fragments have it."""
    if ref.start_s is None and ref.end_s is None:
        return ref.id
    end = "" if ref.end_s is None else f",{ref.end_s}"
    return f"{ref.id}#t={ref.start_s or 0.0}{end}"


def outcome_of(video: FrameEmbeddings, scorer: Scorer, target: int) -> Outcome:
    """What became of a video whose class is known; equal scores keep the order of the classes."""
    from actcli.eval.metrics import Outcome
    from actcli.models.scores import order_of

    scores, ref = scores_of(video, scorer), video.ref
    order = order_of(scores).tolist()
    return Outcome(named_part(ref), target, order[0], order.index(target), float(scores[order[0]]))


def predict(
    video: FrameEmbeddings,
    scorer: Scorer,
    *,
    method: str,
    model: str,
    top: int,
    explain: bool = False,
) -> Prediction:
    """The prediction for one video or window; scores are averaged over its views.

    explain: tell the similarity of each frame alone, where the method has one
    """
    from actcli.models.scores import rank

    scores, (_, similarity, confidence) = _compared(video, scorer)
    sure = None if confidence is None else float(confidence.mean())
    mean = None if similarity is None else similarity.mean(0).cpu()
    ranked = rank(scores, mean, scorer.labels, top)
    return Prediction(
        ref=video.ref,
        ranked=_explained(ranked, video, scorer) if explain else ranked,
        score_kind=scorer.score_kind,
        method=method,
        model=model,
        start_s=video.start_s,
        end_s=video.end_s,
        frames_s=_times(video),
        cached=video.cached,
        warnings=video.warnings,
        part=video.part,
        **scorer.verdict(scores, sure),
    )


def _times(video: FrameEmbeddings) -> tuple[float, ...]:
    """The times of all frames, each once, rising."""
    return tuple(sorted({t for view in video.times_s for t in view}))


def _explained(
    ranked: tuple[ScoredLabel, ...], video: FrameEmbeddings, scorer: Scorer
) -> tuple[ScoredLabel, ...]:
    """The labels with the similarity of each frame as if it were the whole video.

    A method that makes more or fewer embeddings than there are frames can't tell it.
    """
    import torch

    times = [t for view in video.times_s for t in view]
    frames = video.values.flatten(0, 1)[:, None]  # [V * T, 1, D]
    with torch.inference_mode():
        similarity = scorer.compare(frames).similarity if len(frames) == len(times) else None
    if similarity is None:
        return ranked
    first = {t: i for i, t in reversed(list(enumerate(times)))}
    rows = similarity.cpu()[[first[t] for t in _times(video)]]  # [frames, C]
    column = {label: rows[:, c].tolist() for c, label in enumerate(scorer.labels)}
    return tuple(replace(one, frame_similarity=tuple(column[one.label])) for one in ranked)
