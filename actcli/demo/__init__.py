"""A built-in demo: drawn stick-figure clips, and a small model that knows them."""

import json
from functools import cache
from pathlib import Path

MODEL_DIRECTORY = Path(__file__).resolve().parent / "model"
HEAD_PATH = MODEL_DIRECTORY / "fewshot.safetensors"
"""A CLIP-FSAR head for that model, trained on episodes of the 24 actions that it knows."""


@cache
def known_words() -> frozenset[str]:
    """Lower-case words that the demo model was trained on; other words mean nothing to it."""
    text = (MODEL_DIRECTORY / "words.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text))
