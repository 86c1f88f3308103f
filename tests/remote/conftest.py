from __future__ import annotations

from collections.abc import Iterator

import pytest

from actcli.remote import opening, retrying
from tests.remote.serving import Served, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A web server; nothing pauses before another attempt, nothing is remembered from before."""
    monkeypatch.setattr(retrying, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(retrying, "_MAX_PAUSE_S", 0.0)
    monkeypatch.setattr(opening, "_last", opening._Last())
    opening._known.clear()
    with serving() as served:
        yield served
