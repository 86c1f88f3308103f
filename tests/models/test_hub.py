"""The hub path against a real server on loopback: downloads, faults, and when nobody is asked."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actcli.errors import ActcliError, ModelError, ResourceError
from actcli.models.backbone import BackboneSpec
from actcli.models.hub_cache import HubSettings, repository_folder, snapshots
from actcli.models.hub_errors import Wanted, explain
from actcli.models.resolve import resolve_backbone
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

NAME = "hf-hub:org/tiny"
PAPER = "timm/vit_base_patch16_clip_224.openai"


class Report:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int | None, str]] = []
        self.steps: list[int] = []
        self.num_ended = 0

    def begin(self, name: str, num_bytes: int | None, source: str) -> None:
        self.begun.append((name, num_bytes, source))

    def advance(self, num_bytes: int) -> None:
        self.steps.append(num_bytes)

    def end(self) -> None:
        self.num_ended += 1


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({"org/tiny": tiny_repository(), PAPER: {WEIGHTS: make_weights()}}) as server:
        yield server


@pytest.fixture
def settings(hub: HubServer, tmp_path: Path) -> HubSettings:
    return HubSettings(tmp_path / "hub", endpoint=hub.endpoint)


def resolve(settings: HubSettings, name: str = NAME, **options: object) -> BackboneSpec:
    return resolve_backbone(name, settings, **options)  # type: ignore[arg-type]


def refusal(settings: HubSettings, name: str = NAME, **options: object) -> ActcliError:
    with pytest.raises(ActcliError) as caught:
        resolve(settings, name, **options)
    assert caught.value.hint
    return caught.value


def kept_files(settings: HubSettings) -> set[str]:
    """Names of everything with content in the cache, the configs apart."""
    blobs = settings.cache_dir.glob("models--*/blobs/*")
    return {path.name for path in blobs if path.stat().st_size != len(tiny_repository()[CONFIG])}


def test_the_first_run_downloads_and_the_second_asks_nobody(
    hub: HubServer, settings: HubSettings
) -> None:
    first = resolve(settings)
    assert hub.transfers() == [CONFIG, WEIGHTS]
    hub.requests.clear()
    assert resolve(settings) == first
    assert resolve(replace(settings, offline=True)) == first
    assert hub.requests == []


def test_a_download_says_where_it_comes_from(hub: HubServer, settings: HubSettings) -> None:
    spec = resolve(settings)
    content = hub.repositories["org/tiny"][WEIGHTS]
    assert (spec.name, spec.commit, spec.weights_path.read_bytes()) == (NAME, COMMIT, content)
    assert (spec.embed_dim, spec.preprocessing.size_px, spec.context_length) == (16, 32, 16)
    assert spec.promised_sha256 == spec.weights_path.resolve().name


def test_a_download_reports_its_size_first_and_then_what_arrives(
    hub: HubServer, settings: HubSettings
) -> None:
    report = Report()
    size = len(hub.repositories["org/tiny"][WEIGHTS])
    resolve(settings, report=report)
    assert report.begun == [(NAME, size, hub.endpoint.removeprefix("http://"))]
    assert (sum(report.steps), report.num_ended) == (size, 1)


def test_a_slow_hub_shows_progress(hub: HubServer, settings: HubSettings) -> None:
    hub.repositories["org/tiny"] = tiny_repository(5 << 20)
    hub.faults = Faults(bytes_per_s=8 << 20)
    report = Report()
    resolve(settings, report=report)
    assert len(report.steps) >= 5


def test_what_was_downloaded_is_where_other_programs_look(settings: HubSettings) -> None:
    from huggingface_hub import try_to_load_from_cache

    spec = resolve(settings)
    found = try_to_load_from_cache("org/tiny", WEIGHTS, cache_dir=settings.cache_dir)
    assert found == str(spec.weights_path)


def test_what_is_here_needs_neither_the_client_nor_open_clip(settings: HubSettings) -> None:
    resolve(settings)
    code = (
        "import sys; from pathlib import Path\n"
        "from actcli.models.hub_cache import HubSettings\n"
        "from actcli.models.resolve import resolve_backbone\n"
        f"s = HubSettings(Path({str(settings.cache_dir)!r}), offline=True)\n"
        f"resolve_backbone({NAME!r}, s)\n"
        "assert not {'torch', 'open_clip', 'numpy', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_older_commit_that_is_whole_is_used(hub: HubServer, settings: HubSettings) -> None:
    resolve(settings)
    folder = snapshots(settings.cache_dir, "org/tiny")[0].parents[1]
    (folder / "refs/main").write_text("f" * 40)
    (folder / "snapshots" / ("f" * 40)).mkdir()
    hub.requests.clear()
    assert resolve(settings).commit == COMMIT
    assert hub.requests == []


def test_a_flipped_bit_is_refused_and_the_file_removed(
    hub: HubServer, settings: HubSettings
) -> None:
    hub.faults = Faults(flip=True)
    assert "was damaged on its way and is removed" in refusal(settings).message
    assert kept_files(settings) == set()
    hub.faults = Faults()
    assert resolve(settings).weights_path.is_file()


def test_weights_that_changed_since_are_refused_by_their_digest(settings: HubSettings) -> None:
    spec = resolve(settings)
    with pytest.raises(ModelError, match="is damaged") as caught:
        spec.digest("0" * 64)
    assert "actcli models rm" in str(caught.value.hint)


@pytest.mark.parametrize("faults", [Faults(cuts=1), Faults(resets=1)])
def test_a_transfer_that_breaks_off_is_repeated(
    faults: Faults, hub: HubServer, settings: HubSettings
) -> None:
    hub.repositories["org/tiny"] = tiny_repository(3 << 20)
    hub.faults = faults
    spec = resolve(settings)
    assert spec.weights_path.read_bytes() == hub.repositories["org/tiny"][WEIGHTS]
    assert hub.transfers().count(WEIGHTS) == 2


def test_transfers_that_always_break_off_end_with_a_sentence(
    hub: HubServer, settings: HubSettings
) -> None:
    hub.repositories["org/tiny"] = tiny_repository(3 << 20)
    hub.faults = Faults(resets=99)
    assert "broke off, each time it was tried" in refusal(settings).message
    assert kept_files(settings) == set()


@pytest.mark.parametrize(
    ("faults", "sentence", "hint"),
    [
        (Faults(status=401, code="RepoNotFound"), "or not for everybody", "export HF_TOKEN="),
        (Faults(status=401), "or not for everybody|wants a token", "export HF_TOKEN="),
        (Faults(status=403, code="GatedRepo"), "wants its terms accepted", "accept them at http"),
        (Faults(status=403), r"does not let us read org/tiny \(403\)", "export HF_TOKEN="),
        (Faults(status=429), "too many requests", "wait some minutes"),
        (Faults(status=500), r"has trouble of its own \(500\)", "try again later"),
        (Faults(status=503), r"has trouble of its own \(503\)", "try again later"),
        (Faults(status=404, code="RevisionNotFound"), "there is nothing in org/tiny yet", "list"),
        (Faults(status=404), "does not answer as a model hub does", "check HF_ENDPOINT"),
        (Faults(no_commit=True), "does not answer as a model hub does", "check HF_ENDPOINT"),
    ],
)
def test_each_refusal_of_the_hub_has_its_own_sentence(
    faults: Faults, sentence: str, hint: str, hub: HubServer, settings: HubSettings
) -> None:
    hub.faults = faults
    with pytest.raises(ModelError, match=sentence) as caught:
        resolve(settings)
    assert hint in str(caught.value.hint)


def test_a_refused_token_is_told_from_a_missing_one(hub: HubServer, settings: HubSettings) -> None:
    hub.faults = Faults(status=401, code="InvalidCredentials")
    with_token = replace(settings, token="hf_wrong")
    assert "hf_wrong" not in repr(with_token) + str(refusal(with_token))


def test_a_repository_that_does_not_exist(settings: HubSettings) -> None:
    assert "has no repository org/none" in refusal(settings, "hf-hub:org/none").message


def test_a_repository_without_a_config_is_no_open_clip_model(
    hub: HubServer, settings: HubSettings
) -> None:
    del hub.repositories["org/tiny"][CONFIG]
    assert f"it has no {CONFIG}" in refusal(settings).message


def test_pickled_weights_are_never_downloaded(hub: HubServer, settings: HubSettings) -> None:
    files = hub.repositories["org/tiny"]
    files["open_clip_pytorch_model.bin"] = files.pop(WEIGHTS)
    assert "has no safetensors weights" in refusal(settings).message
    assert not any(request.path.endswith(".bin") for request in hub.requests)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:{port}", "https://no-such-host.invalid"])
def test_a_dead_network_answers_at_once_with_what_to_type(
    endpoint: str, settings: HubSettings
) -> None:
    dead = replace(settings, endpoint=endpoint.format(port=dead_port()))
    start = time.monotonic()
    error = refusal(dead, "paper")
    assert time.monotonic() - start < 5
    assert f"{WEIGHTS} is not in {settings.cache_dir}" in error.message
    assert "the hub could not be reached" in error.message
    assert "--model demo" in str(error.hint)


def test_a_hub_that_says_nothing_is_not_waited_for(hub: HubServer, settings: HubSettings) -> None:
    hub.faults = Faults(silent=True)
    start = time.monotonic()
    error = refusal(replace(settings, answer_timeout_s=0.5))
    assert time.monotonic() - start < 2
    assert "no answer in 0.5 s; HF_HUB_ETAG_TIMEOUT=30 waits longer" in error.message


@pytest.mark.parametrize("endpoint", ["localhost:1", "nonsense", "ftp://host"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str, settings: HubSettings) -> None:
    error = refusal(replace(settings, endpoint=endpoint))
    assert error.message.startswith("HF_ENDPOINT: not an address")


@pytest.mark.parametrize("host", ["hub.example", "127.0.0.1.example", "192.168.1.9", "[2001::1]"])
def test_models_come_over_a_verified_way_only(host: str, settings: HubSettings) -> None:
    error = refusal(replace(settings, endpoint=f"http://{host}:1"))
    assert error.message.startswith("HF_ENDPOINT: models come over https only")


def test_offline_refuses_what_is_not_here_and_asks_nobody(
    hub: HubServer, settings: HubSettings
) -> None:
    error = refusal(replace(settings, offline=True))
    assert f"{WEIGHTS} is not in" in error.message
    assert f"actcli models pull {NAME}" in str(error.hint)
    assert hub.requests == []


def test_the_token_goes_to_the_hub_and_not_to_where_it_points(
    hub: HubServer, settings: HubSettings
) -> None:
    with HubServer(hub.repositories) as cdn:
        hub.faults = Faults(cdn=cdn.endpoint)
        resolve(replace(settings, token="hf_secret"))
    assert {request.token for request in hub.requests} == {"Bearer hf_secret"}
    assert cdn.transfers() == [WEIGHTS]
    assert {request.token for request in cdn.requests} == {None}


def test_no_token_of_the_machine_is_sent_unasked(
    hub: HubServer, settings: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    resolve(settings)
    assert {request.token for request in hub.requests} == {None}


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_that_cannot_be_written_is_told(settings: HubSettings, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert isinstance(refusal(settings), ResourceError)


def test_a_file_in_the_place_of_the_cache_is_told(settings: HubSettings) -> None:
    settings.cache_dir.write_text("")
    error = refusal(settings)
    assert isinstance(error, ResourceError)
    assert "export HF_HUB_CACHE=" in str(error.hint)


def test_a_model_larger_than_the_disk_is_refused_before_it_is_downloaded(
    hub: HubServer, settings: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(settings.cache_dir.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    error = refusal(settings, "paper")
    assert isinstance(error, ResourceError)
    assert "the disk is too full" in error.message
    assert hub.transfers() == []


def test_a_disk_that_fills_up_meanwhile_is_told(settings: HubSettings) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    error = explain(full, Wanted(NAME, "org/tiny", WEIGHTS), settings)
    assert isinstance(error, ResourceError)
    assert "the disk is full" in error.message


def resolve_in_two_processes(hub: HubServer, settings: HubSettings) -> list[tuple[int, str]]:
    code = (
        "from pathlib import Path\n"
        "from actcli.models.hub_cache import HubSettings\n"
        "from actcli.models.resolve import resolve_backbone\n"
        f"s = HubSettings(Path({str(settings.cache_dir)!r}), endpoint={hub.endpoint!r})\n"
        f"print(resolve_backbone({NAME!r}, s).weights_path)"
    )
    command = [sys.executable, "-c", code]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=60)[0] for process in both]
    return [(process.returncode, out) for process, out in zip(both, printed, strict=True)]


def test_two_processes_at_once_download_once(hub: HubServer, settings: HubSettings) -> None:
    hub.repositories["org/tiny"] = tiny_repository(2 << 20)
    hub.faults = Faults(bytes_per_s=2 << 20)
    first, second = resolve_in_two_processes(hub, settings)
    assert first == second
    path = Path(first[1].splitlines()[-1])
    assert path.read_bytes() == hub.repositories["org/tiny"][WEIGHTS]
    assert hub.transfers().count(WEIGHTS) == 1


def test_two_processes_at_once_both_refuse_a_flipped_bit(
    hub: HubServer, settings: HubSettings
) -> None:
    hub.repositories["org/tiny"] = tiny_repository(2 << 20)
    hub.faults = Faults(bytes_per_s=2 << 20, flip=True)
    for code, out in resolve_in_two_processes(hub, settings):
        assert code == 1
        assert "was damaged on its way and is removed" in out
    assert kept_files(settings) == set()


def test_what_killed_downloads_left_is_removed_when_it_is_old(settings: HubSettings) -> None:
    blobs = repository_folder(settings.cache_dir, "org/tiny") / "blobs"
    blobs.mkdir(parents=True)
    for name, age_s in (("old", 4000), ("going-on", 10)):
        path = blobs / f"{name}.incomplete"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age_s,) * 2)
    resolve(settings)
    assert [path.name for path in blobs.glob("*.incomplete")] == ["going-on.incomplete"]


def test_the_client_is_left_as_it_was(settings: HubSettings) -> None:
    from huggingface_hub import constants

    before = dict(vars(constants))
    resolve(settings)
    assert dict(vars(constants)) == before
