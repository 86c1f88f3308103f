"""Write actcli/models/catalog.json from open_clip's own tables; run it after open_clip moved on.

PYTHONPATH=. python tests/models/make_catalog.py

Licences stand in no table of open_clip's. Those below are what timm's tables and the model cards
on the hub said in 2026 for the same weights, and for OpenAI's what its authors publish them under.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import torch

from actcli.models.catalog import TABLE_PATH

# First match decides; the text is a prefix of the tag or of the repository's name.
LICENCES = {
    "openai": "mit",
    "yfcc15m": "mit",
    "cc12m": "mit",
    "metaclip": "cc-by-nc-4.0",
    "dfn2b": "apple-ascl",
    "dfn5b": "apple-ascl",
    "datacompdr": "apple-amlr",
    "dfndr2b": "apple-amlr",
    "webli": "apache-2.0",
    "meta": "apache-2.0",
    "visheratin/": "cc-by-nc-4.0",
    "UCSC-VLAA/": "apache-2.0",
    "jienengchen/": "mit",
    "timm/eva": "mit",
    "laion": "mit",
    "datacomp": "mit",
    "commonpool": "mit",
    "mscoco_finetuned_laion2b": "mit",
    "frozen_laion5b": "mit",
}


def licence_of(tag: str, repository: str) -> str:
    found = (text for text in LICENCES if tag.startswith(text) or repository.startswith(text))
    return LICENCES[next(found)]


def count_parameters(name: str) -> int | None:
    """Of all parts; None for the families whose text tower open_clip can't build here."""
    import open_clip

    settings: dict[str, Any] = deepcopy(open_clip.get_model_config(name))
    if "hf_model_name" in settings["text_cfg"]:
        return None
    family = open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP
    if "multimodal_cfg" in settings:
        family = open_clip.CoCa
    if "timm_model_name" in settings["vision_cfg"]:
        settings["vision_cfg"]["timm_model_pretrained"] = False
    with torch.device("meta"):
        model = family(**settings)
    return sum(parameter.numel() for parameter in model.parameters())


def make_rows(*, with_sizes: bool = True) -> dict[str, Any]:
    """The table as JSON holds it; without sizes it takes no model to be built."""
    from open_clip.pretrained import _PRETRAINED

    rows: dict[str, Any] = {}
    counts = {name: count_parameters(name) for name in _PRETRAINED} if with_sizes else {}
    for arch, tags in _PRETRAINED.items():
        for tag, given in tags.items():
            repository, _, file = given["hf_hub"].rpartition("/")
            preprocess = {key: given[key] for key in ("mean", "std", "interpolation")}
            rows[f"{arch}/{tag}"] = {
                "repository": repository,
                "file": file,
                "quick_gelu": bool(given.get("quick_gelu")),
                "licence": licence_of(tag, repository),
                "num_parameters": counts.get(arch),
                "preprocess": preprocess | {"resize_mode": given["resize_mode"]},
            }
    return json.loads(json.dumps(rows))  # tuples as lists


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in make_rows().items()]
    TABLE_PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
