"""Tar archives from anywhere: each member is good, or has its problem, and the list has an end."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.errors import VideoError
from actcli.paths import TarMember
from actcli.tars import find_member, list_members, open_member
from tests.fuzz.making import bounded, edited, examples


def archive(format: int, **pax: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=format) as file:
        for name, size in (("a.mp4", 700), ("n" * 120 + ".mp4", 3), ("ü/c.mp4", 512)):
            info = tarfile.TarInfo(name)
            info.size = size
            info.pax_headers = dict(pax)
            file.addfile(info, io.BytesIO(bytes(size)))
        link = tarfile.TarInfo("link.mp4")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd" * 20
        file.addfile(link)
    return made.getvalue()


ARCHIVES = [archive(kind) for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT)[1:]]
ARCHIVES.append(archive(tarfile.PAX_FORMAT, comment="x", mtime="1.5"))


def look(path: Path) -> list[TarMember]:
    """All members, each opened: nothing but a VideoError may come of it."""
    with bounded():
        found = list(list_members(str(path), lambda name: True))
        for member in found:
            try:
                with open_member(member, 5.0) as file:
                    assert len(file.read()) == member.size
            except VideoError:
                pass
        find_member(f"{path}/a.mp4")
    return found


def header(name: str, kind: bytes, size: int, body: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    block = info.tobuf(tarfile.GNU_FORMAT)
    return block + body + bytes(-len(body) % 512)


def pax(*records: tuple[str, str]) -> bytes:
    """A header of attributes for the member that follows."""
    body = b""
    for key, value in records:
        rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
        size = len(rest) + 1
        while len(str(size)) + len(rest) != size:
            size += 1
        body += str(size).encode() + rest
    return header("pax", b"x", len(body), body)


PLAIN = header("a.mp4", b"0", 3, b"abc")
END = bytes(1024)
SPARSE = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"))
TRAPS = {
    "a size below zero": pax(("size", "-1024")) + PLAIN + END,
    "a size below zero in base 256": PLAIN[:124] + b"\xff" * 11 + b"\x00" + PLAIN[136:] + END,
    "a size that leads back": pax(("size", "-1536")) + PLAIN + END,
    "a sparse map that is one line": SPARSE
    + header("a.mp4", b"0", 512, b"5\n1\n" + b"1" * 508),
    "a size beyond all": pax(("size", str(2**70))) + PLAIN + END,
    "a size of words": pax(("size", "many")) + PLAIN + END,
    "names upon names": header("l", b"L", 5, b"x.mp4") * 3000 + PLAIN + END,
    "attributes upon attributes": pax(("path", "b.mp4")) * 3000 + PLAIN + END,
    "a sparse map of words": SPARSE + PLAIN + END,
    "a sparse map without end": SPARSE
    + header("a.mp4", b"0", 3, b"1" * 512),
    "a sparse map of many": SPARSE
    + header("a.mp4", b"0", 512, b"99999999\n" + b"1\n" * 200) + END,
    "a sparse map in attributes": pax(("GNU.sparse.map", "1,x,3"), ("GNU.sparse.size", "x"))
    + PLAIN + END,
    "a sparse member, old": header("a.mp4", b"S", 3)[:504] + b"\x01" + bytes(7),
    "attributes without length": header("pax", b"x", 30, b"99999999999999999999 a=b\n") + PLAIN,
    "attributes of length 0": header("pax", b"x", 8, b"0 a=b\n\n\n") + PLAIN + END,
    "a charset that is none": pax(("hdrcharset", "nonsense"), ("path", "x\udcff.mp4")) + PLAIN,
    "a NUL in a name": pax(("path", "a\0b.mp4")) + PLAIN + END,
    "a name of words out of it": pax(("path", "../../a.mp4")) + PLAIN + END,
    "a header that claims 1 GB": header("l", b"L", 1 << 30),
    "a time that is none": pax(("mtime", "nan"), ("uid", "1e999")) + PLAIN + END,
    "zeros": bytes(10_240),
    "one block": bytes(512),
    "half a block": b"x" * 100,
}  # fmt: skip


@pytest.mark.parametrize("name", TRAPS)
def test_known_traps_end_in_members_or_problems(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(TRAPS[name])
    for member in look(path):
        assert member.problem or member.offset + member.size <= len(TRAPS[name])
        assert member.size >= 0
        assert member.problem is None or len(member.problem[1]) < 200


@examples(30)
@given(st.binary(max_size=3000))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "x.tar"
    path.write_bytes(content)
    look(path)


@examples(120)
@given(st.sampled_from(ARCHIVES).flatmap(edited))
def test_bytes_changed(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("edited") / "x.tar"
    path.write_bytes(content)
    look(path)


@examples(60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "size",
                    "path",
                    "linkpath",
                    "mtime",
                    "uid",
                    "GNU.sparse.major",
                    "hdrcharset",
                    "GNU.sparse.minor",
                    "GNU.sparse.map",
                    "GNU.sparse.size",
                    "GNU.sparse.name",
                    "GNU.sparse.numblocks",
                    "GNU.sparse.offset",
                    "GNU.sparse.realsize",
                ]
            ),
            st.sampled_from(
                ["1", "0", "-512", "x", "", "99999999999", "1,2", "a\nb", "1.0", "BINARY"]
            ),
        ),
        max_size=4,
    ),
    st.sampled_from([b"0", b"S", b"x", b"g", b"L", b"K", b"5", b"2", b"Z"]),
)
def test_attributes_that_make_no_sense(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[str, str]], kind: bytes
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("pax") / "x.tar"
    path.write_bytes(pax(*records) + header("a.mp4", kind, 3, b"abc") + PLAIN + END)
    look(path)


@pytest.mark.parametrize("content", ARCHIVES)
def test_every_place_where_it_may_be_cut_off_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar"
    whole = content.rstrip(b"\0")
    for end in range(0, len(whole), 256):
        path.write_bytes(content[:end])
        assert any(member.problem for member in look(path))
