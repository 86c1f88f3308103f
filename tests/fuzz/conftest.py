"""Fixtures of other folders."""

from tests.tables.conftest import write as write  # noqa: PLC0414
