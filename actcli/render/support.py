"""What few-shot examples are worth, as lines for people and as a record for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from actcli.metrics import Share
from actcli.render.console import is_unicode, printable
from actcli.render.records import plain_value, rounded

if TYPE_CHECKING:
    from actcli.eval.report import SupportReport
    from actcli.eval.support import Estimate

SUPPORT_SCHEMA: Final = "actcli.support/1"
_MOST_LINES: Final = 5
_WORTH_SAYING: Final = 0.05
"""How much more often another matcher must be right."""


def print_support(console: Console, report: SupportReport) -> None:
    """The lines on a console, control characters of names spelled out."""
    for line in support_lines(report):
        safe = printable(line)
        if not is_unicode(console):
            safe = safe.encode("ascii", "backslashreplace").decode("ascii")
        console.print(safe, soft_wrap=True)


def support_lines(report: SupportReport) -> Iterator[str]:
    """A report, a fact a line."""
    for failure in report.failures:
        yield f"left out: {failure.ref.id}: {failure.error.message}"
    for what, labels in report.changed.items():
        yield f"{what}: {_listed(labels)}"
    counts = sorted(set(report.counts.values()))
    each = f"{counts[0]} each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} each"
    yield (
        f"examples: {len(report.clips)} clips of {len(report.labels)} classes ({each}); "
        f"{report.method}, {report.matcher}, words {report.text_weight:.0%} of the score"
    )
    if report.estimate is not None:
        yield from _estimate_lines(report, report.estimate)
    yield from _cut([_twin_line(pair) for pair in report.twins], "pairs")
    if report.saved is not None:
        yield f"saved: {report.saved}"


def _estimate_lines(report: SupportReport, estimate: Estimate) -> Iterator[str]:
    share, labels = estimate.share, report.labels
    if not share.total:
        yield "leave-one-out: can't tell from one example a class"
        return
    low, high = share.interval
    yield (
        f"leave-one-out: {share.value:.2f} right ({share.count} of {share.total}; "
        f"95 % interval {low:.2f} to {high:.2f})"
        + ("" if estimate.is_telling else ": too few examples to tell")
    )
    if share.total < len(report.clips):
        alone = [label for label, count in report.counts.items() if count == 1]
        yield f"  not tried, for they have one example: {_listed(alone)}"
    mistakes = [f"{labels[a]} as {labels[b]} ({n})" for a, b, n in estimate.confused]
    if mistakes:
        yield f"  confused: {_listed(mistakes)}"
    suspects = [
        f'{report.clips[odd.clip].input} is "{report.clips[odd.clip].label}", looks like '
        f'"{labels[odd.looks_like]}" ({odd.score:.0%} against {odd.own_score:.0%})'
        for odd in estimate.suspects
    ]
    yield from _cut([f"mislabelled? {line}" for line in suspects], "clips")
    if better := _better_matcher(estimate):
        yield (
            f"  --matcher {better} is right more often on these examples "
            f"({estimate.by_matcher[better].value:.2f})"
        )


def _better_matcher(estimate: Estimate) -> str | None:
    """Another matcher that is right clearly more often, by three clips at least."""
    if not estimate.by_matcher:
        return None
    name, share = max(estimate.by_matcher.items(), key=lambda item: item[1].count)
    gain = share.count - estimate.share.count
    return name if gain >= max(3, _WORTH_SAYING * share.total) else None


def _twin_line(pair: Any) -> str:
    what = "the same file twice" if pair.same_file else "almost the same clip twice"
    told = "" if pair.one.label == pair.other.label else ", under two labels"
    return (
        f"{what}{told}: {pair.one.input} ({pair.one.label}), "
        f"{pair.other.input} ({pair.other.label})"
    )


def _cut(lines: Sequence[str], what: str) -> Iterator[str]:
    for line in lines[:_MOST_LINES]:
        yield f"  {line}"
    if len(lines) > _MOST_LINES:
        yield f"  and {len(lines) - _MOST_LINES} more such {what} (--report FILE has all)"


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:_MOST_LINES])
    more = len(names) - _MOST_LINES
    return f"{text} and {more} more" if more > 0 else text


def support_record(report: SupportReport, run: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A report as the record of schema `actcli.support/1`."""
    estimate = report.estimate
    record: dict[str, Any] = {
        "schema": SUPPORT_SCHEMA,
        "model": report.model,
        "method": report.method,
        "matcher": report.matcher,
        "text_weight": rounded(report.text_weight),
        "classes": report.counts,
        "clips": [clip.model_dump() for clip in report.clips],
        "failed": [
            {"input": f.ref.id, "label": f.ref.label, "kind": f.error.kind,
             "message": f.error.message}
            for f in report.failures
        ],
        "leave_one_out": None if estimate is None else _estimate_record(report, estimate),
        "same": [
            {"one": pair.one.input, "other": pair.other.input, "same_file": pair.same_file,
             "labels": [pair.one.label, pair.other.label]}
            for pair in report.twins
        ],
        "changed": report.changed,
        "saved": report.saved,
        "run": run,
    }  # fmt: skip
    plain: dict[str, Any] = plain_value(record)
    return plain


def _estimate_record(report: SupportReport, estimate: Estimate) -> dict[str, Any]:
    labels, clips = report.labels, report.clips
    return {
        **_share_record(estimate.share),
        "enough_to_tell": estimate.is_telling,
        "confused": [
            {"label": labels[a], "as": labels[b], "count": n} for a, b, n in estimate.confused
        ],
        "mislabelled": [
            {"input": clips[odd.clip].input, "label": clips[odd.clip].label,
             "looks_like": labels[odd.looks_like], "score": rounded(odd.score),
             "own_score": rounded(odd.own_score)}
            for odd in estimate.suspects
        ],
        "other_matchers": {name: _share_record(s) for name, s in estimate.by_matcher.items()},
    }  # fmt: skip


def _share_record(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        "accuracy": rounded(share.value), "right": share.count, "tried": share.total,
        "interval": [rounded(low), rounded(high)],
    }  # fmt: skip
