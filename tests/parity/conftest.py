"""Prints, after the tests, how near each kind of stored output of the authors' code was met."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

Compare = Callable[..., None]
_LARGEST = pytest.StashKey[dict[tuple[str, str], tuple[float, float, int]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LARGEST] = {}


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Compare:
    """compare(kind, ours, theirs): within the manifest's tolerance, and remembered."""
    largest = request.config.stash[_LARGEST]
    method = request.module.METHOD

    def check(kind: str, ours: Tensor, theirs: Tensor, *, is_gradient: bool = False) -> None:
        assert ours.shape == theirs.shape, (kind, ours.shape, theirs.shape)
        ours = ours.detach()
        exact = not theirs.is_floating_point()
        difference = float((ours.double() - theirs.double()).abs().max()) if theirs.numel() else 0.0
        size = float(theirs.double().abs().max()) if theirs.numel() else 0.0
        allowed = 0.0 if exact else 1e-5 * (size if is_gradient else 1 + size)
        share = difference / allowed if allowed else float(difference > 0)
        before = largest.get((method, kind), (0.0, 0.0, 0))
        largest[method, kind] = (
            max(before[0], difference), max(before[1], share), before[2] + 1
        )  # fmt: skip
        assert difference <= allowed, f"{kind}: differs by {difference:g} (allowed {allowed:g})"

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    largest = terminalreporter.config.stash.get(_LARGEST, {})
    if not largest:
        return
    terminalreporter.section("largest differences from the authors' code")
    for (method, kind), (difference, share, count) in sorted(largest.items()):
        terminalreporter.write_line(
            f"{method} {kind:34} {difference:.2e}  {share:5.1%} of what is allowed  "
            f"({count} comparisons)"
        )
