"""Numbers about counts: pure functions, no tensors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_Z: Final = 1.959963984540054
"""Of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with the 95 % interval of the share behind it."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval: sensible for few trials, and for none or all right.

        (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
        """
        if not self.total:
            return 0.0, 1.0
        n, p, square = self.total, self.value, _Z * _Z
        middle = p + square / (2 * n)
        half = _Z * math.sqrt(p * (1 - p) / n + square / (4 * n * n))
        scale = 1 + square / n
        # Rounding must not push the share itself out of its interval.
        return max(0.0, min(p, (middle - half) / scale)), min(1.0, max(p, (middle + half) / scale))


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of independent values and half the width of its 95 % interval, by their spread."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, math.inf
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return mean, _Z * spread / math.sqrt(n)


def confusions(targets: Sequence[int], predicted: Sequence[int]) -> list[tuple[int, int, int]]:
    """(true class, predicted class, how often) of every mistake, the most frequent first."""
    pairs = zip(targets, predicted, strict=True)
    counts = Counter((true, guess) for true, guess in pairs if true != guess)
    return [(true, guess, n) for (true, guess), n in sorted(
        counts.items(), key=lambda item: (-item[1], item[0]))]  # fmt: skip
