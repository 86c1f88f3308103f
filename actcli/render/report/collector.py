"""Gathers the results of a run while they come in, for a report at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from actcli.render.records import span
from actcli.render.report.charts import Series
from actcli.render.report.films import EXPLAINED, FilmRows, make_film, similarity_plot
from actcli.render.report.model import Bar, Card, Failed, Strip, Videos
from actcli.render.report.numbers import count, decimal, percent, seconds
from actcli.types import Failure, Prediction, VideoRef
from actcli.wording import same_label_key

MOST_STRIPS: Final = 200
"""Videos with a card of their own, with pictures; all others are rows of the table."""
MOST_FRAMES: Final = 8
COLUMNS: Final = ("name", "label", "score", "duration", "state", "target", "right", "card", "more")
"""Of a row for the script. state: 0 fine, 1 failed, 2 has warnings; right: 1, 0 or null;
card: its id or ""; more: [label, score] of the next labels, or why it failed."""
_FIRST_ROWS: Final = 100
_MOST_FAILED: Final = 500
_DETAIL_LABELS: Final = 5
_MOST_COUNTS: Final = 60

Entry = Prediction | Failure | FilmRows


class ReportCollector:
    """Takes results one by one, of windows those of one video after another.

    most_strips: how many videos get pictures
    """

    def __init__(self, *, most_strips: int = MOST_STRIPS) -> None:
        self._most_strips = most_strips
        self._entries: list[Entry] = []
        self._score_kind = ""
        self._is_calibrated = False

    @property
    def counts(self) -> dict[str, int]:
        """Videos that were classified, and those that failed."""
        failed = sum(isinstance(one, Failure) for one in self._entries)
        return {"ok": len(self._entries) - failed, "failed": failed}

    def add(self, result: Prediction | Failure) -> None:
        """Take one result."""
        if isinstance(result, Prediction):
            self._score_kind, self._is_calibrated = result.score_kind, result.calibrated
            if result.part is not None:
                self._add_window(result)
                return
        self._entries.append(result)

    def _add_window(self, result: Prediction) -> None:
        part, last = result.part, self._entries[-1] if self._entries else None
        assert part is not None, "a window is a part"
        own = (result.ref.path, result.ref.id)
        starts_anew = not (
            isinstance(last, FilmRows)
            and (last.ref.path, last.ref.id) == own
            and last.windows[-1].start_s <= result.start_s
        )
        if starts_anew:
            last = FilmRows(result.ref, part.kind, part.video_s)
            self._entries.append(last)
        assert isinstance(last, FilmRows), "just made or checked"
        last.add(result)

    def wanted(self) -> list[tuple[VideoRef, tuple[float, ...]]]:
        """The videos to show pictures of, and the moments: the most telling ones first."""
        return [_moments(self._entries[i]) for i in sorted(self._chosen())]

    def _chosen(self) -> set[int]:
        """Numbers of the entries that get a card."""
        order = sorted(
            (i for i, one in enumerate(self._entries) if not isinstance(one, Failure)),
            key=lambda i: (-_interest(self._entries[i]), i),
        )
        return set(order[: self._most_strips])

    def videos(self, strips: Mapping[VideoRef, Strip] | None = None) -> Videos | None:
        """All that is known of the videos; None where there was no result.

        strips: by the refs of `wanted`, as far as they could be made
        """
        if not self._entries:
            return None
        chosen, given = self._chosen(), strips or {}
        num_films = sum(isinstance(self._entries[i], FilmRows) for i in chosen)
        rows, cards = [], []
        for i, one in enumerate(self._entries):
            id = f"v{i + 1}" if i in chosen else ""
            rows.append(_row(one, id))
            if id and not isinstance(one, Failure):
                strip = given.get(_moments(one)[0], Strip(reason="its frames could not be shown"))
                cards.append(_film_card(one, id, strip, num_films) if isinstance(one, FilmRows)
                             else _card(one, id, strip))  # fmt: skip
        failed = [one for one in self._entries if isinstance(one, Failure)]
        return Videos(
            tuple(rows), tuple(map(_as_text, rows[:_FIRST_ROWS])), tuple(cards),
            _label_counts(rows),
            tuple(failed_of(one) for one in failed[:_MOST_FAILED]),
            any(row[5] for row in rows), self._notes(len(cards), len(failed)), self._score_note(),
        )  # fmt: skip

    def _notes(self, num_cards: int, num_failed: int) -> tuple[str, ...]:
        notes = []
        others = len(self._entries) - num_failed - num_cards
        if others:
            notes.append(
                f"{num_cards:,} of {num_cards + others:,} videos are shown with pictures: "
                "first those with windows, mistakes or warnings; the table has all."
            )
        if num_failed > _MOST_FAILED:
            notes.append(f"{_MOST_FAILED} of {num_failed:,} failures are named; the table has all.")
        return tuple(notes)

    def _score_note(self) -> str:
        if self._score_kind == "sigmoid":
            return "Scores are of each label alone (sigmoid): they need not add up to 100 %."
        if self._score_kind == "softmax" and not self._is_calibrated:
            return ("Scores are a softmax over the given labels, not calibrated probabilities: "
                    "one of them always wins.")  # fmt: skip
        return ""


def failed_of(one: Failure) -> Failed:
    """A failure as it is shown."""
    return Failed(one.ref.id, one.error.message, one.error.hint or "")


def _interest(one: Entry) -> int:
    """How much there is to see of a video."""
    if isinstance(one, FilmRows):
        return 4
    assert isinstance(one, Prediction), "failures have no card"
    if _is_right(one) is False:
        return 3
    return 2 if one.warnings else 0


def _moments(one: Entry) -> tuple[VideoRef, tuple[float, ...]]:
    if isinstance(one, FilmRows):
        return one.whole, one.times_s
    assert isinstance(one, Prediction), "failures have no card"
    return one.ref, tuple(evenly(sorted(set(one.frames_s)), MOST_FRAMES))


def evenly(values: Sequence[float], most: int) -> list[float]:
    """At most that many of the values, from equal parts of the list."""
    if len(values) <= most:
        return list(values)
    return [values[int((i + 0.5) * len(values) / most)] for i in range(most)]


def _is_right(one: Prediction) -> bool | None:
    target = one.ref.label
    return None if target is None else same_label_key(target) == same_label_key(one.label)


def _row(one: Entry, id: str) -> tuple[Any, ...]:
    """One row for the script, in the order of COLUMNS."""
    if isinstance(one, Failure):
        return one.ref.id, "", None, None, 1, one.ref.label or "", None, "", one.error.message
    if isinstance(one, FilmRows):
        label, score, number = one.main_label()
        state = 2 if one.warnings else 0
        return (one.ref.id, label, round(score, 4), round(one.video_s, 3), state, "", None, id,
                f"in {number:,} of {count(len(one.windows), one.kind)}")  # fmt: skip
    start, end = span(one)
    length = None if start is None or end is None else round(end - start, 3)
    right = _is_right(one)
    more = [] if id else [[s.label, round(s.score, 4)] for s in one.ranked[:_DETAIL_LABELS]]
    return (one.ref.id, one.label, round(one.score, 4), length, 2 if one.warnings else 0,
            one.ref.label or "", None if right is None else int(right), id, more)  # fmt: skip


def _as_text(row: tuple[Any, ...]) -> dict[str, Any]:
    name, label, score, length, state, target, right, card, more = row
    verdict = {None: "", 0: "wrong", 1: "right"}[right]
    return {
        "name": name, "label": label or "failed", "score": percent(score),
        "duration": seconds(length), "is_failed": state == 1, "target": target,
        "verdict": verdict, "card": card, "more": more if isinstance(more, str) else "",
    }  # fmt: skip


def _label_counts(rows: Sequence[tuple[Any, ...]]) -> tuple[Bar, ...]:
    counts = Counter(row[1] for row in rows if row[4] != 1)
    most = max(counts.values(), default=1)
    return tuple(
        Bar(label, 100 * n / most, f"{n:,}", key=n) for label, n in counts.most_common(_MOST_COUNTS)
    )


def _bars(ranked: Sequence[tuple[str, float, float | None]]) -> tuple[Bar, ...]:
    return tuple(
        Bar(label, 100 * max(0.0, min(1.0, score)), percent(score),
            "" if similarity is None else decimal(similarity), is_chosen=i == 0)
        for i, (label, score, similarity) in enumerate(ranked)
    )  # fmt: skip


def _card(one: Prediction, id: str, strip: Strip) -> Card:
    right = _is_right(one)
    start, end = span(one)
    length = None if start is None or end is None else end - start
    facts = [seconds(length), count(len(one.frames_s), "frame")]
    if one.ref.start_s is not None or one.ref.end_s is not None:
        facts[0] = f"{seconds(start)} to {seconds(end)}"
    explained = [scored for scored in one.ranked if scored.frame_similarity][:EXPLAINED]
    series = [
        Series(scored.label, sorted(zip(one.frames_s, scored.frame_similarity or (),
                                        strict=False)), i, has_dots=True)
        for i, scored in enumerate(explained)
    ]  # fmt: skip
    plot = similarity_plot(series, one.start_s, one.end_s)
    return Card(
        id, one.ref.id, tuple(facts),
        _bars([(s.label, s.score, s.similarity) for s in one.ranked]), strip, one.warnings,
        "" if right is None else ("right" if right else "wrong"), one.ref.label or "", None, plot,
    )  # fmt: skip


def _film_card(rows: FilmRows, id: str, strip: Strip, num_films: int) -> Card:
    facts = (seconds(rows.video_s), count(len(rows.windows), rows.kind))
    film, warnings = make_film(rows, num_films), tuple(rows.warnings)
    return Card(id, rows.ref.id, facts, (), strip, warnings, film=film, frames=rows.frames())
