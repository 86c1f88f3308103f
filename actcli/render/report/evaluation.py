"""An evaluation as a report shows it, made from its record of schema `actcli.eval/1`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from actcli.render.report.conditions import conditions_of, short_digest
from actcli.render.report.model import (
    Bar,
    Bin,
    Confused,
    Failed,
    Hard,
    Matrix,
    Page,
    Part,
    Reliability,
    Strip,
    Tile,
)
from actcli.render.report.numbers import THIN, count, is_of, percent

NAMES: Final = {"top1": "top-1", "top5": "top-5", "mean_class": "mean class accuracy",
                "map": "mean average precision", "ece": "calibration error (ECE)"}  # fmt: skip
BINS: Final = 15
"""Of the reliability curve; as many as of the expected calibration error."""
_MOST_CLASSES: Final = 60
"""Of a confusion matrix that still can be read."""
_MOST_NUMBERS: Final = 25
_MOST_PAIRS: Final = 30
_MOST_HARD: Final = 12
_MOST_PARTS_WITH_CLIPS: Final = 6

FindStrip = Callable[[str], Strip | None]


def hardest(record: Mapping[str, Any]) -> list[str]:
    """The inputs whose pictures an evaluation's report shows: wrong ones, the surest first."""
    names = [clip[0] for part in record["parts"][:_MOST_PARTS_WITH_CLIPS] for clip in _wrong(part)]
    return list(dict.fromkeys(names))


def evaluation_page(record: Mapping[str, Any], find_strip: FindStrip | None = None) -> Page:
    """The report of an evaluation.

    record:     of `actcli.render.evaluation.eval_record`, or read from the file of an earlier one
    find_strip: pictures of a clip by its input, where there are any
    """
    find = find_strip or (lambda _: None)
    protocol, coverage = record["protocol"], record["coverage"]
    title = f"{protocol['dataset']}, {protocol['name']}"
    subtitle = f"protocol {protocol['name']}/{protocol['version']}"
    if protocol["practice"] != "honest":
        subtitle += f", {protocol['practice']} practice"
    subtitle += f" with {record['run']['model']}"
    covered = Tile("clips used", is_of(coverage["used"], coverage["expected"]),
                   percent(coverage["share"], 2), is_bad=bool(coverage["failures"]))  # fmt: skip
    return Page(
        title=title, command="eval", subtitle=subtitle,
        tiles=(*_headlines(record), covered),
        conditions=(*_protocol(record), *conditions_of(record["run"])),
        record=record["run"], notes=tuple(record["warnings"]),
        parts=tuple(
            _part(part, find if i < _MOST_PARTS_WITH_CLIPS else (lambda _: None))
            for i, part in enumerate(record["parts"])
        ),
        failed=tuple(Failed(f["input"], f["message"]) for f in coverage["failures"]),
    )  # fmt: skip


def _protocol(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    protocol, stated = record["protocol"], record["conditions"]
    rows = [("protocol", f"{protocol['name']}/{protocol['version']}, {protocol['practice']}"),
            ("lists", ", ".join(protocol["lists"]) or "own"),
            ("official lists", "yes" if protocol["official"] else "no")]  # fmt: skip
    digests = [f"{name} {short_digest(digest)}" for name, digest in stated["lists"].items()]
    return [*rows, ("digests of lists", ", ".join(digests[:8]))]


def _headlines(record: Mapping[str, Any]) -> list[Tile]:
    episodes, parts = record["episodes"], record["parts"]
    tiles = []
    for one in record["headlines"]:
        name, spread, note = one["metric"], one["spread"], ""
        if episodes is not None:
            note = (f"{episodes['way']}-way {episodes['shot']}-shot, "
                    f"{episodes['distinct']:,} different episodes")  # fmt: skip
            if spread is not None:
                note = f"± {percent(spread, 2)} (95{THIN}% interval); {note}"
        elif spread is not None:
            note = f"± {percent(spread, 2)} (deviation over {count(len(parts), 'part')})"
        elif len(parts) == 1 and isinstance(parts[0].get(name), Mapping):
            note = _interval(parts[0][name])
        elif record["protocol"]["combine"] == "harmonic" and name == "top1":
            note = "harmonic mean of base and novel classes"
        tiles.append(Tile(NAMES.get(name, name), percent(one["value"], 2), note))
    return tiles


def _interval(share: Mapping[str, Any]) -> str:
    low, high = percent(share["low"], 1), percent(share["high"], 1)
    return f"95{THIN}% interval {low} to {high}; {is_of(share['count'], share['total'])}"


def _part(part: Mapping[str, Any], find: FindStrip) -> Part:
    tiles = [Tile(NAMES[name], percent(part[name]["value"], 2), _interval(part[name]))
             for name in ("top1", "top5") if part[name] is not None]  # fmt: skip
    tiles += [Tile(NAMES[name], percent(part[name], 2)) for name in ("mean_class", "map", "ece")
              if part[name] is not None]  # fmt: skip
    hard = [
        Hard(name, target, guess, percent(score), "" if rank is None else f"{rank + 1}",
             find(name) or Strip())
        for name, target, guess, rank, score in _wrong(part)
    ]  # fmt: skip
    confused = tuple(Confused(one["label"], one["as"], one["count"]) for one in part["confused"])
    return Part(
        part["name"], tuple(tiles), _classes(part), confusion(part), confused[:_MOST_PAIRS],
        reliability(part["clips"], part["ece"]), tuple(hard),
        sum(clip[1] != clip[2] for clip in part["clips"]),
    )  # fmt: skip


def _wrong(part: Mapping[str, Any]) -> list[Sequence[Any]]:
    clips = [clip for clip in part["clips"] if clip[1] != clip[2]]
    return sorted(clips, key=lambda clip: -(clip[4] or 0.0))[:_MOST_HARD]


def _classes(part: Mapping[str, Any]) -> tuple[Bar, ...]:
    bars = []
    for one in part["per_class"]:
        if one["total"]:
            share = one["count"] / one["total"]
            told = is_of(one["count"], one["total"])
            bars.append(Bar(one["label"], 100 * share, percent(share), told, share))
    return tuple(sorted(bars, key=lambda bar: bar.key))


def confusion(part: Mapping[str, Any]) -> Matrix | None:
    """The confusion matrix of a part; None of too many classes, or of one."""
    labels = part["labels"]
    if not 1 < len(labels) <= _MOST_CLASSES or not part["clips"]:
        return None
    counts = Counter((clip[1], clip[2]) for clip in part["clips"])
    rows = []
    for true in labels:
        found = [counts[true, guess] for guess in labels]
        total = sum(found) or 1
        rows.append(tuple((n, math.ceil(10 * n / total)) for n in found))
    return Matrix(tuple(labels), tuple(rows), len(labels) <= _MOST_NUMBERS)


def reliability(clips: Sequence[Sequence[Any]], ece: float | None) -> Reliability | None:
    """How often right, by score: bins of equal width, as of the expected calibration error.

    clips: (input, target, guess, rank, score) each
    """
    scored = [(clip[4], clip[1] == clip[2]) for clip in clips if clip[4] is not None]
    if not scored:
        return None
    groups: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for score, right in scored:
        groups[min(BINS - 1, max(0, int(score * BINS)))].append((score, right))
    bins = []
    for i, group in enumerate(groups):
        if group:
            score = math.fsum(s for s, _ in group) / len(group)
            right = sum(r for _, r in group) / len(group)
            bins.append(Bin(i / BINS, (i + 1) / BINS, len(group), score, right))
    return curve(bins, ece)


def curve(bins: Sequence[Bin], ece: float | None) -> Reliability:
    """The curve through bins, at least one."""
    most = max(one.number for one in bins)
    heights = [100 * one.number / most for one in bins]
    bars = tuple(
        (round(100 * one.low + 10 / BINS, 3), 100 - height, height)
        for one, height in zip(bins, heights, strict=True)
    )
    path = "".join(f"{'L' if i else 'M'}{100 * one.score:.2f} {100 - 100 * one.right:.2f}"
                   for i, one in enumerate(bins))  # fmt: skip
    return Reliability(tuple(bins), bars, path, percent(ece, 2))
