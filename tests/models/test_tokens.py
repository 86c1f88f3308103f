"""Prompts as a text tower reads them: where passes end, and what does not fit."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from actcli.errors import ModelError, ResourceError
from actcli.models.backbone import find_backbone
from actcli.models.open_clip import OpenClipBackbone
from actcli.models.tokens import pooled_positions
from tests.models.tiny_models import BASE, CONFIGS, LONG, PROMPTS, TEXT, save_model

Open = Callable[..., OpenClipBackbone]


@pytest.mark.parametrize("family", ["vit", "custom", "eos"])
@torch.no_grad()
def test_cutting_passes_to_the_longest_prompt_is_exact(family: str, open_backbone: Open) -> None:
    backbone = open_backbone(family)
    short, end = backbone.token_embeddings(PROMPTS)
    full, _ = backbone.token_embeddings([LONG, *PROMPTS])
    assert short.shape[1] < full.shape[1] == backbone.context_length
    expected = normalize(backbone.encode_tokens(full[1:], end))
    actual = normalize(backbone.encode_tokens(short, end))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("family", "pooled"), [("siglip", 15), ("clipa", 15), ("first", 0), ("mobile", 2)]
)
@torch.no_grad()
def test_a_text_tower_that_looks_both_ways_is_never_cut(
    family: str, pooled: int, open_backbone: Open
) -> None:
    backbone = open_backbone(family)
    embeddings, end = backbone.token_embeddings(["run"])
    assert not backbone.text_is_causal
    assert embeddings.shape[1] == 16
    assert end.tolist() == [pooled]


def test_a_text_tower_that_masks_padding_takes_whole_prompts_only(open_backbone: Open) -> None:
    with pytest.raises(ModelError, match="reads whole prompts only"):
        open_backbone("coca").token_embeddings(["run"])


@pytest.mark.parametrize("length", [77, 64, 32])
@torch.no_grad()
def test_a_warning_shows_the_cut_at_the_length_of_each_family(
    length: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = {**BASE, "text_cfg": {**TEXT, "context_length": length}}
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{save_model(tmp_path, config)}"))
    fits, too_long = " ".join(["run"] * (length - 2)), " ".join(["run"] * (length - 1))
    backbone.encode_text([fits])
    assert (backbone.cut_prompts, caplog.text) == ((), "")
    one, other = backbone.encode_text([fits, too_long + " fast"])
    assert torch.equal(one, other)
    assert [cut.read for cut in backbone.cut_prompts] == [fits]
    assert f'reads at most {length} tokens of a prompt; cut (1): "{fits}"' in caplog.text


@pytest.mark.parametrize(
    ("text_cfg", "expected"),
    [
        ({}, [2, 1]),
        ({"pool_type": "eos", "eos_id": 5}, [1, 2]),
        ({"pool_type": "first"}, [0, 0]),
        ({"pool_type": "last"}, [3, 3]),
    ],
)
def test_the_config_says_which_token_is_pooled(
    text_cfg: dict[str, object], expected: list[int]
) -> None:
    ids = torch.tensor([[8, 5, 9, 0], [8, 9, 5, 0]])
    assert pooled_positions(ids, text_cfg).tolist() == expected


def test_a_prompt_that_is_too_long_is_reported_once_with_what_is_read(
    open_backbone: Open, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = open_backbone("vit")
    with caplog.at_level(logging.WARNING):
        backbone.encode_text([*PROMPTS, LONG])
    read = "a video of a person walking and walking and walking and walking and walking"
    assert [(c.prompt, c.read) for c in backbone.cut_prompts] == [(LONG, read)]
    assert [r.name for r in caplog.records] == ["actcli.models.tokens"]
    assert f"{backbone.spec.name} reads at most 16 tokens of a prompt; cut (1):" in caplog.text
    assert f'"{read}"' in caplog.text


def test_a_prompt_that_just_fits_is_not_reported(open_backbone: Open) -> None:
    backbone = open_backbone("vit")
    backbone.encode_text([LONG])
    backbone.encode_text([" ".join(["run"] * 14)])
    assert backbone.cut_prompts == ()


@pytest.mark.parametrize(
    ("file", "error", "sentence"),
    [
        (None, ModelError, "the tokenizer org/name is not in"),
        ("tokenizer.json", ResourceError, "its tokenizer needs the package transformers"),
    ],
)
def test_a_tokenizer_that_cannot_be_had_is_said(
    file: str | None,
    error: type[Exception],
    sentence: str,
    broken_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    config = broken_folder / "open_clip_config.json"
    config.write_text(
        config.read_text().replace('"heads"', '"hf_tokenizer_name": "org/name", "heads"')
    )
    if file:
        (broken_folder / file).touch()
    with pytest.raises(error, match=sentence):
        OpenClipBackbone(find_backbone(f"local-dir:{broken_folder}")).encode_text(["run"])


def save_word_tokenizer(folder: Path, length: int) -> None:
    """A tokenizer of Hugging Face in the shape of SigLIP's: words, an end token, padding."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "<unk>", "run", "a", "video", "of", "fast"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_max_length=length,
    )  # fmt: skip
    fast.save_pretrained(folder)


@torch.no_grad()
def test_a_hugging_face_tokenizer_is_that_of_open_clip_and_its_cuts_are_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("transformers", reason="needs transformers, which SigLIP's tokenizers do")
    import open_clip

    text = {**CONFIGS["siglip"]["text_cfg"], "hf_tokenizer_name": "org/name", "context_length": 64}
    folder = save_model(tmp_path, CONFIGS["siglip"] | {"text_cfg": text})
    save_word_tokenizer(folder, 64)
    backbone = OpenClipBackbone(find_backbone(f"local-dir:{folder}"))
    fits, too_long = " ".join(["run"] * 63), " ".join(["run"] * 64)
    prompts = ["run fast", "A video of: RUN!", fits, too_long]
    ids = open_clip.get_tokenizer(f"local-dir:{folder}")(prompts)
    expected = open_clip.create_model(f"local-dir:{folder}").eval().encode_text(ids)
    torch.testing.assert_close(backbone.encode_text(prompts), expected, rtol=0, atol=1e-5)
    assert [cut.read for cut in backbone.cut_prompts] == [fits]
    assert "reads at most 64 tokens of a prompt; cut (1)" in caplog.text
