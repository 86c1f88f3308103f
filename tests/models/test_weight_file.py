"""Weight files that are absent, ambiguous, cut or of another kind each have their own sentence."""

import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from actcli.errors import ModelError
from actcli.models.backbone import find_backbone
from actcli.models.weight_file import find_weights, read_shapes

NAME = "open_clip_model.safetensors"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(())}, tmp_path / NAME, {"by": "us"})
    return tmp_path / NAME


def test_shapes_are_read_from_the_header(weights: Path) -> None:
    assert read_shapes(weights) == {"a": (2, 3), "b": ()}


def test_the_usual_name_wins_over_others(weights: Path) -> None:
    (weights.parent / "another.safetensors").touch()
    assert find_weights(weights.parent) == weights


def test_two_unusual_names_are_ambiguous(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r'which weight file\? .found "a.safe.*", "b.safe'):
        find_weights(tmp_path)


def test_pickled_weights_are_refused_with_a_command_that_converts_them(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    torch.save({"a": torch.ones(2, 3)}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match="only pickled weights") as caught:
        find_weights(folder)
    _, _, command = str(caught.value.hint).partition(": ")
    assert shlex.split(command) == [
        "actcli", "models", "import", f"{folder}/open_clip_pytorch_model.bin",
        "-o", f"{folder}-imported",
    ]  # fmt: skip


def test_a_folder_without_weights_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"no weights .expected {NAME}"):
        find_weights(tmp_path)


def test_a_pointer_of_git_lfs_is_recognised(weights: Path) -> None:
    weights.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 605143284\n"
    )
    with pytest.raises(ModelError, match="a Git LFS pointer, not the weights") as caught:
        read_shapes(weights)
    assert "lfs pull" in str(caught.value.hint)


@pytest.mark.parametrize("kept", [0, 5, 8, 40, -1])
def test_a_truncated_file_says_how_much_is_there(kept: int, weights: Path) -> None:
    whole = weights.read_bytes()
    weights.write_bytes(whole[:kept])
    with pytest.raises(ModelError, match=r"truncated \(got \d+ bytes, expected (at least )?\d+\)"):
        read_shapes(weights)


def test_bytes_beyond_the_end_are_damage(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(ModelError, match="damaged"):
        read_shapes(weights)


def test_a_zip_archive_is_no_safetensors_file(weights: Path) -> None:
    torch.save({"a": torch.ones(2)}, weights)
    with pytest.raises(ModelError, match="zip archive"):
        read_shapes(weights)


@pytest.mark.parametrize(
    "content",
    [
        b"<html><body>not found</body></html>",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x02\0\0\0\0\0\0\0{]",
        b'\x08\0\0\0\0\0\0\0{"a":[]}',
    ],
)
def test_a_file_of_another_kind_is_refused(content: bytes, weights: Path) -> None:
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="not a safetensors file"):
        read_shapes(weights)


def test_weights_of_another_kind_of_model_are_refused(broken_folder: Path) -> None:
    save_file({"fc.weight": torch.ones(2)}, broken_folder / NAME)
    with pytest.raises(ModelError, match="it has no logit_scale"):
        find_backbone(f"local-dir:{broken_folder}")
