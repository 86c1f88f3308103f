"""Names of models: what they resolve to, and what is said of those that resolve to nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from actcli.errors import ModelError
from actcli.models.backbone import BackboneSpec, find_backbone

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


def find(folder: Path) -> BackboneSpec:
    return find_backbone(f"local-dir:{folder}")


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"].update(changes)
    (folder / CONFIG).write_text(json.dumps(config))


def test_a_folder_says_all_that_its_config_says(folder_of: Callable[[str], Path]) -> None:
    spec = find(folder_of("vit"))
    assert spec.name == f"local-dir:{folder_of('vit')}"
    assert spec.weights_path.name == WEIGHTS
    assert (spec.embed_dim, spec.context_length, spec.preprocessing.size_px) == (16, 16, 32)
    assert (spec.preprocessing.mean, spec.preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (spec.preprocessing.resize, spec.preprocessing.interpolation) == ("shortest", "bicubic")
    assert (spec.score_kind, spec.text_is_causal, spec.activation) == ("softmax", True, "gelu")
    assert (spec.family, spec.licence, spec.tokenizer_files) == ("open_clip", "unknown", ())


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [
        ("siglip", "score_kind", "sigmoid"),
        ("siglip", "text_is_causal", False),
        ("quick", "activation", "quick_gelu"),
    ],
)
def test_a_config_decides(
    family: str, field: str, value: object, folder_of: Callable[[str], Path]
) -> None:
    assert getattr(find(folder_of(family)), field) == value


def test_a_home_folder_is_expanded(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder_of("vit").parent))
    assert find_backbone("local-dir:~/vit").folder == folder_of("vit")


def test_the_demo_model_is_a_backbone_like_any_other() -> None:
    spec = find_backbone("demo")
    assert (spec.name, spec.licence, spec.score_kind) == ("demo", "apache-2.0", "softmax")


def test_a_name_of_its_own_is_enough_for_a_single_weight_file(broken_folder: Path) -> None:
    (broken_folder / WEIGHTS).rename(broken_folder / "mine.safetensors")
    assert find(broken_folder).weights_path.name == "mine.safetensors"


def test_the_digest_depends_on_weights_and_config_only(broken_folder: Path) -> None:
    spec = find(broken_folder)
    first = spec.digest("aa")
    text = (broken_folder / CONFIG).read_text()
    (broken_folder / CONFIG).write_text(json.dumps(json.loads(text), indent=4, sort_keys=True))
    assert find(broken_folder).digest("aa") == first
    assert spec.digest("bb") != first
    edit_config(broken_folder, quick_gelu=True)
    assert find(broken_folder).digest("aa") != first


def test_the_digest_depends_on_tokenizer_files(broken_folder: Path) -> None:
    text_cfg = json.loads((broken_folder / CONFIG).read_text())["model_cfg"]["text_cfg"]
    edit_config(broken_folder, text_cfg={**text_cfg, "hf_tokenizer_name": "org/name"})
    (broken_folder / "tokenizer.json").write_text("{}")
    first = find(broken_folder).digest("aa")
    (broken_folder / "tokenizer.json").write_text("{ }")
    assert find(broken_folder).digest("aa") != first


def test_finding_a_model_and_its_digest_imports_neither_torch_nor_open_clip(
    folder_of: Callable[[str], Path],
) -> None:
    code = (
        "import sys; from actcli.models.backbone import find_backbone\n"
        f"find_backbone('local-dir:{folder_of('vit')}').digest('00')\n"
        "assert not {'torch', 'open_clip', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_lists_the_close_ones() -> None:
    with pytest.raises(ModelError, match=r'unknown model .got "defalt"') as caught:
        find_backbone("defalt")
    assert '"default"' in str(caught.value.hint)


def test_a_folder_without_its_prefix_is_told_the_prefix(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs its prefix") as caught:
        find_backbone(str(tmp_path))
    assert caught.value.hint == f"type --model local-dir:{tmp_path}"


def test_a_checkpoint_file_is_refused() -> None:
    with pytest.raises(ModelError, match="a checkpoint, not a model by name"):
        find_backbone("moves.safetensors")


@pytest.mark.parametrize("name", ["local-dir:", "local-dir:/no/such/folder", "local-dir:~nobody/x"])
def test_a_missing_folder_is_an_error_of_its_own(name: str) -> None:
    with pytest.raises(ModelError, match=r"no folder given|no such folder"):
        find_backbone(name)


def test_a_file_is_no_folder(broken_folder: Path) -> None:
    with pytest.raises(ModelError, match="is not a folder"):
        find(broken_folder / CONFIG)


def test_a_missing_config_names_what_was_found(broken_folder: Path) -> None:
    (broken_folder / CONFIG).rename(broken_folder / "config.json")
    with pytest.raises(ModelError, match=rf'no {CONFIG} \(found "config.json", "{WEIGHTS}"\)'):
        find(broken_folder)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_a_config_that_is_not_json_is_refused(content: bytes, broken_folder: Path) -> None:
    (broken_folder / CONFIG).write_bytes(content)
    with pytest.raises(ModelError, match="not JSON"):
        find(broken_folder)


@pytest.mark.parametrize("content", ["[]", "{}", '{"model_cfg": {"embed_dim": 4}}'])
def test_the_config_of_something_else_is_refused(content: str, broken_folder: Path) -> None:
    (broken_folder / CONFIG).write_text(content)
    with pytest.raises(ModelError, match="not the config of an open_clip model"):
        find(broken_folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text_cfg": {"pool_type": "none"}}, "gives no embedding of a prompt"),
        ({"text_cfg": {"hf_model_name": "roberta"}}, "got roberta, expected one of open_clip's"),
        ({"text_cfg": {"context_length": "x"}}, "a setting is of the wrong kind"),
        ({"vision_cfg": {"image_size": [32, 64]}}, "preprocessing is not supported"),
    ],
)
def test_a_config_that_we_cannot_honour_is_refused(
    change: dict[str, object], sentence: str, broken_folder: Path
) -> None:
    edit_config(broken_folder, **change)
    with pytest.raises(ModelError, match=sentence):
        find(broken_folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_config_that_may_not_be_read_is_refused(broken_folder: Path) -> None:
    (broken_folder / CONFIG).chmod(0)
    with pytest.raises(ModelError, match="cannot be read"):
        find(broken_folder)
