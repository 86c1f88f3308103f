"""Web servers as they should be, as they are, and as an attacker would have them."""

from __future__ import annotations

import random
import socket
from typing import Any

import pytest

from actcli.errors import VideoError
from actcli.paths import AllowedUri
from actcli.remote import addresses, web
from actcli.remote.opening import open_remote, remote_content
from actcli.remote.ranges import BLOCK
from tests.remote.serving import Served, cut, hang, status

CONTENT = random.Random(1).randbytes(10 * BLOCK + 123)


def failure(server: Served, uri: str | None = None, timeout_s: float = 20.0) -> VideoError:
    with (
        pytest.raises(VideoError) as caught,
        open_remote(AllowedUri(uri or server.uri("a.mp4")), timeout_s) as file,
    ):
        file.read()
    return caught.value


def read_all(server: Served) -> bytes:
    with open_remote(AllowedUri(server.uri("a.mp4")), 20.0) as file:
        return file.read()


def test_a_file_is_read_by_ranges(server: Served) -> None:
    server.files["a.mp4"] = CONTENT
    assert read_all(server) == CONTENT
    assert server.sent == len(CONTENT)


def test_only_the_blocks_that_are_read_are_fetched(server: Served) -> None:
    server.files["a.mp4"] = CONTENT
    with open_remote(AllowedUri(server.uri("a.mp4")), 20.0) as file:
        file.seek(-200, 2)
        assert file.read() == CONTENT[-200:]
    assert server.sent <= 4 * BLOCK


def test_a_second_opening_fetches_nothing_again(server: Served) -> None:
    server.files["a.mp4"] = CONTENT
    assert read_all(server) == read_all(server)
    assert server.sent == len(CONTENT)


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_that_fails_three_times_is_asked_again(server: Served, code: int) -> None:
    server.files["a.mp4"] = CONTENT
    server.first = [status(code)] * 3
    assert read_all(server) == CONTENT


def test_a_server_that_keeps_failing_is_left_after_four_attempts(server: Served) -> None:
    server.always = [status(500)]
    error = failure(server)
    assert (error.kind, len(server.asked)) == ("remote", 4)
    assert "500" in error.message


def test_a_body_that_ends_early_is_fetched_again(server: Served) -> None:
    server.files["a.mp4"] = CONTENT
    server.first = [cut, cut]
    assert read_all(server) == CONTENT


def test_a_server_that_falls_silent_in_the_middle_costs_the_timeout(server: Served) -> None:
    server.always = [hang]
    error = failure(server, timeout_s=0.3)
    assert error.kind == "timeout"
    assert error.hint is not None
    assert "--timeout" in error.hint


@pytest.mark.parametrize(
    ("code", "kind"),
    [(401, "remote"), (403, "remote"), (404, "not_found"), (410, "not_found"), (418, "remote")],
)
def test_what_a_server_refuses_is_asked_for_once(server: Served, code: int, kind: str) -> None:
    server.always = [status(code)]
    assert failure(server).kind == kind
    assert len(server.asked) == 1


def test_a_missing_host_is_said_to_be_missing(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = failure(server, "http://no-such-host.invalid/a.mp4")
    assert (error.kind, error.message) == ("remote", "no such host (no-such-host.invalid)")


def test_a_file_that_changes_while_it_is_read_is_unreadable(server: Served) -> None:
    server.files["a.mp4"] = CONTENT
    remote = web.WebObject(AllowedUri(server.uri("a.mp4")), 20.0)
    server.etag = '"v2"'
    with pytest.raises(VideoError, match="changed") as caught:
        remote.read_range(5 * BLOCK, 6 * BLOCK)
    assert caught.value.kind == "unreadable"


def test_a_server_without_ranges_is_read_whole(server: Served) -> None:
    server.files["a.mp4"] = CONTENT
    server.ranges = False
    assert read_all(server) == CONTENT
    assert len(server.asked) == 1


def test_a_large_file_without_ranges_is_refused_unread(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "MAX_WHOLE_BYTES", len(CONTENT) - 1)
    server.files["a.mp4"] = CONTENT
    server.ranges = False
    assert "no ranges" in failure(server).message


def test_a_claim_of_ten_gigabytes_costs_no_memory(server: Served) -> None:
    def claim(handler: Any) -> bool:
        handler.reply(206, b"x" * 10, {"Content-Range": f"bytes 0-{2 * BLOCK - 1}/10000000000"})
        return True

    server.always = [claim]
    error = failure(server)
    assert error.kind == "remote"
    assert server.sent < 100


def test_more_than_was_asked_for_is_not_read(server: Served) -> None:
    def flood(handler: Any) -> bool:
        handler.reply(206, CONTENT, {"Content-Range": "bytes 0-99/100"})
        return True

    server.always = [flood]
    assert read_all(server) == CONTENT[:100]


def test_redirects_are_followed_a_few_times(server: Served) -> None:
    server.files["a.mp4"] = CONTENT
    server.first = [status(302, Location="/a.mp4?again")]
    assert read_all(server) == CONTENT
    server.always = [status(302, Location="/b.mp4")]
    assert "redirects" in failure(server, server.uri("b.mp4")).message


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/a.mp4", "http://169.254.169.254/latest/meta-data/",
     "http://[fe80::1]/", "http://10.0.0.1/a.mp4", "http://[::ffff:169.254.169.254]/"],
)  # fmt: skip
def test_a_redirect_out_of_the_named_network_is_refused(server: Served, target: str) -> None:
    server.always = [status(302, Location=target)]
    assert failure(server).kind == "refused"
    assert len(server.asked) == 1


def test_a_redirect_from_a_public_host_to_this_machine_is_refused(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(host: str, port: int) -> tuple[str, addresses.Reach]:
        return "127.0.0.1", "public" if host == "public.example" else "loopback"

    monkeypatch.setattr(web, "resolve", resolve)
    server.files["secret"] = CONTENT
    server.first = [status(302, Location=server.uri("secret"))]
    error = failure(server, f"http://public.example:{server.port}/a.mp4")
    assert (error.kind, len(server.asked)) == ("refused", 1)


def test_a_redirect_from_https_to_http_is_refused() -> None:
    with pytest.raises(VideoError, match="https to http"):
        web._redirected("https://x.example/a.mp4", "http://x.example/a.mp4")


@pytest.mark.parametrize(
    ("address", "reach"),
    [("127.0.0.1", "loopback"), ("::1", "loopback"), ("0.0.0.0", "loopback"),
     ("10.1.2.3", "private"), ("100.64.0.1", "private"), ("fd00::1", "private"),
     ("169.254.169.254", "link-local"), ("::ffff:127.0.0.1", "loopback"),
     ("64:ff9b::7f00:1", "loopback"), ("8.8.8.8", "public"), ("224.0.0.1", "private")],
)  # fmt: skip
def test_who_can_be_reached_at_an_address(address: str, reach: str) -> None:
    assert addresses.reach_of(address) == reach


def test_no_secret_of_a_uri_is_in_a_message(server: Served) -> None:
    uri = server.uri("a.mp4?X-Amz-Signature=verysecret")
    for code in (403, 404, 418, 500):
        server.always = [status(code)]
        error = failure(server, uri)
        assert "verysecret" not in f"{error.message} {error.hint}"


def test_content_is_known_by_version_and_not_without(server: Served) -> None:
    server.files |= {"a.mp4": CONTENT, "b.mp4": CONTENT}
    digest = remote_content(AllowedUri(server.uri("a.mp4")))
    assert digest != remote_content(AllowedUri(server.uri("b.mp4")))
    assert server.sent == 2  # one byte each
    server.etag = None
    with pytest.raises(OSError, match="version"):
        remote_content(AllowedUri(server.uri("a.mp4?other")))


def test_a_uri_that_is_not_allowed_is_not_asked_for(server: Served) -> None:
    with pytest.raises(VideoError) as caught, open_remote(server.uri("a.mp4"), 1.0):
        pass
    assert (caught.value.kind, server.asked) == ("refused", [])
    assert remote_content(server.uri("a.mp4")) is None


def test_the_version_of_a_file_without_ranges_is_told_without_reading_it(server: Served) -> None:
    server.files["a.mp4"] = CONTENT
    server.ranges = False
    assert remote_content(AllowedUri(server.uri("a.mp4"))) is not None
