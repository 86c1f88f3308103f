"""What an evaluation found, with all that the numbers depend on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from actcli.errors import InputError, shorten_list
from actcli.metrics import mean_interval
from actcli.types import Failure, Run

if TYPE_CHECKING:
    from actcli.eval.metrics import Measures, Outcome
    from actcli.eval.plan import Plan

SCHEMA: Final = "actcli.eval/1"
METRICS: Final = ("top1", "top5", "mean_class", "map", "ece")


@dataclass(frozen=True, slots=True)
class PartResult:
    """The numbers of one part."""

    name: str
    labels: tuple[str, ...]
    digest: str
    measures: Measures
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """The numbers of few-shot episodes."""

    labels: tuple[str, ...]
    digest: str
    shares: tuple[float, ...]
    """Share of right queries of each episode, each different episode once."""
    distinct: int
    """How many different episodes there are."""
    repeats: int = 1

    @property
    def mean(self) -> float:
        """Over all episodes."""
        return math.fsum(self.shares) / len(self.shares)

    @property
    def half_width(self) -> float | None:
        """Of the 95 % interval of the mean; episodes that repeat others tell nothing more.

        None of one episode.
        """
        half = mean_interval(self.shares)[1] * math.sqrt(len(self.shares) / max(1, self.distinct))
        return half if math.isfinite(half) else None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the videos that the protocol names were used."""

    expected: int
    failures: tuple[Failure, ...] = ()

    @property
    def used(self) -> int:
        """Videos that were there and could be read."""
        return self.expected - len(self.failures)

    @property
    def share(self) -> float:
        """Of the expected ones."""
        return self.used / self.expected if self.expected else math.nan

    def refuse_gaps(self, what: str, least: float, *, allow: bool) -> None:
        """Raise InputError where too few videos are left for a number to be given."""
        if allow or self.share >= least:
            return
        named = shorten_list([failure.ref.id for failure in self.failures], limit=3)
        raise InputError(
            f"{what}: {self} can be used ({self.share:.1%}, expected {least:.0%}); not {named}",
            hint="--allow-missing gives the number all the same, with its coverage",
        )

    def __str__(self) -> str:
        return f"{self.used:,} of {self.expected:,} clips"


@dataclass(frozen=True, slots=True)
class Headline:
    """One number that stands for an evaluation."""

    name: str
    value: float
    spread: float | None = None
    """Sample deviation over parts; of episodes half the 95 % interval."""


@dataclass(frozen=True, slots=True)
class EvalResult:
    """An evaluation that is done."""

    plan: Plan
    parts: tuple[PartResult, ...]
    episodes: EpisodeResult | None
    coverage: Coverage
    run: Run
    warnings: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def headlines(self) -> tuple[Headline, ...]:
        """What the evaluation is quoted by."""
        if self.episodes is not None:
            found = self.episodes
            return (Headline("top1", found.mean, found.half_width),)
        combine = {"mean": _means, "harmonic": _harmonic, "each": _each}[self.plan.combine]
        return combine(self.parts)

    def value(self, metric: str) -> float | None:
        """The value of a headline, None where there is no such number."""
        found = {one.name: one.value for one in self.headlines}
        return found.get(metric)

    def conditions(self) -> dict[str, Any]:
        """All that decides the numbers, by name, for comparisons."""
        run, plan, config = self.run, self.plan, self.run.config
        rule = plan.episodes
        return {
            "protocol": f"{plan.protocol}/{plan.version}",
            "dataset": plan.dataset,
            "practice": plan.practice,
            "official": plan.official,
            "model": run.model,
            "model_digest": run.model_digest,
            "checkpoint": run.notes.get("checkpoint_digest"),
            "fingerprint": run.fingerprint,
            "method": run.notes.get("method"),
            "method_options": config.get("options"),
            "templates": config.get("templates"),
            "prompts": run.notes.get("prompts_digest"),
            "sampling": config.get("sampling"),
            "precision": run.precision,
            "seed": run.seed,
            "shots": list(config.get("shots", ())) if plan.combine == "each" else None,
            "episodes": None if rule is None else {
                "way": rule.way, "shot": rule.shot, "queries": rule.queries,
                "count": rule.count, "seed": rule.seed, "repeats": rule.repeats},
            "lists": {part.name: part.digest() for part in plan.parts},
            "versions": run.versions,
        }  # fmt: skip


def _means(parts: Sequence[PartResult]) -> tuple[Headline, ...]:
    """Means over the parts, with their sample deviation where there are several."""
    found = []
    for name in METRICS:
        values = [value for part in parts if (value := value_of(part.measures, name)) is not None]
        if len(values) == len(parts):
            spread = statistics.stdev(values) if len(values) > 1 else None
            found.append(Headline(name, math.fsum(values) / len(values), spread))
    return tuple(found)


def _harmonic(parts: Sequence[PartResult]) -> tuple[Headline, ...]:
    """Top-1 of the base and of the novel classes, and their harmonic mean first."""
    base, novel = (part.measures.top1.value for part in parts)
    both = 2 * base * novel / (base + novel) if base + novel else 0.0
    return Headline("top1", both), *(Headline(p.name, p.measures.top1.value) for p in parts)


def _each(parts: Sequence[PartResult]) -> tuple[Headline, ...]:
    """Top-1 of each part; the last one, of the most examples, stands for all at a gate."""
    last = Headline("top1", parts[-1].measures.top1.value)
    return last, *(Headline(part.name, part.measures.top1.value) for part in parts)


def value_of(measures: Measures, name: str) -> float | None:
    """One of the numbers of a part."""
    if name == "top5":
        return None if measures.top5 is None else measures.top5.value
    values = {
        "top1": measures.top1.value, "mean_class": measures.mean_class, "ece": measures.ece,
        "map": measures.mean_ap,
    }  # fmt: skip
    return values[name]
