"""Two results of `eval` side by side: what differs in conditions, what in numbers, and by chance?

Files are read as they were written, so that results of other machines compare as well.
"""

from __future__ import annotations

import codecs
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from actcli.errors import InputError
from actcli.eval.result import SCHEMA
from actcli.metrics import mean_interval
from actcli.reading import parse_json, read_at_most

_MOST_BYTES: Final = 1 << 30
_FAMILY: Final = "actcli.eval/"


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Whether two models differ on the same videos or episodes by more than chance."""

    part: str
    kind: str
    """mcnemar, of videos; paired, of episodes"""
    count: int
    """Videos or episodes that both results have."""
    better_a: int
    """Those where only the first is right, or the first is better."""
    better_b: int
    difference: float
    """Second minus first, of top-1."""
    half_width: float | None
    """Of its 95 % interval."""
    p: float
    """Two-sided."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two results have in common and what not."""

    conditions: tuple[tuple[str, Any, Any], ...]
    """(name, first, second), differing ones only"""
    numbers: tuple[tuple[str, float | None, float | None], ...]
    tests: tuple[PairedTest, ...]
    coverage: tuple[str, str]


def read_result(path: str) -> dict[str, Any]:
    """A result that `eval -o` wrote.

    Raises InputError for what is none, or of another version of the format.
    """
    try:
        content = read_at_most(path, _MOST_BYTES)
        record: Any = None if content is None else parse_json(content.removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path}: not a result of eval (not JSON: {error})",
                         hint="actcli eval … -o result.json") from error  # fmt: skip
    schema = record.get("schema") if isinstance(record, dict) else None
    schema = schema if isinstance(schema, str) else None
    if schema is None or not schema.startswith(_FAMILY):
        raise InputError(
            f"{path}: not a result of eval (got schema {schema!r}, expected {SCHEMA})",
            hint="actcli eval … -o result.json",
        )
    if schema != SCHEMA:
        raise InputError(f"{path}: of another version of the format (got {schema}, "
                         f"expected {SCHEMA})")  # fmt: skip
    try:
        _check(record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error})") from error
    return dict(record)


def _check(record: Mapping[str, Any]) -> None:
    """Raise some error unless all that is compared is there, and numbers are numbers."""
    for one in record["headlines"]:
        if not isinstance(one["metric"], str):
            raise ValueError(f"metric {one['metric']!r}")
        _number(one["value"])
    for key in ("protocol", "dataset", "lists"):
        record["conditions"][key]
    counts = record["coverage"]
    are_counts = type(counts["used"]) is int and type(counts["expected"]) is int
    if not are_counts or not 0 <= counts["used"] <= counts["expected"]:
        raise ValueError(f"coverage {counts['used']!r} of {counts['expected']!r}")
    if not isinstance(record["parts"], list):
        raise ValueError("parts")
    for part in record["parts"]:
        for clip in part["clips"]:
            if not isinstance(clip, list):
                raise TypeError("clip")
            name, target, guess, *_ = clip
            if not all(isinstance(text, str) for text in (name, target, guess)):
                raise ValueError(f"clip {name!r}")
        if not all(isinstance(part[key], str) for key in ("name", "digest")):
            raise ValueError("part")
    if (episodes := record["episodes"]) is not None:
        for key in ("digest", "way", "shot", "queries", "count", "seed"):
            episodes[key]
        if len(episodes["shares"]) != episodes["count"]:
            raise ValueError("shares")
        for share in episodes["shares"]:
            _number(share)


def _number(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no share")


def compare(name_a: str, name_b: str) -> Comparison:
    """Compare two result files.

    Raises InputError for files that are no results, or of other protocols, whose numbers don't
    compare.
    """
    a, b = read_result(name_a), read_result(name_b)
    _refuse_other_protocol(name_a, a, name_b, b)
    return Comparison(
        tuple(_differences("", a["conditions"], b["conditions"])),
        tuple(_numbers(a, b)),
        tuple(_tests(a, b)),
        (_coverage(a), _coverage(b)),
    )


def _refuse_other_protocol(
    name_a: str, a: Mapping[str, Any], name_b: str, b: Mapping[str, Any]
) -> None:
    stated = a["conditions"], b["conditions"]
    are_same_lists = stated[0]["lists"] == stated[1]["lists"]
    for key in ("protocol", "dataset"):
        one, other = (conditions[key] for conditions in stated)
        if one != other and not (key == "dataset" and are_same_lists):
            raise InputError(
                f"{name_a} and {name_b}: their numbers don't compare ({key}: {one} and {other})",
                hint="evaluate both under one protocol, of one version",
            )


def _coverage(record: Mapping[str, Any]) -> str:
    counts = record["coverage"]
    return f"{counts['used']:,} of {counts['expected']:,} clips"


def _differences(name: str, a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys((*a, *b)):
            yield from _differences(f"{name}.{key}" if name else key, a.get(key), b.get(key))
    elif a != b:
        yield name, a, b


def _numbers(
    a: Mapping[str, Any], b: Mapping[str, Any]
) -> Iterator[tuple[str, float | None, float | None]]:
    values = [{one["metric"]: one["value"] for one in record["headlines"]} for record in (a, b)]
    for name in dict.fromkeys((*values[0], *values[1])):
        yield name, values[0].get(name), values[1].get(name)


def _tests(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[PairedTest]:
    """One for each part of the same videos and labels, and for the same episodes."""
    others = {part["name"]: part for part in b["parts"]}
    for part in a["parts"]:
        other = others.get(part["name"])
        if other is not None and part["digest"] == other["digest"]:
            yield from _of_videos(part, other)
    one, other = a["episodes"], b["episodes"]
    keys = ("digest", "way", "shot", "queries", "count", "seed")
    if one and other and all(one[key] == other[key] for key in keys):
        yield _of_episodes(one["shares"], other["shares"])


def _of_videos(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[PairedTest]:
    """McNemar's exact test on the videos that both could read."""
    rights = _by_name(a["clips"], b["clips"])
    common = [name for name in rights[0] if name in rights[1]]
    if not common:
        return
    only_a = sum(rights[0][name] and not rights[1][name] for name in common)
    only_b = sum(rights[1][name] and not rights[0][name] for name in common)
    n, difference = len(common), (only_b - only_a) / len(common)
    half = 1.96 * math.sqrt(max(0.0, (only_a + only_b) / n - difference**2) / n)
    p = exact_sign_test(only_a, only_b)
    yield PairedTest(a["name"], "mcnemar", n, only_a, only_b, difference, half, p)


def _by_name(*sides: list[Any]) -> tuple[dict[str, bool], ...]:
    """Which clips are right, by as much of their paths as two machines have in common.

    The longest ends of paths that name the most clips of both; a name is of one clip only.
    """
    best: tuple[dict[str, bool], ...] = ({}, {})
    for depth in (None, 4, 3, 2, 1):
        found = []
        for clips in sides:
            names = [clip[0] if depth is None else "/".join(clip[0].split("/")[-depth:])
                     for clip in clips]  # fmt: skip
            once = {name for name, n in Counter(names).items() if n == 1}
            found.append({name: clip[1] == clip[2] for name, clip in zip(names, clips, strict=True)
                          if name in once})  # fmt: skip
        if len(found[0].keys() & found[1].keys()) > len(best[0].keys() & best[1].keys()):
            best = tuple(found)
    return best


def _of_episodes(a: list[float], b: list[float]) -> PairedTest:
    """The mean difference over the same episodes, against a normal distribution of the mean."""
    differences = [other - one for one, other in zip(a, b, strict=True)]
    mean, half = mean_interval(differences)
    error = half / 1.959963984540054
    p = math.erfc(abs(mean) / error / math.sqrt(2)) if error else float(mean == 0)
    better = sum(d < 0 for d in differences), sum(d > 0 for d in differences)
    return PairedTest("episodes", "paired", len(a), *better, mean, half, p)


def exact_sign_test(wins: int, losses: int) -> float:
    """Two-sided p of a fair coin that falls one way `wins` times and the other `losses` times.

    min(1, 2 sum_{k <= min} C(n, k) / 2^n),  n = wins + losses      McNemar's exact test
    """
    n, fewer = wins + losses, min(wins, losses)
    if not n:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            for k in range(fewer + 1)]  # fmt: skip
    return min(1.0, 2 * math.fsum(math.exp(log - n * math.log(2)) for log in logs))
