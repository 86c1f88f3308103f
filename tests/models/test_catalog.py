"""Our table of names against open_clip's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from actcli.models.catalog import PERMISSIVE, Entry, entries, find_entry, read_architecture
from actcli.models.model_config import read_preprocessing
from actcli.types import Preprocessing
from actcli.video.transform import fit_picture
from tests.models.make_catalog import count_parameters, make_rows


def test_the_table_says_what_open_clips_tables_say() -> None:
    expected = make_rows(with_sizes=False)
    assert list(entries()) == list(expected)
    for name, row in expected.items():
        del row["num_parameters"]
        entry = entries()[name]
        assert {key: getattr(entry, key) for key in row} == row, name


def test_architectures_are_what_open_clip_builds() -> None:
    import open_clip

    for name in {entry.architecture for entry in entries().values()}:
        assert read_architecture(name) == open_clip.get_model_config(name), name


def test_activations_are_what_open_clip_knows_of_the_weights() -> None:
    import open_clip

    for entry in entries().values():
        tag = entry.name.partition("/")[2]
        known = open_clip.get_pretrained_cfg(entry.architecture, tag)
        assert entry.quick_gelu == bool(known.get("quick_gelu")), entry.name


def test_sizes_are_those_of_the_models() -> None:
    for name in ("ViT-B-32/openai", "PE-Core-S-16-384/meta"):
        entry = entries()[name]
        assert entry.num_parameters == count_parameters(entry.architecture)
    # The hub's page says 349 MB.
    assert round((entries()["PE-Core-S-16-384/meta"].about_bytes or 0) / 1e6) == 349


def test_every_alias_may_be_used_for_anything() -> None:
    named = [entry for entry in entries().values() if entry.alias]
    assert len(named) == 4
    assert {entry.licence for entry in named} <= PERMISSIVE


def preprocessing_of(entry: Entry) -> Preprocessing:
    config = {
        "model_cfg": read_architecture(entry.architecture),
        "preprocess_cfg": entry.preprocess,
    }
    return read_preprocessing(Path("config"), config)


@pytest.mark.parametrize(
    ("name", "size", "resize", "interpolation", "mean"),
    [
        ("ViT-B-16/openai", 224, "shortest", "bicubic", 0.48145466),
        ("RN50/openai", 224, "shortest", "bicubic", 0.48145466),
        ("convnext_base/laion400m_s13b_b51k", 224, "shortest", "bicubic", 0.48145466),
        ("EVA02-B-16/merged2b_s8b_b131k", 224, "shortest", "bicubic", 0.48145466),
        ("ViT-L-14-CLIPA/datacomp1b", 224, "squash", "bilinear", 0.485),
        ("ViT-B-16-SigLIP/webli", 224, "squash", "bicubic", 0.5),
        ("ViT-B-32-SigLIP2-256/webli", 256, "squash", "bicubic", 0.5),
        ("PE-Core-B-16/meta", 224, "squash", "bilinear", 0.5),
        ("MobileCLIP2-S0/dfndr2b", 256, "shortest", "bilinear", 0.0),
        ("ViTamin-S/datacomp1b", 224, "shortest", "bicubic", 0.48145466),
        ("coca_ViT-B-32/laion2b_s13b_b90k", 224, "shortest", "bicubic", 0.48145466),
    ],
)
def test_each_family_gets_the_pictures_it_was_trained_on(
    name: str, size: int, resize: str, interpolation: str, mean: float
) -> None:
    entry = find_entry(name)
    assert entry is not None
    wanted = preprocessing_of(entry)
    assert (wanted.size_px, wanted.resize, wanted.interpolation) == (size, resize, interpolation)
    assert wanted.mean[0] == mean


def test_every_preprocessing_of_the_table_gives_the_pixels_of_open_clip() -> None:
    from open_clip.pretrained import get_pretrained_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    random = np.random.default_rng(0)
    small = random.integers(0, 256, (15, 20, 3), dtype=np.uint8)
    pixels = np.array(Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC))
    seen: set[str] = set()
    for entry in entries().values():
        wanted = preprocessing_of(entry)
        if repr(wanted) in seen:
            continue
        seen.add(repr(wanted))
        tag = entry.name.partition("/")[2]
        known = get_pretrained_cfg(entry.architecture, tag)
        size = read_architecture(entry.architecture)["vision_cfg"]["image_size"]
        base = merge_preprocess_dict(PreprocessCfg(size=size), known)
        theirs = image_transform_v2(PreprocessCfg(**base), is_train=False)(Image.fromarray(pixels))
        picture = torch.from_numpy(fit_picture(pixels, (240, 320), wanted)).float() / 255
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (wanted.mean, wanted.std))
        levels = ((picture - mean) / std - theirs).abs() * std * 255
        assert levels.max() <= 2.01, entry.name
        assert levels.mean() < 0.3, entry.name
    assert len(seen) >= 15
