"""`actcli models`, and `classify` with a model from a hub on loopback."""

from __future__ import annotations

import json
import math
import os
import pty
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.conftest import Cli
from tests.models.hub_server import (
    COMMIT,
    CONFIG,
    WEIGHTS,
    Faults,
    HubServer,
    dead_port,
    make_weights,
    tiny_repository,
)
from tests.models.tiny_models import CONFIGS, save_model

NAME = "hf-hub:org/tiny"
PAPER = "timm/vit_base_patch16_clip_224.openai"
HUB_VARIABLES = (
    "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH",
    "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_ETAG_TIMEOUT",
)  # fmt: skip


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A hub that the environment points to, with an empty cache."""
    for name in HUB_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    repositories = {"org/tiny": tiny_repository(), PAPER: {WEIGHTS: make_weights()}}
    with HubServer(repositories) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def snapshot(tmp_path: Path, repository: str = "org/tiny") -> Path:
    name = "models--" + repository.replace("/", "--")
    return tmp_path / "hf/hub" / name / "snapshots" / COMMIT


def test_pull_prints_the_folder_and_tells_the_rest_on_stderr(
    cli: Cli, hub: HubServer, tmp_path: Path
) -> None:
    done = cli("models", "pull", NAME)
    assert (done.code, done.out) == (0, f"{snapshot(tmp_path)}\n")
    first, last = done.err.splitlines()
    assert first.startswith(f"downloading {NAME}: ")
    assert first.endswith(f" from {hub.endpoint.removeprefix('http://')}")
    assert last.startswith("downloaded ")


def test_a_second_pull_asks_nobody_and_says_nothing(
    cli: Cli, hub: HubServer, tmp_path: Path
) -> None:
    cli("models", "pull", NAME)
    hub.requests.clear()
    done = cli("models", "pull", NAME)
    assert (done.code, done.out, done.err) == (0, f"{snapshot(tmp_path)}\n", "")
    assert hub.requests == []


def test_quiet_pulls_say_nothing_on_stderr(cli: Cli, hub: HubServer) -> None:
    assert cli("models", "pull", "-q", NAME).err == ""


def test_a_slow_pull_shows_a_bar_on_a_terminal(hub: HubServer) -> None:
    hub.repositories["org/tiny"] = tiny_repository(4 << 20)
    hub.faults = Faults(bytes_per_s=2 << 20)
    parent, child = pty.openpty()
    words = [sys.executable, "-m", "actcli", "models", "pull", NAME]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=child, text=True) as process:
        os.close(child)
        shown = b""
        try:
            while part := os.read(parent, 65536):
                shown += part
        except OSError:  # the other end is closed
            pass
    assert process.returncode == 0
    text = shown.decode()
    assert "4.19 MB from 127.0.0.1" in text
    assert "MB/s" in text
    assert text.count("/4.2 MB") > 5


def test_the_environment_says_where_and_by_whose_leave(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    done = cli("models", "pull", NAME)
    assert done.out.startswith(str(tmp_path / "elsewhere"))
    assert {request.token for request in hub.requests} == {"Bearer hf_secret"}


def test_a_saved_token_stays_away_from_other_hubs(cli: Cli, hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/token").write_text("hf_saved")
    cli("models", "pull", NAME)
    assert {request.token for request in hub.requests} == {None}


@pytest.mark.parametrize("by_flag", [True, False])
def test_offline_uses_what_is_here_and_nothing_else(
    by_flag: bool, cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not by_flag:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    flags = ["--offline"] if by_flag else []
    done = cli("models", "pull", NAME, *flags)
    assert done.code == 4
    assert "nothing is downloaded with --offline or HF_HUB_OFFLINE" in done.err
    assert hub.requests == []


def test_a_dead_network_ends_with_4_within_five_seconds(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{dead_port()}")
    start = time.monotonic()
    done = cli("models", "pull", "paper")
    assert time.monotonic() - start < 5
    assert done.code == 4
    assert "hint: check the network" in done.err


def test_a_timeout_that_is_no_number_is_a_usage_error(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "soon")
    assert cli("models", "pull", NAME).code == 2


def test_list_knows_what_is_here(cli: Cli, hub: HubServer, tmp_path: Path) -> None:
    cli("models", "pull", NAME)
    cli("models", "pull", "paper")
    records = {record["name"]: record for record in cli("models", "list").records}
    assert len(records) > 190
    paper, default = records["ViT-B-16/openai"], records["PE-Core-B-16/meta"]
    assert (paper["alias"], paper["downloaded"], paper["permissive"]) == ("paper", True, True)
    assert (default["downloaded"], default["num_bytes"]) == (False, 1790642180)
    assert (default["context_length"], default["input_px"]) == (32, 224)
    assert (default["resize"], default["licence"]) == ("squash", "apache-2.0")
    assert records[NAME]["folder"] == str(snapshot(tmp_path))


def test_list_is_narrowed_by_text_and_by_what_is_here(cli: Cli, hub: HubServer) -> None:
    cli("models", "pull", "paper")
    names = [record["name"] for record in cli("models", "list", "vit-b-16/").records]
    assert names[0] == "ViT-B-16/openai"
    assert all(name.startswith("ViT-B-16/") for name in names)
    here = [record["name"] for record in cli("models", "list", "--downloaded").records]
    assert here == ["ViT-B-16/openai", "ViT-B-16-quickgelu/openai"]


def test_list_as_a_table_marks_restrictive_licences(cli: Cli, hub: HubServer) -> None:
    done = cli("models", "list", "ViT-B-16/", "--format", "table")
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    assert "apple-ascl !" in rows["ViT-B-16/dfn2b"]
    assert "!" not in rows["ViT-B-16/openai"]
    assert "(paper)" in rows["ViT-B-16/openai"]


def test_show_says_what_is_known_of_a_model(cli: Cli, hub: HubServer) -> None:
    shown = cli("models", "show", "paper", "--format", "table").out
    facts = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert facts["model"] == "ViT-B-16/openai"
    assert facts["activation"] == "quick_gelu"
    assert facts["input"] == "224 px, shortest, bicubic"
    assert facts["weights"] == "~598 MB"
    assert facts["folder"] == "not downloaded"
    assert hub.requests == []


def test_show_tells_why_a_model_cannot_be_used(cli: Cli, hub: HubServer) -> None:
    [record] = cli("models", "show", "nllb-clip-base/v1").records
    assert "text towers of Hugging Face are not supported" in record["refused"]


def test_path_prints_the_folder_of_what_is_here(cli: Cli, hub: HubServer, tmp_path: Path) -> None:
    done = cli("models", "path", NAME)
    assert (done.code, done.out) == (4, "")
    assert f"hint: actcli models pull {NAME}" in done.err
    cli("models", "pull", NAME)
    assert cli("models", "path", NAME).out == f"{snapshot(tmp_path)}\n"


def test_the_folder_of_a_download_is_a_local_model(cli: Cli, hub: HubServer) -> None:
    folder = cli("models", "pull", NAME).out.strip()
    [record] = cli("models", "show", f"local-dir:{folder}").records
    assert record["embed_dim"] == 16


def test_rm_asks_first_and_where_nobody_can_answer_it_needs_yes(
    cli: Cli, hub: HubServer, tmp_path: Path
) -> None:
    cli("models", "pull", NAME)
    refused = cli("models", "rm", NAME)
    assert refused.code == 2
    assert f"hint: actcli models rm --yes {NAME}" in refused.err
    assert (snapshot(tmp_path) / WEIGHTS).exists()
    done = cli("models", "rm", NAME, "--yes")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("removed ")
    assert not snapshot(tmp_path).parents[1].exists()
    assert cli("models", "rm", NAME, "--yes").code == 4


def test_rm_leaves_copies_of_the_same_commit_alone(
    cli: Cli, hub: HubServer, tmp_path: Path
) -> None:
    copies = [f"org/copy{number}" for number in range(4)]
    for repository in (*copies, "org/tiny"):
        hub.repositories[repository] = tiny_repository()
        cli("models", "pull", f"hf-hub:{repository}")
    assert "removed" in cli("models", "rm", NAME, "--yes").err
    assert not snapshot(tmp_path).exists()
    assert all((snapshot(tmp_path, copy) / WEIGHTS).exists() for copy in copies)


def test_rm_takes_away_what_an_interrupted_download_left(
    cli: Cli, hub: HubServer, tmp_path: Path
) -> None:
    blobs = snapshot(tmp_path).parents[1] / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "0123.4567.incomplete").write_bytes(bytes(3000))
    assert "removed 3 kB" in cli("models", "rm", NAME, "--yes").err
    assert not blobs.exists()


@pytest.mark.parametrize("name", ["demo", "local-dir:/tmp"])
def test_rm_never_removes_what_was_not_downloaded(name: str, cli: Cli, hub: HubServer) -> None:
    done = cli("models", "rm", name, "--yes")
    assert done.code == 2
    assert "not a download" in done.err


@pytest.mark.parametrize("command", [["models", "pull"], ["classify", "x.mp4", "-l", "a,b", "-m"]])
def test_a_licence_that_is_not_required_is_refused(
    command: list[str], cli: Cli, hub: HubServer
) -> None:
    done = cli(*command, "ViT-B-16/metaclip_400m", "--require-license", "MIT,permissive")
    assert done.code == 4
    assert "got cc-by-nc-4.0, expected mit or permissive" in done.err
    assert hub.requests == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["list", "--format", "xml"], "expected auto, table, jsonl"),
        (["pull", NAME, "--require-license", ","], "names no licence"),
    ],
)
def test_wrong_use_is_exit_2(args: list[str], said: str, cli: Cli, hub: HubServer) -> None:
    done = cli("models", *args)
    assert done.code == 2
    assert said in done.err


def test_an_unknown_model_is_exit_4_with_the_close_names(cli: Cli, hub: HubServer) -> None:
    done = cli("models", "pull", "ViT-B-16/opnai")
    assert done.code == 4
    assert "type --model ViT-B-16/openai" in done.err


def test_classify_downloads_once_and_then_works_offline(
    cli: Cli, hub: HubServer, videos: Path, tmp_path: Path
) -> None:
    from tests.models.tiny_models import BASE, save_model

    folder = save_model(tmp_path / "model", BASE)
    hub.repositories["org/real"] = {
        name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)
    }
    words = ["classify", videos / "run.mp4", "-l", "run,jump", "-m", "hf-hub:org/real"]
    first = cli(*words, "-o", tmp_path / "first.jsonl")
    assert first.code == 0, first.err
    assert "downloading hf-hub:org/real: " in first.err
    hub.requests.clear()
    second = cli(*words, "--offline", "-o", tmp_path / "second.jsonl")
    assert (second.code, "downloading" in second.err) == (0, False)
    assert hub.requests == []
    records = [
        json.loads((tmp_path / f"{name}.jsonl").read_text()) | {"cached": None}
        for name in ("first", "second")
    ]
    assert records[0] == records[1]
    run = json.loads((tmp_path / "first.run.json").read_text())
    assert run["notes"]["model_commit"] == COMMIT


def test_a_dry_run_downloads_nothing(cli: Cli, hub: HubServer, videos: Path) -> None:
    done = cli("classify", videos / "run.mp4", "-l", "run,jump", "-m", "paper", "--dry-run")
    assert done.code == 0
    assert done.out == f"{videos / 'run.mp4'}\n"
    assert "would first download ViT-B-16/openai (~598 MB)" in done.err
    assert "would classify 1 videos against 2 labels" in done.err
    assert hub.requests == []


def test_an_import_is_a_model_to_classify_with(cli: Cli, videos: Path, tmp_path: Path) -> None:
    source = save_model(tmp_path / "source", CONFIGS["vit"])
    state = load_file(source / "open_clip_model.safetensors")
    (source / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, source / "a.pt")
    words = ["classify", str(videos / "run.mp4"), "-l", "run,jump", "--no-cache", "-m"]
    refused = cli(*words, f"local-dir:{source}")
    assert refused.code == 4
    command = next(line for line in refused.err.splitlines() if "actcli models import" in line)
    done = cli(*shlex.split(command.partition("actcli ")[2]))
    assert (done.code, done.out) == (0, f"{source}-imported\n")
    [record] = cli(*words, f"local-dir:{source}-imported").records
    assert record["ok"]


def test_scores_of_a_sigmoid_model_do_not_depend_on_other_labels(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    folder = save_model(tmp_path / "siglip", CONFIGS["siglip"])
    scores = []
    for labels in ("run", "run,jump", "wave,run,jump"):
        [record] = cli(
            "classify", str(videos / "run.mp4"), "-l", labels, "-m", f"local-dir:{folder}",
            "--top", "3", "--no-cache",
        ).records  # fmt: skip
        assert record["score_kind"] == "sigmoid"
        [found] = [row for row in record["top"] if row["label"] == "run"]
        scores.append(found["score"])
    assert scores[0] == pytest.approx(scores[1], rel=1e-6) == pytest.approx(scores[2], rel=1e-6)
    logit = math.exp(load_file(folder / "open_clip_model.safetensors")["logit_scale"].item())
    logit = logit * found["similarity"] - 10
    assert scores[0] == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-3)
