"""URIs that may be read, and how they are shown."""

from __future__ import annotations

import pickle

import pytest

from actcli.errors import VideoError
from actcli.paths import AllowedUri, TarMember, check_uri, is_remote, redacted


@pytest.mark.parametrize(
    "uri",
    ["s3://bucket/a.mp4", "gs://bucket/a b.mp4", "hf://datasets/user/set@main/a.mp4",
     "https://x.example/a.mp4?id=1", "http://[::1]:8000/a.mp4", "S3://bucket/a@b.mp4"],
)  # fmt: skip
def test_an_allowed_uri_may_be_read(uri: str) -> None:
    check_uri(AllowedUri(uri))


@pytest.mark.parametrize(
    ("uri", "reason"),
    [("s3://a::file:///etc/passwd", "chained"), ("zip://a.mp4::http://x/a.zip", "chained"),
     ("file:///etc/passwd", "file:// is not read"), ("ftp://x/a.mp4", "ftp:// is not read"),
     ("local:///etc/passwd", "not read"), ("http://u:p@x/a.mp4", "password"),
     ("https://token@x/a.mp4", "password")],
)  # fmt: skip
def test_other_uris_are_refused(uri: str, reason: str) -> None:
    with pytest.raises(VideoError, match=reason) as caught:
        check_uri(AllowedUri(uri))
    assert caught.value.kind == "refused"


def test_a_plain_text_is_no_allowed_uri() -> None:
    with pytest.raises(VideoError, match="list") as caught:
        check_uri("s3://bucket/a.mp4")
    assert "--allow-remote" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [("https://u:p@x/a.mp4", "https://***@x/a.mp4"),
     ("https://x/a?id=1&X-Amz-Signature=ab&X-Amz-Credential=c",
      "https://x/a?id=1&X-Amz-Signature=***&X-Amz-Credential=***"),
     ("https://x/a?sig=1", "https://x/a?sig=***"), ("https://x/a?token=", "https://x/a?token=***"),
     ("https://x/a%20b?id=1&q=c%2Fd", "https://x/a%20b?id=1&q=c%2Fd"),
     ("s3://bucket/a?key=b.mp4", "s3://bucket/a?key=b.mp4"), ("http://[::", "http://***"),
     ("a@b/c?token=1.mp4", "a@b/c?token=1.mp4"),
     ("hf://datasets/u/s@main/a.mp4", "hf://datasets/u/s@main/a.mp4")],
)  # fmt: skip
def test_secrets_are_not_shown(uri: str, shown: str) -> None:
    assert redacted(uri) == shown


def test_a_member_and_a_uri_come_out_of_a_pickle_as_they_went_in() -> None:
    member = TarMember(AllowedUri("s3://b/c.tar"), "x/a.mp4", 512, 9, ("refused", "a link"))
    back = pickle.loads(pickle.dumps(member))
    assert (back, back.archive, back.name, back.offset, back.size) == (
        "s3://b/c.tar/x/a.mp4", "s3://b/c.tar", "x/a.mp4", 512, 9,
    )  # fmt: skip
    assert back.problem == ("refused", "a link")
    assert isinstance(back.archive, AllowedUri)


@pytest.mark.parametrize("path", ["a.mp4", "C:\\a.mp4", "c://a", "://a", "a b://c", "/s3://a"])
def test_a_path_is_no_uri(path: str) -> None:
    assert not is_remote(path)
