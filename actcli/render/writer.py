"""What takes results, whatever it makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from actcli.types import Failure, Prediction


class ResultWriter(Protocol):
    """Takes results one by one. `finish` completes the output, `close` is for every way out."""

    def write(self, result: Prediction | Failure) -> None:
        """Write one result and flush it."""

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Complete the output, also if there was no result; `run` is the record of the run."""

    def close(self) -> None:
        """Complete what was begun and let go of the file; a file not begun stays as it was."""
