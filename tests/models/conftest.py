"""Tiny models as fixtures: as folders, and opened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models.tiny_models import CONFIGS, save_model


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("models")

    def get(family: str) -> Path:
        folder = root / family
        return folder if folder.is_dir() else save_model(folder, CONFIGS[family])

    return get


@pytest.fixture
def open_backbone(folder_of: Callable[[str], Path]) -> Callable[..., Any]:
    from actcli.models.backbone import find_backbone
    from actcli.models.open_clip import OpenClipBackbone

    def get(family: str, **options: Any) -> OpenClipBackbone:
        return OpenClipBackbone(find_backbone(f"local-dir:{folder_of(family)}"), **options)

    return get


@pytest.fixture
def broken_folder(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the plain model, to be damaged."""
    for file in folder_of("vit").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path
