"""Object stores: a client that fails in every way, and an S3 server on loopback."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actcli.data.inputs import expand_inputs
from actcli.errors import VideoError
from actcli.paths import AllowedUri
from actcli.remote import opening, retrying
from actcli.remote.opening import open_remote, remote_content
from actcli.remote.ranges import BLOCK
from actcli.remote.stores import StoredObject
from actcli.video import sandbox
from tests.video.making import write_video

CONTENT = random.Random(3).randbytes(8 * BLOCK + 5)


class FakeStore:
    """A client of a store that raises what it is told to, once for each."""

    def __init__(self, *errors: Exception, info: dict[str, Any] | None = None) -> None:
        self.errors = list(errors)
        self.about = {"size": len(CONTENT), "ETag": '"1"'} if info is None else info
        self.num_asked = 0

    def _strip_protocol(self, uri: str) -> str:
        return uri.partition("://")[2]

    def _fail(self) -> None:
        self.num_asked += 1
        if self.errors:
            raise self.errors.pop(0)

    def info(self, path: str) -> dict[str, Any]:
        self._fail()
        return self.about

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        self._fail()
        return CONTENT[start:end]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(opening, "_last", opening._Last())
    opening._known.clear()


def stored(monkeypatch: pytest.MonkeyPatch, fake: FakeStore) -> StoredObject:
    import fsspec

    monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: fake)
    return StoredObject(AllowedUri("s3://bucket/a.mp4"), 20.0)


class NoCredentialsError(Exception):
    pass


class EndpointConnectionError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "kind", "num_asked"),
    [(FileNotFoundError(), "not_found", 1), (PermissionError(), "remote", 1),
     (NoCredentialsError(), "remote", 1), (ValueError("odd"), "remote", 1),
     (OSError("slow down"), "remote", 4), (TimeoutError(), "remote", 4),
     (EndpointConnectionError(), "remote", 4)],
)  # fmt: skip
def test_what_a_store_says_becomes_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str, num_asked: int
) -> None:
    fake = FakeStore(*[error] * 9)
    with pytest.raises(VideoError) as caught:
        stored(monkeypatch, fake)
    assert (caught.value.kind, fake.num_asked) == (kind, num_asked)
    assert "\n" not in caught.value.message


def test_credentials_that_are_refused_come_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VideoError, match="credentials") as caught:
        stored(monkeypatch, FakeStore(PermissionError("secret")))
    assert "secret" not in caught.value.message
    assert caught.value.hint


def test_a_store_that_fails_and_recovers_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = stored(monkeypatch, FakeStore(OSError("slow down"), TimeoutError()))
    assert found.read_range(5, 10) == CONTENT[5:10]


def test_a_short_answer_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeStore(info={"size": len(CONTENT) + 10})
    found = stored(monkeypatch, fake)
    with pytest.raises(VideoError, match="ended in the middle"):
        found.read_range(len(CONTENT) - 5, len(CONTENT) + 5)


@pytest.mark.parametrize(
    ("info", "identity"),
    [({"ETag": '"a"'}, 'ETag="a"'), ({"ETag": '"a"', "VersionId": "7"}, 'ETag="a" VersionId=7'),
     ({"generation": "12", "etag": "x"}, "etag=x generation=12"),
     ({"lfs": {"sha256": "ab"}, "blob_id": "c"}, "ab"), ({"blob_id": "c"}, "blob_id=c"),
     ({}, None)],
)  # fmt: skip
def test_what_an_object_is_known_by(
    monkeypatch: pytest.MonkeyPatch, info: dict[str, Any], identity: str | None
) -> None:
    assert stored(monkeypatch, FakeStore(info={"size": 1} | info)).identity == identity


@pytest.mark.parametrize("info", [{"size": None}, {"size": 0, "type": "directory"}])
def test_what_is_no_object_is_refused(
    monkeypatch: pytest.MonkeyPatch, info: dict[str, Any]
) -> None:
    with pytest.raises(VideoError):
        stored(monkeypatch, FakeStore(info=info))


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "remote"), ("gs", "gcs"), ("hf", "remote")])
def test_a_client_that_is_not_installed_is_named_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(VideoError, match=f'extra "{extra}"') as caught:
        StoredObject(AllowedUri(f"{scheme}://bucket/a.mp4"), 1.0)
    assert caught.value.hint == f'pip install "actcli[{extra}]"'


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket "clips" with clips and a text, on an S3 server of this process."""
    pytest.importorskip("s3fs", reason="needs the extra remote")
    server_module = pytest.importorskip("moto.server", reason='needs pip install "moto[server]"')
    import boto3

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="clips")
    for name in ("day/b.mp4", "day/a.mp4", "day/notes.txt", "day/sub/c.webm", "x.mp4"):
        client.put_object(Bucket="clips", Key=name, Body=CONTENT)
    yield client
    client.close()
    server.stop()
    patch.undo()


def test_an_object_of_s3_is_read_by_ranges(bucket: Any) -> None:
    with open_remote(AllowedUri("s3://clips/x.mp4"), 20.0) as file:
        file.seek(-100, 2)
        assert file.read() == CONTENT[-100:]
        assert file.blocks.num_bytes <= 2 * BLOCK
        file.seek(0)
        assert file.read() == CONTENT


def test_videos_below_a_prefix_of_s3_come_in_order(bucket: Any) -> None:
    found = expand_inputs(["s3://clips/day/"])
    names = [ref.path for ref in found]
    assert names == ["s3://clips/day/a.mp4", "s3://clips/day/b.mp4", "s3://clips/day/sub/c.webm"]
    assert all(isinstance(name, AllowedUri) for name in names)
    assert [ref.id for ref in expand_inputs(["s3://clips/day/"], glob="b*")] == names[1:2]


def test_an_object_that_is_replaced_is_known_by_another_digest(bucket: Any) -> None:
    bucket.put_object(Bucket="clips", Key="y.mp4", Body=b"one")
    before = remote_content(AllowedUri("s3://clips/y.mp4"))
    bucket.put_object(Bucket="clips", Key="y.mp4", Body=b"two")
    opening._known.clear()
    assert before != remote_content(AllowedUri("s3://clips/y.mp4"))


@pytest.mark.parametrize("uri", ["s3://clips/none.mp4", "s3://no-such-bucket/a.mp4"])
def test_a_missing_object_of_s3_is_not_found(bucket: Any, uri: str) -> None:
    with pytest.raises(VideoError) as caught, open_remote(AllowedUri(uri), 20.0):
        pass
    assert caught.value.kind == "not_found"


@pytest.mark.skipif(sandbox.missing() is not None, reason="no sandbox here")
def test_a_worker_that_is_locked_in_reads_a_video_of_s3(bucket: Any, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    bucket.upload_file(str(path), "clips", "locked.mp4")
    words = ["classify", "s3://clips/locked.mp4", path, "--labels", "run,jump", "--model", "demo",
             "--no-cache", "--workers", "1", "--sandbox", "require"]  # fmt: skip
    command = [sys.executable, "-m", "actcli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    far, near = map(json.loads, done.stdout.splitlines())
    assert far["ok"], done.stderr
    assert far["top"] == near["top"]
