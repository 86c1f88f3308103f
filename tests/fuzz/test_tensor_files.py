"""Checkpoints, states of runs and foreign weights: whole, or refused before memory is taken."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from actcli.checkpoint import read_checkpoint, read_info, write_checkpoint
from actcli.checkpoint_info import BackboneRef, CheckpointInfo, SupportClip
from actcli.config import SamplingConfig
from actcli.errors import ActcliError
from actcli.models.calibrated import parse
from actcli.models.pickled import read_tensors
from actcli.models.tensor_file import digest_of, load_tensors
from actcli.models.weight_file import read_header
from actcli.tasks.supports import read_supports
from actcli.train.events import Validation
from actcli.train.state import Progress, load_state, save_state
from actcli.types import Preprocessing
from tests.fuzz.making import (
    DEEP,
    FACTOR,
    bounded,
    changed_json,
    edited,
    examples,
    is_error,
    odd_value,
    outcome,
)
from tests.fuzz.test_lists import CALIBRATION

INFO = CheckpointInfo(
    method="clip", config={"text_weight": 0.5},
    backbone=BackboneRef(name="fake", digest="f" * 64, activation="gelu", embed_dim=4),
    sampling=SamplingConfig(num_frames=2), transform=Preprocessing(32, "squash"),
    templates=("a {}",), labels=("run", "jump"), prompts=(("a run",), ("a jump",)),
    support=tuple(SupportClip(input=f"{n}.mp4", label=n) for n in ("run", "jump")),
    calibration=CALIBRATION,
)  # fmt: skip
TENSORS = {
    "support.values": torch.arange(16.0).reshape(2, 2, 4),
    "support.targets": torch.tensor([0, 1]),
    "text.values": torch.ones(2, 1, 4),
}
PROGRESS = Progress(7, Validation(0.5, 1.25, 20), 1, False, 2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("valid") / "a.safetensors"
    write_checkpoint(path, INFO, TENSORS)
    return path.read_bytes()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("valid") / "state.safetensors"
    save_state(path, {"method/w": torch.ones(3), "random/cpu": torch.get_rng_state()}, PROGRESS)
    return path.read_bytes()


@pytest.fixture
def at(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        (tmp_path / "x.safetensors").write_bytes(content)
        return tmp_path / "x.safetensors"

    return write


At = Callable[[bytes], Path]


def read_few_shot(path: Path) -> object:
    info, tensors = read_checkpoint(path)
    parse(info.calibration or {}, str(path))
    return read_supports(info, tensors)


READERS: dict[str, Callable[[Path], Any]] = {
    "info": read_info,
    "checkpoint": read_few_shot,
    "state": load_state,
    "weights": read_tensors,
    "header": read_header,
}


def read_by_all(path: Path) -> None:
    for read in READERS.values():
        outcome(lambda: read(path))  # noqa: B023


def test_the_valid_ones_are_read(at: At, checkpoint: bytes, state: bytes) -> None:
    assert not is_error(outcome(lambda: read_few_shot(at(checkpoint))))
    assert load_state(at(state))[1] == PROGRESS


@pytest.mark.parametrize("name", ["checkpoint", "state"])
def test_a_flipped_bit_is_refused_wherever_it_is(
    at: At, request: pytest.FixtureRequest, name: str
) -> None:
    content = request.getfixturevalue(name)
    places = sorted({*range(0, len(content), 7 if FACTOR == 1 else 1), *range(8), len(content) - 1})
    whole = READERS[name](at(content))
    for i in places:
        changed = bytearray(content)
        changed[i] ^= 1 << i % 8
        path = at(bytes(changed))
        found = outcome(lambda: READERS[name](path))  # noqa: B023
        assert is_error(found) or repr(found) == repr(whole), i


@pytest.mark.parametrize("name", ["checkpoint", "state"])
def test_every_length_but_the_whole_is_refused(
    at: At, request: pytest.FixtureRequest, name: str
) -> None:
    content = request.getfixturevalue(name)
    size = int.from_bytes(content[:8], "little")
    for end in {*range(0, 8 + size, 97), 7, 8, 9, 7 + size, 8 + size, 9 + size, len(content) - 1}:
        path = at(content[:end])
        assert is_error(outcome(lambda: READERS[name](path))), end  # noqa: B023
    path = at(content + b"\0")
    assert is_error(outcome(lambda: READERS[name](path)))


def raw(header: object, data: bytes = bytes(64), size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def one(shape: Any, offsets: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


FORGED = {
    "a header of 2^63": raw({}, size=2**63),
    "a header of 2^64 - 1": raw({}, size=2**64 - 1),
    "a header of 90 MB": raw({}, size=90_000_000),
    "a shape whose product overflows": raw(one([2**32, 2**32], [0, 64])),
    "a shape of 10^12": raw(one([10**12], [0, 64])),
    "a shape and range of 10^12": raw(one([10**12], [0, 4 * 10**12])),
    "a shape below zero": raw(one([-16], [0, 64])),
    "a shape of 10^400": raw(one([10**400], [0, 64])),
    "a shape without end": raw(one([float("inf")], [0, 64])),
    "a shape of NaN": raw(one([float("nan")], [0, 64])),
    "a shape of words": raw(one(["x"], [0, 64])),
    "a shape of fractions": raw(one([16.5], [0, 64])),
    "a shape that is none": raw(one(None, [0, 64])),
    "many axes": raw(one([1] * 5000 + [16], [0, 64])),
    "a range without end": raw(one([16], [0, float("inf")])),
    "a range backwards": raw(one([16], [64, 0])),
    "a range below zero": raw(one([16], [-64, 0])),
    "a range of one": raw(one([16], [0])),
    "ranges that overlap": raw(one([16], [0, 64]) | {"v": one([16], [0, 64])["w"]}),
    "a hole": raw({"w": one([8], [0, 32])["w"], "v": one([4], [48, 64])["w"]}),
    "another type of the same size": raw(one([16], [0, 64], "I32")),
    "a type of another size": raw(one([16], [0, 64], "F64")),
    "a type that is none": raw(one([16], [0, 64], "X7")),
    "a type that is no text": raw(one([16], [0, 64], 7)),
    "metadata that is a list": raw(one([16], [0, 64]) | {"__metadata__": [1]}),
    "metadata of numbers": raw(one([16], [0, 64]) | {"__metadata__": {"actcli": 1}}),
    "metadata of metadata": raw(
        one([16], [0, 64]) | {"__metadata__": {"actcli": '{"schema":[]}'}}
    ),
    "a name twice": raw(b'{"w":{"dtype":"F32","shape":[16],"data_offsets":[0,64]},'
                        b'"w":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}'),
    "a list": raw([]), "a number": raw(7), "no JSON": raw(b"{nonsense"),
    "half a character": raw({"\ud800": one([16], [0, 64])["w"]}),
    "nothing": b"", "seven bytes": b"1234567", "a zip": b"PK\x03\x04" + bytes(100),
    **{f"JSON {len(text)} deep": raw(b'{"a":' + text.encode() + b"}") for text in DEEP},
    **{f"metadata {len(text)} deep": raw(
        {"__metadata__": {"actcli": text, "actcli.run": text}}, b""
    ) for text in DEEP},
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_what_is_forged_is_refused_in_a_sentence(at: At, name: str) -> None:
    read_by_all(at(FORGED[name]))


@pytest.mark.parametrize("dtype", ["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4",
                                   "F6_E2M3", "I16", "U16", "F16", "BF16", "I32", "U32", "F32",
                                   "C64", "F64", "I64", "U64"])  # fmt: skip
def test_every_type_of_the_format_is_read_and_digested_or_refused(at: At, dtype: str) -> None:
    for count in (128, 64, 32, 16, 8):
        path = at(raw(one([count], [0, 64], dtype)))
        found = outcome(lambda: load_tensors(path))  # noqa: B023
        if not isinstance(found, ActcliError):
            assert len(digest_of(found, "")) == 64


@examples(150)
@given(st.data())
def test_bytes_changed(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: bytes, state: bytes, data: st.DataObject
) -> None:
    content = data.draw(edited(data.draw(st.sampled_from([checkpoint, state]))))
    path = tmp_path_factory.mktemp("edited") / "x.safetensors"
    path.write_bytes(content)
    read_by_all(path)


def resealed(content: bytes, change: Callable[[dict[str, Any]], Any], folder: Path) -> Path:
    """A checkpoint whose header says something else, under a digest that fits it."""
    path = folder / "x.safetensors"
    path.write_bytes(content)
    tensors = load_file(path)
    stated = change(json.loads(read_header(path).metadata["actcli"]))
    if isinstance(stated, dict):
        stated.pop("digest", None)
        about = json.dumps(stated, sort_keys=True, separators=(",", ":"))
        stated["digest"] = digest_of(tensors, about)
    save_file(tensors, path, {"actcli": json.dumps(stated)})
    return path


STATED = json.loads(json.dumps(INFO.stated()))


@examples(120)
@given(changed_json(STATED))
def test_headers_with_other_types_under_a_digest_that_fits(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: bytes, stated: Any
) -> None:
    folder = tmp_path_factory.mktemp("resealed")
    read_by_all(resealed(checkpoint, lambda _: stated, folder))


STATE = {"schema": "actcli.training/1", "step": 7, "best": {"top1": 0.5, "loss": 1.0, "clips": 3},
         "epochs_since_best": 1, "is_done": False, "epochs": 2}  # fmt: skip


@examples(80)
@given(st.one_of(changed_json(STATE), odd_value))
def test_states_with_other_types_under_a_digest_that_fits(
    tmp_path_factory: pytest.TempPathFactory, stated: Any
) -> None:
    path = tmp_path_factory.mktemp("state") / "x.safetensors"
    tensors, text = {"method/w": torch.ones(3)}, json.dumps(stated)
    save_file(tensors, path, {"actcli.run": text, "digest": digest_of(tensors, text)})
    found = outcome(lambda: load_state(path))
    if isinstance(found, tuple):
        assert isinstance(found[1].step, int)
        assert found[1].step >= 0
        assert found[1].best is None or 0 <= found[1].best.top1 <= 1


class Harmful:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("it ran",)


def foreign(path: Path, content: Any, *, zipped: bool = True) -> bytes:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    path = tmp_path_factory.mktemp("weights") / "w.pt"
    state = {"w": torch.ones(4, 3), "n": {"b": torch.zeros(2)}}
    return {zipped: foreign(path, state, zipped=zipped) for zipped in (True, False)}


@pytest.mark.parametrize("zipped", [True, False])
def test_foreign_weights_are_read_and_never_run(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "w.pt"
    foreign(path, {"state_dict": {"module.w": torch.ones(2)}}, zipped=zipped)
    assert read_tensors(path).keys() == {"w"}
    foreign(path, {"w": Harmful()}, zipped=zipped)
    assert is_error(outcome(lambda: read_tensors(path)))
    path.write_bytes(pickle.dumps({"w": Harmful()}))
    assert is_error(outcome(lambda: read_tensors(path)))


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_that_claim_more_than_they_hold_are_refused(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "w.pt"
    foreign(path, {"w": torch.ones(1).expand(10**12)}, zipped=zipped)
    assert is_error(outcome(lambda: read_tensors(path)))
    inside: dict[str, Any] = {"w": torch.ones(2)}
    inside["model"] = inside
    foreign(path, inside, zipped=zipped)
    assert is_error(outcome(lambda: read_tensors(path)))
    foreign(path, {"module." * 50_000 + "w": torch.ones(2)}, zipped=zipped)
    outcome(lambda: read_tensors(path))


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(50 << 20))
    assert is_error(outcome(lambda: read_tensors(path)))


@pytest.mark.parametrize("zipped", [True, False])
@examples(150)
@given(data=st.data())
def test_foreign_weights_with_bytes_changed(
    tmp_path_factory: pytest.TempPathFactory,
    weights: dict[bool, bytes],
    zipped: bool,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("foreign") / "w.pt"
    path.write_bytes(data.draw(edited(weights[zipped])))
    outcome(lambda: read_tensors(path))


@examples(100)
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name, start in (("x.pt", b""), ("y.pt", b"PK\x03\x04"), ("z.pt", b"\x80\x02")):
        (folder / name).write_bytes(start + content)
        outcome(lambda: read_tensors(folder / name))  # noqa: B023
    (folder / "x.safetensors").write_bytes(raw(content))
    read_by_all(folder / "x.safetensors")


def test_a_file_is_not_copied_while_it_is_checked(at: At) -> None:
    size = 200 << 20
    path = at(raw(one([size // 4], [0, size]), b""))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)
    with bounded(more_bytes=2 * size + (64 << 20)):
        assert read_header(path).shapes == {"w": (size // 4,)}
        digest_of(load_tensors(path), "")
