from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.video.making import write_video


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a numbered video once for each file name and set of options."""
    folder = tmp_path_factory.mktemp("numbered")
    made: dict[str, Path] = {}

    def make(name: str, **options: object) -> Path:
        key = f"{name} {sorted(options.items())}"
        if key not in made:
            place = folder / str(len(made))
            place.mkdir()
            made[key] = write_video(place / name, **options)  # type: ignore[arg-type]
        return made[key]

    return make
