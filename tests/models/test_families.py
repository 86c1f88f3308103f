"""A model of each family in its true size: its embeddings are open_clip's, or it is refused."""

from pathlib import Path

import pytest

from tests.models.family_table import FAMILIES, compare

REFUSED = ("xlm-roberta", "NLLB")


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in REFUSED])
def test_a_model_of_true_size_gives_the_embeddings_of_open_clip(
    family: str, tmp_path: Path
) -> None:
    row = compare(family, tmp_path / "model")
    assert not row.refused
    assert min(row.frames, row.text) >= 0.99999
    assert row.pipeline >= 0.9999
    assert row.error < 0.1  # MobileCLIP2 of random weights: 0.02, pictures being that alike
    assert row.pixels <= 3
    assert row.is_meta


@pytest.mark.parametrize("family", REFUSED)
def test_a_family_that_we_cannot_run_is_refused_in_a_sentence(family: str, tmp_path: Path) -> None:
    row = compare(family, tmp_path / "model")
    assert "text towers of Hugging Face are not supported" in row.refused
