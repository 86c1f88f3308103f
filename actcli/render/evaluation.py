"""The result of an evaluation: its record for programs, its table for people, and a comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from actcli.errors import shorten_list
from actcli.eval.result import SCHEMA, value_of
from actcli.metrics import Share
from actcli.render.console import printable
from actcli.render.records import plain_value, rounded, run_record

if TYPE_CHECKING:
    from actcli.eval.compare import Comparison
    from actcli.eval.result import EpisodeResult, EvalResult, PartResult

COMPARISON_SCHEMA: Final = "actcli.eval_comparison/1"
_NAMES: Final = {
    "top1": "top-1", "top5": "top-5", "mean_class": "mean class", "ece": "ECE", "map": "mAP",
}  # fmt: skip
_MOST_LINES: Final = 5
_SURE: Final = 0.05


def eval_record(result: EvalResult) -> dict[str, Any]:
    """All of a result, schema `actcli.eval/1`: numbers, their conditions, and every clip."""
    plan, coverage = result.plan, result.coverage
    record = {
        "schema": SCHEMA,
        "protocol": {
            "name": plan.protocol, "version": plan.version, "dataset": plan.dataset,
            "practice": plan.practice, "official": plan.official, "lists": plan.sources,
            "combine": plan.combine,
        },
        "headlines": [
            {"metric": one.name, "value": rounded(one.value), "spread": rounded(one.spread)}
            for one in result.headlines
        ],
        "coverage": {
            "expected": coverage.expected, "used": coverage.used,
            "share": rounded(coverage.share),
            "failures": [{"input": one.ref.id, "kind": one.error.kind,
                          "message": one.error.message} for one in coverage.failures],
        },
        "warnings": result.warnings,
        "parts": [_part(part) for part in result.parts],
        "episodes": None if result.episodes is None else _episodes(result, result.episodes),
        "conditions": result.conditions(),
        "run": run_record(result.run, timings=result.timings),
    }  # fmt: skip
    plain: dict[str, Any] = plain_value(record)
    return plain


def _part(part: PartResult) -> dict[str, Any]:
    found = part.measures
    return {
        "name": part.name,
        "digest": part.digest,
        "labels": part.labels,
        "videos": found.top1.total,
        "top1": _share(found.top1),
        "top5": None if found.top5 is None else _share(found.top5),
        "mean_class": rounded(found.mean_class),
        "map": rounded(found.mean_ap),
        "ece": rounded(found.ece),
        "per_class": [
            {"label": label, "count": share.count, "total": share.total}
            for label, share in zip(part.labels, found.per_class, strict=False)
        ],
        "confused": [
            {"label": part.labels[true], "as": part.labels[guess], "count": n}
            for true, guess, n in found.confused
        ],
        "clips": [
            [one.input, part.labels[one.target], part.labels[one.guess], one.rank,
             rounded(one.score)]
            for one in part.outcomes
        ],
    }  # fmt: skip


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {"value": rounded(share.value), "count": share.count, "total": share.total,
            "low": rounded(low), "high": rounded(high)}  # fmt: skip


def _episodes(result: EvalResult, found: EpisodeResult) -> dict[str, Any]:
    rule = result.plan.episodes
    assert rule is not None, "episodes have a rule"
    return {
        "labels": found.labels, "digest": found.digest,
        "way": rule.way, "shot": rule.shot, "queries": rule.queries, "count": rule.count,
        "seed": rule.seed, "distinct": found.distinct, "repeats": found.repeats,
        "top1": rounded(found.mean), "half_width": rounded(found.half_width),
        "shares": [rounded(share) for share in found.shares],
    }  # fmt: skip


def print_eval(console: Console, result: EvalResult) -> None:
    """What a person wants to know first, and what the number depends on below it."""
    plan = result.plan
    title = f"{plan.dataset}, {plan.protocol}/{plan.version}"
    if plan.practice != "honest":
        title += f", {plan.practice} practice"
    console.print(printable(title), style="bold", soft_wrap=True)
    if result.episodes is not None:
        _print_episodes(console, result, result.episodes)
    else:
        _print_parts(console, result)
    for line in _condition_lines(result):
        console.print(printable(line), style="dim", soft_wrap=True)
    for warning in result.warnings:
        console.print(printable(f"note: {warning}"), style="yellow", soft_wrap=True)


def _print_episodes(console: Console, result: EvalResult, found: EpisodeResult) -> None:
    rule = result.plan.episodes
    assert rule is not None, "episodes have a rule"
    half = "" if found.half_width is None else f" +- {100 * found.half_width:.2f}"
    console.print(
        f"{100 * found.mean:.2f}{half} %  {rule.way}-way "
        f"{rule.shot}-shot, {found.distinct:,} different episodes"
        + (f", each counted {found.repeats} times" if found.repeats > 1 else ""),
        soft_wrap=True,
    )


def _print_parts(console: Console, result: EvalResult) -> None:
    found = [part.measures for part in result.parts]
    names = [name for name in _NAMES if all(value_of(one, name) is not None for one in found)]
    if console.width < 20 + 11 * (1 + len(names)):
        _print_lines(console, result, names)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold")
    for heading in ("clips", *(_NAMES[name] for name in names)):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in result.parts:
        values = (value_of(part.measures, name) for name in names)
        cells = [f"{100 * value:.2f}" for value in values if value is not None]
        table.add_row(printable(part.name), f"{part.measures.top1.total:,}", *cells)
    spread = {one.name: one for one in result.headlines}
    if result.plan.combine == "harmonic":
        table.add_row("harmonic mean", "", f"{100 * spread['top1'].value:.2f}", style="bold")
    elif result.plan.combine == "mean" and len(result.parts) > 1:
        cells = [f"{100 * spread[n].value:.2f} +- {100 * (spread[n].spread or 0):.2f}"
                 for n in names]  # fmt: skip
        table.add_row("mean +- deviation", "", *cells, style="bold")
    console.print(table)
    if len(result.parts) == 1:
        for line in _class_lines(result.parts[0]):
            console.print(printable(line), soft_wrap=True)


def _print_lines(console: Console, result: EvalResult, names: Sequence[str]) -> None:
    """The same on a terminal that is too narrow for a table: a number a line."""
    for part in result.parts:
        clips = f"{part.measures.top1.total:,} clips"
        console.print(printable(f"{part.name}, {clips}"), soft_wrap=True)
        for name in names:
            console.print(f"  {_NAMES[name]} {_percent(value_of(part.measures, name))}")
    for one in result.headlines if len(result.parts) > 1 else ():
        spread = "" if one.spread is None else f" +- {_percent(one.spread)}"
        name = printable(_NAMES.get(one.name, one.name))
        console.print(f"all: {name} {_percent(one.value)}{spread}", style="bold", soft_wrap=True)


def _class_lines(part: PartResult) -> Iterator[str]:
    """The weakest classes, and what is taken for what."""
    seen = [(label, share) for label, share in zip(part.labels, part.measures.per_class,
                                                   strict=False) if share.total]  # fmt: skip
    weak = sorted((one for one in seen if one[1].value < 1), key=lambda one: one[1].value)
    if weak:
        named = [f"{label} {share.count}/{share.total}" for label, share in weak[:_MOST_LINES]]
        yield f"weakest: {', '.join(named)}"
    if part.measures.confused:
        named = [f"{part.labels[true]} as {part.labels[guess]} ({n})"
                 for true, guess, n in part.measures.confused[:_MOST_LINES]]  # fmt: skip
        yield f"confused: {', '.join(named)}"


def _condition_lines(result: EvalResult) -> Iterator[str]:
    """Model, prompts, frames and coverage: no number goes without them."""
    stated, run = result.conditions(), result.run
    sampling = stated["sampling"] or {}
    yield f"{result.coverage}"
    if run.model == "unknown":
        return
    frames = sampling.get("num_frames", "?")
    views = f"{sampling.get('num_views', 1)}x{sampling.get('num_crops', 1)}"
    templates = stated["templates"] or []
    digest = str(stated["checkpoint"] or run.model_digest)
    prompts = f'"{templates[0]}"' if len(templates) == 1 else f"{len(templates)} templates"
    yield (
        f"{run.model} ({digest[:12]}), {stated['method'] or 'unknown method'}, "
        f"{prompts}, {frames} frames, {views} views, {run.precision}, seed {run.seed}"
    )
    lists = [f"{name} {digest[:12]}" for name, digest in stated["lists"].items()]
    yield f"lists: {shorten_list(lists, limit=4)}"


def comparison_record(found: Comparison, names: tuple[str, str]) -> dict[str, Any]:
    """A comparison as a record."""
    plain: dict[str, Any] = plain_value({
        "schema": COMPARISON_SCHEMA,
        "a": names[0], "b": names[1],
        "coverage": {"a": found.coverage[0], "b": found.coverage[1]},
        "conditions": [{"name": n, "a": a, "b": b} for n, a, b in found.conditions],
        "numbers": [{"metric": n, "a": a, "b": b,
                     "difference": None if a is None or b is None else rounded(b - a)}
                    for n, a, b in found.numbers],
        "tests": [{"part": t.part, "test": t.kind, "count": t.count, "better_a": t.better_a,
                   "better_b": t.better_b, "difference": rounded(t.difference),
                   "half_width": rounded(t.half_width), "p": t.p} for t in found.tests],
    })  # fmt: skip
    return plain


def print_comparison(console: Console, found: Comparison, names: tuple[str, str]) -> None:
    """What differs, and whether by more than chance."""
    if not found.conditions:
        console.print("same conditions", style="dim")
    for name, one, other in found.conditions:
        line = f"{name}: {_short(one)} -> {_short(other)}"
        console.print(printable(line), style="dim", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for heading in (*names, "difference"):
        table.add_column(printable(heading), justify="right", overflow="fold")
    for name, a, b in found.numbers:
        difference = "" if a is None or b is None else f"{100 * (b - a):+.2f}"
        table.add_row(_NAMES.get(name, name), _percent(a), _percent(b), difference)
    table.add_row("coverage", *found.coverage, "")
    console.print(table)
    for test in found.tests:
        what = "clips" if test.kind == "mcnemar" else "episodes"
        half = "" if test.half_width is None else f" +- {100 * test.half_width:.2f}"
        verdict = "more than chance" if test.p < _SURE else "could be chance"
        console.print(
            printable(f"{test.part}: {100 * test.difference:+.2f}{half} on the same {test.count:,} "
                      f"{what} (first better on {test.better_a:,}, second on {test.better_b:,}; "
                      f"p = {test.p:.2g}: {verdict})"),
            soft_wrap=True,
        )  # fmt: skip
    if not found.tests:
        console.print("no paired test: the videos, labels or episodes are not the same")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
