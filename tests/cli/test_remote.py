"""URIs, lists and archives at the command line."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from actcli.video import sandbox
from tests.cli.conftest import LABELS, Cli
from tests.remote.conftest import server as server  # noqa: PLC0414  (a fixture)
from tests.remote.serving import Served


def put(server: Served, videos: Path, *names: str) -> list[str]:
    for name in names:
        server.files[name] = (videos / name).read_bytes()
    return [server.uri(name) for name in names]


def test_a_typed_uri_gives_the_record_of_the_local_file(
    cli: Cli, videos: Path, server: Served
) -> None:
    (uri,) = put(server, videos, "run.mp4")
    near = cli("classify", videos / "run.mp4", "--labels", LABELS).records[0]
    far = cli("classify", uri, "--labels", LABELS).records[0]
    assert far | {"input": "", "cached": 0} == near | {"input": "", "cached": 0}
    assert far["input"] == uri


def test_a_second_run_reads_one_byte(cli: Cli, videos: Path, server: Served) -> None:
    (uri,) = put(server, videos, "jump.mp4")
    cli("classify", uri, "--labels", LABELS)
    server.sent = 0
    assert cli("classify", uri, "--labels", LABELS).records[0]["cached"]
    assert server.sent <= 2


@pytest.mark.skipif(sandbox.missing() is not None, reason="no sandbox here")
def test_workers_that_are_locked_in_read_remote_and_local_videos(
    cli: Cli, videos: Path, server: Served
) -> None:
    uris = put(server, videos, "run.mp4", "wave.mp4")
    mixed = [uris[0], videos / "jump.mp4", uris[1]]
    flags = ["--labels", LABELS, "--no-cache", "--workers", "1", "--sandbox", "require"]
    done = cli("classify", *mixed, *flags)
    assert [record["label"] for record in done.records] == ["run", "jump", "wave"]


def test_stdin_may_name_uris_only_where_allowed(cli: Cli, videos: Path, server: Served) -> None:
    (uri,) = put(server, videos, "run.mp4")
    done = cli("classify", "-", "--labels", LABELS, stdin=uri.encode())
    assert (done.code, done.records[0]["error"]["kind"]) == (4, "refused")
    assert "--allow-remote" in done.records[0]["error"]["hint"]
    assert server.asked == []
    allowed = cli("classify", "-", "--allow-remote", "--labels", LABELS, stdin=uri.encode())
    assert (allowed.code, allowed.records[0]["label"]) == (0, "run")


def test_a_list_of_videos_is_classified(
    cli: Cli, videos: Path, server: Served, tmp_path: Path
) -> None:
    (uri,) = put(server, videos, "wave.mp4")
    rows = [{"path": str(videos / "run.mp4"), "id": "one"}, {"uri": uri, "end": 0.5}]
    path = tmp_path / "l.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    done = cli("classify", "--list", path, "--labels", LABELS)
    assert (done.code, [record["ok"] for record in done.records]) == (3, [True, False])
    done = cli("classify", "--list", path, "--allow-remote", "--labels", LABELS)
    assert [record["input"] for record in done.records] == ["one", uri]
    assert done.records[1]["end"] == 0.5


def test_an_archive_is_classified_and_its_members_are_inputs(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clips.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("run.mp4", "notes.txt", "wave.mp4"):
            archive.add(videos / name, name)
    done = cli("classify", path, "--labels", LABELS)
    assert [record["label"] for record in done.records] == ["run", "wave"]
    again = cli("classify", done.records[1]["input"], "--labels", LABELS)
    assert (again.records[0]["label"], again.records[0]["cached"]) == ("wave", True)


def test_examples_of_a_list_are_remote_where_allowed(
    cli: Cli, videos: Path, server: Served, tmp_path: Path
) -> None:
    uris = put(server, videos, "run.mp4", "wave.mp4")
    path = tmp_path / "l.csv"
    path.write_text(f"path,label\n{uris[0]},run\n{uris[1]},wave\n")
    run = ("fewshot", uris[0], "--support", path)
    assert cli(*run).code == 4
    done = cli(*run, "--allow-remote")
    assert (done.code, done.records[0]["label"]) == (0, "run")
