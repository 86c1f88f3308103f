"""Tables of a few rows, made without a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actcli.errors import VideoError
from actcli.tables.info import TableInfo
from actcli.tables.rows import Row
from actcli.tables.tensor_file import TensorWriter
from actcli.tables.writing import FileWriter
from actcli.types import Failure, Part, VideoRef

SAMPLING = {"num_frames": 2, "num_views": 2, "num_crops": 1}
INFO = TableInfo(
    model="demo", model_digest="m", method="clip", embed_key="k", precision="fp32",
    sampling=SAMPLING, transform={"size_px": 32},
)  # fmt: skip
Write = Callable[..., Path]


def row(name: str, seed: int = 0, **more: Any) -> Row:
    """Two views of two frames, D = 3."""
    values = np.random.default_rng(seed).standard_normal((2, 2, 3)).astype(np.float32)
    ref = VideoRef(name, more.pop("trim_start", None), more.pop("trim_end", None))
    return Row(ref, values, (0.5, 1.5, 0.75, 1.75), 0.0, 2.0, **more)


def failure(name: str) -> Failure:
    return Failure(VideoRef(name), VideoError("no_frames", f"{name}: no frames", hint="look"))


ROWS: list[Row | Failure] = [
    failure("first.mp4"),
    row("a.mp4", 1, warnings=("one", "two"), content="ab12"),
    row("b.mp4", 2, trim_start=0.25, trim_end=1.5, part=Part("window", 3, 17, 2.0)),
    failure("bad\udcff.mp4"),
    row("odd\udcff\u2028.mp4", 3),
]


def no_shape() -> tuple[int, int, int]:
    raise AssertionError("a good row shows the shape")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows to a file of the name's kind."""

    def made(name: str, rows: list[Row | Failure] = ROWS, info: TableInfo = INFO) -> Path:
        kind = TensorWriter if name.endswith(".safetensors") else FileWriter
        writer = kind(tmp_path / name, info, no_shape)
        for one in rows:
            writer.write(one)
        writer.finish()
        return tmp_path / name

    return made
