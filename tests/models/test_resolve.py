"""Names, activations, licences and tokenizers: what a model on the hub is taken to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actcli.errors import ModelError
from actcli.models.backbone import BackboneSpec
from actcli.models.catalog import ALIASES, entries, find_entry
from actcli.models.hub_cache import HubSettings
from actcli.models.resolve import find_source, resolve_backbone
from tests.models.hub_server import CONFIG, WEIGHTS, HubServer, make_weights, tiny_repository

PAPER = "timm/vit_base_patch16_clip_224.openai"
CARD = b"---\nlicense: other\nlicense_name: Apple-AMLR\ntags:\n- clip\n---\nlicense: mit\n"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    everything = {entry.repository: {WEIGHTS: make_weights()} for entry in entries().values()}
    with HubServer({**everything, "org/tiny": tiny_repository()}) as server:
        yield server


@pytest.fixture
def settings(hub: HubServer, tmp_path: Path) -> HubSettings:
    return HubSettings(tmp_path / "hub", endpoint=hub.endpoint)


def stated(**changes: Any) -> bytes:
    return tiny_repository(**changes)[CONFIG]


def refuse(name: str, settings: HubSettings, sentence: str, **options: Any) -> str:
    with pytest.raises(ModelError, match=sentence) as caught:
        resolve_backbone(name, settings, **options)
    return str(caught.value.hint)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_shown_by_the_name_it_stands_for(alias: str, settings: HubSettings) -> None:
    spec = resolve_backbone(alias, settings)
    assert spec.name == ALIASES[alias]
    assert spec.licence in ("apache-2.0", "mit")


def test_pe_core_is_what_its_paper_says(settings: HubSettings) -> None:
    spec = resolve_backbone("default", settings)
    frames = spec.preprocessing
    assert (spec.embed_dim, spec.context_length, frames.size_px) == (1024, 32, 224)
    assert (frames.resize, frames.interpolation, frames.mean) == ("squash", "bilinear", (0.5,) * 3)


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("ViT-B-16/openai", "quick_gelu"),
        ("ViT-B-16/datacomp_xl_s13b_b90k", "gelu"),
        ("ViT-B-32/metaclip_400m", "quick_gelu"),
        ("ViT-B-16/dfn2b", "quick_gelu"),
        ("RN50-quickgelu/openai", "quick_gelu"),
    ],
)
def test_the_weights_decide_the_activation(
    name: str, activation: str, settings: HubSettings
) -> None:
    spec = resolve_backbone(name, settings)
    assert spec.activation == activation
    assert spec.config["model_cfg"].get("quick_gelu", False) == (activation == "quick_gelu")


def test_a_config_that_contradicts_the_weights_is_refused(
    hub: HubServer, settings: HubSettings
) -> None:
    hub.repositories[PAPER][CONFIG] = stated(quick_gelu=False)
    refuse("paper", settings, "says GELU, and these weights were trained with QuickGELU")
    assert hub.transfers() == [CONFIG]


def test_a_config_that_is_silent_about_known_weights_is_refused_where_it_alone_decides(
    hub: HubServer, settings: HubSettings
) -> None:
    hub.repositories[PAPER][CONFIG] = stated()
    assert resolve_backbone("paper", settings).activation == "quick_gelu"
    hint = refuse(f"hf-hub:{PAPER}", settings, "says GELU")
    assert hint == "type --model ViT-B-16/openai"


def test_a_repository_that_nobody_knows_is_what_its_config_says(
    hub: HubServer, settings: HubSettings
) -> None:
    hub.repositories["org/tiny"][CONFIG] = stated(quick_gelu=True)
    assert resolve_backbone("hf-hub:org/tiny", settings).activation == "quick_gelu"


def test_an_unwanted_licence_is_refused_before_anything_is_asked(
    hub: HubServer, settings: HubSettings
) -> None:
    refuse(
        "ViT-B-16/dfn2b", settings, "got apple-ascl, expected mit or permissive",
        licences=("mit", "permissive"),
    )  # fmt: skip
    assert hub.requests == []


def test_a_wanted_licence_passes(settings: HubSettings) -> None:
    assert resolve_backbone("paper", settings, licences=("permissive",)).licence == "mit"
    assert resolve_backbone("ViT-B-16/dfn2b", settings, licences=("apple-ascl",))


def test_the_licence_of_a_repository_is_read_from_its_card_before_its_weights(
    hub: HubServer, settings: HubSettings
) -> None:
    hub.repositories["org/tiny"]["README.md"] = CARD
    refuse("hf-hub:org/tiny", settings, "got apple-amlr", licences=("permissive",))
    assert WEIGHTS not in hub.transfers()
    assert resolve_backbone("hf-hub:org/tiny", settings).licence == "apple-amlr"
    refuse("hf-hub:org/tiny", settings, "got apple-amlr", licences=("permissive",))


def test_an_unknown_licence_is_none_that_was_required(settings: HubSettings) -> None:
    refuse("hf-hub:org/tiny", settings, "got unknown", licences=("permissive",))


def test_the_tokenizer_of_another_repository_comes_along(
    hub: HubServer, settings: HubSettings
) -> None:
    hub.repositories["timm/ViT-B-16-SigLIP"] = {
        "tokenizer.json": b"{}", "tokenizer_config.json": b"{ }", WEIGHTS: make_weights()
    }  # fmt: skip
    spec = resolve_backbone("ViT-B-16-SigLIP-256/webli", settings)
    assert [path.name for path in spec.tokenizer_files] == [
        "tokenizer.json", "tokenizer_config.json"
    ]  # fmt: skip
    assert spec.score_kind == "sigmoid"
    hub.requests.clear()
    assert resolve_backbone("ViT-B-16-SigLIP-256/webli", settings) == spec
    assert hub.requests == []


def test_a_missing_tokenizer_is_told_before_the_weights_are_downloaded(
    hub: HubServer, settings: HubSettings
) -> None:
    refuse("ViT-B-16-SigLIP/webli", settings, "its tokenizer is not in timm/ViT-B-16-SigLIP")
    assert WEIGHTS not in hub.transfers()


@pytest.mark.parametrize(
    "name", ["xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", "nllb-clip-base/v1"]
)
def test_families_that_we_cannot_run_are_refused_before_anything_is_asked(
    name: str, hub: HubServer, settings: HubSettings
) -> None:
    refuse(name, settings, f"^{name}: .* not supported")
    assert hub.requests == []


@pytest.mark.parametrize(
    ("name", "sentence", "hint"),
    [
        ("defalt", r'unknown model \(got "defalt"\)', '"default"'),
        ("PE-Cor-B-16/meta", "unknown model", '"PE-Core-B-16/meta"'),
        ("vit-b-16/openai", "unknown model", '"ViT-B-16/openai"'),
        ("ViT-B-16/opnai", r'ViT-B-16: which weights\? \(got "opnai"\)', 'they are "openai", '),
        ("ViT-B-16", r"ViT-B-16: which weights\?", "actcli models list ViT-B-16"),
        ("hf-hub:tiny", "not a repository", "hf-hub:timm/PE-Core-B-16"),
        ("hf-hub:../../etc", "not a repository", "hf-hub:"),
        ("org/name", "unknown model", "actcli models list"),
    ],
)
def test_a_name_that_stands_for_nothing_lists_the_close_ones(
    name: str, sentence: str, hint: str
) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        find_source(name)
    assert hint in str(caught.value.hint)


def test_a_file_name_of_its_own_is_tried_as_safetensors_first() -> None:
    entry = find_entry("ViTamin-S/datacomp1b")
    assert entry is not None
    assert entry.weight_names[0] == "pytorch_model.safetensors"


def test_no_name_is_spelled_in_two_places_of_the_table() -> None:
    assert set(ALIASES.values()) <= set(entries())
    assert all(name == entry.name for name, entry in entries().items())


def test_specs_of_the_hub_are_ordinary_specs(settings: HubSettings) -> None:
    spec = resolve_backbone("hf-hub:org/tiny", settings)
    assert isinstance(spec, BackboneSpec)
    config = json.loads((spec.folder / CONFIG).read_text())
    assert spec.config == config
