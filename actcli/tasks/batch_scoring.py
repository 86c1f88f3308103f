"""Many rows of a table to their predictions at once: the same as `scoring.predict` of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from actcli.tables.rows import Batch
from actcli.tasks.scoring import Scorer
from actcli.types import Failure, Prediction, ScoredLabel

if TYPE_CHECKING:
    from torch import Tensor


class RowScorer:
    """Scores the rows of batches.

    top: labels that a prediction tells
    """

    def __init__(self, scorer: Scorer, *, method: str, model: str, top: int) -> None:
        self._scorer, self._method, self._model = scorer, method, model
        self._top = min(top, len(scorer.labels))

    def __call__(self, batch: Batch, places: list[int]) -> Iterator[Prediction | Failure]:
        """One result for each of some rows, in order.

        Raises ModelError if a score of a good row is no number.
        """
        good = [place for place in places if place not in batch.failures]
        ranked = iter(self._ranked(batch, good) if good else ())
        for place in places:
            if place in batch.failures:
                yield batch.failures[place]
            else:
                yield self._prediction(batch, place, *next(ranked))

    def _ranked(
        self, batch: Batch, places: list[int]
    ) -> Iterator[tuple[tuple[ScoredLabel, ...], dict[str, Any]]]:
        """The best labels of rows, best first, and what is said besides."""
        import torch

        from actcli.models.scores import average_views, scores_from_logits

        scorer = self._scorer
        values = torch.from_numpy(batch.values[places]).float()
        count, views = values.shape[:2]
        clips = values.flatten(0, 1)  # [n * V, T', D]
        with torch.inference_mode():
            logits, similarity, sure = scorer.compare(clips)
        sures = None if sure is None else sure.reshape(count, views).mean(1).tolist()
        scores = scores_from_logits(logits, scorer.score_kind)
        scores = average_views(scores.reshape(count, views, -1))  # [n, C]
        order = best_of(scores, self._top)
        best = scores.gather(1, order).tolist()
        cosines = None
        if similarity is not None:
            mean = similarity.reshape(count, views, -1).mean(1).cpu()
            cosines = mean.gather(1, order).tolist()
        labels = scorer.labels
        for i, classes in enumerate(order.tolist()):
            told = [None] * len(classes) if cosines is None else cosines[i]
            ranked = tuple(
                ScoredLabel(labels[c], score, cosine)
                for c, score, cosine in zip(classes, best[i], told, strict=True)
            )
            yield ranked, scorer.verdict(scores[i], None if sures is None else sures[i])

    def _prediction(
        self,
        batch: Batch,
        place: int,
        ranked: tuple[ScoredLabel, ...],
        verdict: Mapping[str, Any],
    ) -> Prediction:
        start_s, end_s = batch.spans[place]
        return Prediction(
            ref=batch.refs[place],
            ranked=ranked,
            score_kind=self._scorer.score_kind,
            method=self._method,
            model=self._model,
            start_s=start_s,
            end_s=end_s,
            frames_s=tuple(sorted(set(batch.frames_s[place]))),
            cached=True,
            warnings=batch.warnings[place],
            part=batch.parts[place],
            **verdict,
        )


def best_of(scores: Tensor, top: int) -> Tensor:
    """The classes of the `top` best scores, best first, equal ones in their order.

    scores:   [n, C]
    returns:  int64 [n, top]

    Raises ModelError as `actcli.models.scores.order_of`.
    """
    import torch

    from actcli.models.scores import order_of

    if not bool(torch.isfinite(scores).all()):
        order_of(scores[~torch.isfinite(scores).all(1)][0])
    found = scores.topk(min(top + 1, scores.shape[1]), dim=1)
    order = found.indices[:, :top]
    # The quick way leaves the order of equal scores open, also of those at the edge.
    is_tied = (found.values[:, 1:] == found.values[:, :-1]).any(1)
    for row in is_tied.nonzero()[:, 0].tolist():
        order[row] = order_of(scores[row])[:top]
    return order
