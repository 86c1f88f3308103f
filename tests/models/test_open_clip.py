"""Our open_clip backbone against open_clip itself, and what is ours alone: laziness, limits."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from actcli.errors import ModelError, UsageError
from actcli.models.backbone import Backbone, find_backbone
from actcli.models.open_clip import OpenClipBackbone
from tests.models.tiny_models import CONFIGS, LONG, PROMPTS, random_frames, save_model

FolderOf = Callable[[str], Path]
Open = Callable[..., OpenClipBackbone]
FAMILIES = list(CONFIGS)


def reference(folder: Path) -> Any:
    import open_clip

    return open_clip.create_model(f"local-dir:{folder}").eval()


def reference_tokens(folder: Path, prompts: list[str]) -> torch.Tensor:
    import open_clip

    return open_clip.get_tokenizer(f"local-dir:{folder}")(prompts)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_frame_embeddings_are_those_of_open_clip(
    family: str, open_backbone: Open, folder_of: FolderOf
) -> None:
    backbone = open_backbone(family)
    frames = random_frames(2, 3, backbone.input_size, backbone.input_size)
    frames[1, :, ::2] //= 4
    actual = backbone.encode_frames(frames)
    expected = reference(folder_of(family)).encode_image((frames / 255 - 0.5) / 0.25)
    assert_same_embeddings(actual, expected)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "pe"])
@torch.no_grad()
def test_text_embeddings_are_those_of_open_clip(
    family: str, open_backbone: Open, folder_of: FolderOf
) -> None:
    prompts = [*PROMPTS, LONG, ""]
    tokens = reference_tokens(folder_of(family), prompts)
    expected = reference(folder_of(family)).encode_text(tokens)
    actual = open_backbone(family).encode_text(prompts)
    assert_same_embeddings(actual, expected)


def assert_same_embeddings(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal up to their length, for open_clip gives CoCa's with length one."""
    assert torch.isfinite(actual).all()
    torch.testing.assert_close(normalize(actual), normalize(expected), rtol=0, atol=1e-5)
    assert (normalize(actual[:1]) - normalize(actual[1:2])).abs().max() > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_scale_and_bias_are_those_of_open_clip(
    family: str, open_backbone: Open, folder_of: FolderOf
) -> None:
    backbone, model = open_backbone(family), reference(folder_of(family))
    assert backbone.logit_scale.item() == model.logit_scale.item()
    assert (backbone.logit_bias is None) == (model.logit_bias is None)
    assert backbone.logit_bias is None or backbone.logit_bias.item() == -10


@pytest.mark.parametrize("family", ["vit", "resnet", "siglip"])
@torch.no_grad()
def test_bfloat16_is_close_to_float32(family: str, open_backbone: Open) -> None:
    exact, fast = open_backbone(family), open_backbone(family, dtype=torch.bfloat16)
    frames = random_frames(3, 3, exact.input_size, exact.input_size)
    for method, given in (("encode_frames", frames), ("encode_text", PROMPTS)):
        one, other = getattr(exact, method)(given), getattr(fast, method)(given)
        assert other.dtype == torch.bfloat16
        assert torch.cosine_similarity(one, other.float()).min() > 0.995


@pytest.mark.parametrize("wanted", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", ["vit", "resnet", "siglip", "coca"])
@torch.no_grad()
def test_files_of_every_precision_run_in_every_precision(
    family: str, stored: torch.dtype, wanted: torch.dtype, tmp_path: Path
) -> None:
    spec = find_backbone(f"local-dir:{save_model(tmp_path, CONFIGS[family], stored)}")
    backbone, model = OpenClipBackbone(spec, dtype=wanted), reference(tmp_path)
    assert {p.dtype for p in backbone.ensure_built().parameters()} == {wanted}
    assert backbone.logit_scale.dtype == torch.float32
    frames = random_frames(2, 3, backbone.input_size, backbone.input_size)
    least = 0.99999 if wanted == torch.float32 else 0.99
    for actual, expected in (
        (backbone.encode_frames(frames), model.encode_image((frames / 255 - 0.5) / 0.25)),
        (backbone.encode_text(PROMPTS), model.encode_text(reference_tokens(tmp_path, PROMPTS))),
    ):
        assert actual.dtype == wanted
        assert torch.cosine_similarity(actual.float(), expected).min() > least


def test_float16_on_a_cpu_is_refused(open_backbone: Open) -> None:
    with pytest.raises(UsageError, match="fp16 is slower than fp32 on a CPU"):
        open_backbone("vit", dtype=torch.float16)


def test_until_it_is_used_nothing_imports_open_clip(folder_of: FolderOf) -> None:
    code = (
        "import sys\n"
        "from actcli.models.backbone import find_backbone\n"
        "from actcli.models.open_clip import OpenClipBackbone\n"
        "from actcli.methods.base import Method\n"
        f"method = Method(OpenClipBackbone(find_backbone('local-dir:{folder_of('vit')}')))\n"
        "method.backbone.logit_scale.exp(), method.cache_key(), method.train(), method.eval()\n"
        "assert method.backbone.model is None\n"
        "assert 'open_clip' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_offers_all_that_a_backbone_must(open_backbone: Open) -> None:
    wanted = {name for name in vars(Backbone) if not name.startswith("_")}
    assert not {name for name in wanted if not hasattr(open_backbone("vit"), name)}


def test_the_digest_is_that_of_its_files_unless_the_caller_knows_it(open_backbone: Open) -> None:
    backbone = open_backbone("vit")
    assert len(backbone.digest) == 64
    assert backbone.digest == open_backbone("vit").digest != open_backbone("quick").digest
    assert open_backbone("vit", digest="known").digest == "known"


def test_quick_gelu_changes_the_embeddings(open_backbone: Open) -> None:
    assert not torch.allclose(*(open_backbone(f).encode_text(PROMPTS) for f in ("vit", "quick")))


@pytest.mark.parametrize("family", ["vit", "siglip", "resnet"])
@torch.no_grad()
def test_batch_size_does_not_change_embeddings(family: str, open_backbone: Open) -> None:
    backbone = open_backbone(family)
    frames = random_frames(5, 3, backbone.input_size, backbone.input_size)
    for run, given in ((backbone.encode_frames, frames), (backbone.encode_text, PROMPTS)):
        single = torch.cat([run(given[i : i + 1]) for i in range(len(given))])
        torch.testing.assert_close(run(given), single, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_many_prompts_are_encoded_in_several_passes(open_backbone: Open) -> None:
    backbone = open_backbone("vit")
    prompts = [f"a video of move {i}" for i in range(300)]
    expected = backbone.encode_text(prompts[290:])
    torch.testing.assert_close(backbone.encode_text(prompts)[290:], expected, rtol=0, atol=1e-5)


def test_no_prompts_give_no_embeddings(open_backbone: Open) -> None:
    assert open_backbone("vit").encode_text([]).shape == (0, 16)


def test_pixels_are_normalised_as_the_config_says(open_backbone: Open) -> None:
    frames = random_frames(2, 3, 32, 32)
    expected = (frames.double() / 255 - 0.5) / 0.25
    actual = open_backbone("vit").normalize(frames)
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "frames", [torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 16, 16, dtype=torch.uint8)]
)
def test_frames_of_another_size_or_kind_are_refused(
    frames: torch.Tensor, open_backbone: Open
) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \[M, 3, 32, 32\]"):
        open_backbone("vit").encode_frames(frames)


def test_a_model_first_used_in_inference_mode_can_still_be_trained(open_backbone: Open) -> None:
    backbone = open_backbone("vit")
    with torch.inference_mode():
        backbone.encode_text(["run"])
    backbone.freeze([])
    backbone.encode_text(["run"]).sum().backward()
    assert backbone.model.text_projection.grad is not None


@pytest.mark.parametrize(
    ("frozen", "learning"),
    [(["image", "text", "scale"], ""), (["image", "scale"], "text"), (["image", "text"], "scale")],
)
def test_exactly_the_named_parts_are_frozen(
    frozen: list[Any], learning: str, open_backbone: Open
) -> None:
    backbone = open_backbone("vit")
    backbone.freeze(frozen)
    names = [name for name, p in backbone.named_parameters() if p.requires_grad]
    assert bool(names) == bool(learning)
    assert any(name == "logit_scale" for name in names) == (learning == "scale")
    assert any(name.startswith("model.t") for name in names) == (learning == "text")
    assert not any(name.startswith("model.visual") for name in names)


def test_an_unknown_part_cannot_be_frozen(open_backbone: Open) -> None:
    with pytest.raises(ValueError, match="unknown parts"):
        open_backbone("vit").freeze(["head"])  # type: ignore[list-item]


@pytest.mark.parametrize("frozen", [["image", "text", "scale"], ["image"], []])
def test_batch_statistics_never_move(frozen: list[Any], open_backbone: Open) -> None:
    backbone = open_backbone("resnet").train()
    before = backbone.image_tower.bn1.running_mean.clone()
    backbone.freeze(frozen)
    backbone.train().encode_frames(random_frames(2, 3, 64, 64))
    assert torch.equal(backbone.image_tower.bn1.running_mean, before)


def test_a_tower_is_original_until_it_is_wrapped(open_backbone: Open) -> None:
    backbone = open_backbone("vit")
    assert backbone.image_tower_is_original
    blocks = backbone.image_tower.transformer.resblocks
    assert backbone.image_tower_is_original
    blocks[0] = nn.Sequential(blocks[0])
    assert not backbone.image_tower_is_original


def test_a_tower_is_original_until_it_learns(open_backbone: Open) -> None:
    backbone = open_backbone("vit")
    backbone.freeze(["text", "scale"])
    assert not backbone.image_tower_is_original
    backbone.freeze(["image", "text", "scale"])
    assert backbone.image_tower_is_original
    backbone.image_tower.conv1.weight.add_(1)
    assert not backbone.image_tower_is_original


def test_weights_of_another_config_are_named(broken_folder: Path) -> None:
    config = broken_folder / "open_clip_config.json"
    config.write_text(config.read_text().replace('"width": 32, "head', '"width": 48, "head'))
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{broken_folder}"))
    with pytest.raises(ModelError, match=r"the weights do not fit .* of another shape"):
        backbone.ensure_built()


def test_a_config_that_open_clip_cannot_build_is_an_error_of_ours(broken_folder: Path) -> None:
    config = broken_folder / "open_clip_config.json"
    config.write_text(config.read_text().replace('"patch_size"', '"patches"'))
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{broken_folder}"))
    with pytest.raises(ModelError, match=r"open_clip cannot build .*unexpected keyword .*patches"):
        backbone.ensure_built()
