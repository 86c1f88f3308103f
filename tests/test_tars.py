"""Members of archives read where they lie; what is hostile or torn is refused one by one."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from actcli.errors import VideoError
from actcli.paths import AllowedUri, TarMember
from actcli.tars import content_digest, find_member, is_archive, list_members, open_member
from tests.remote.conftest import server as server  # noqa: PLC0414  (a fixture)
from tests.remote.serving import Served

CONTENTS = {"a.mp4": b"a" * 1000, "sub/b.mp4": b"b" * 512, "c.json": b"{}"}


def write_tar(path: Path, *infos: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> str:
    """The plain contents, and then members that are nothing but a header."""
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in CONTENTS.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in infos:
            archive.addfile(info)
    return str(path)


def videos(path: str) -> list[TarMember]:
    return list(list_members(path, lambda name: name.endswith(".mp4")))


def read(member: TarMember) -> bytes:
    with open_member(member, 20.0) as file:
        return file.read()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_come_in_order_with_their_bytes(tmp_path: Path, format: int) -> None:
    path = write_tar(tmp_path / "x.tar", format=format)
    found = videos(path)
    assert found == [f"{path}/a.mp4", f"{path}/sub/b.mp4"]
    assert [read(member) for member in found] == [CONTENTS["a.mp4"], CONTENTS["sub/b.mp4"]]


def test_a_member_is_a_file_of_its_own(tmp_path: Path) -> None:
    member = videos(write_tar(tmp_path / "x.tar"))[1]
    with open_member(member, 20.0) as file:
        assert file.seek(-12, os.SEEK_END) == 500
        assert file.read(100) == b"b" * 12
        assert (file.read(), file.tell(), file.seek(0)) == (b"", 512, 0)


@pytest.mark.parametrize(
    ("made", "kind"),
    [(info("l.mp4", tarfile.SYMTYPE, "/etc/passwd"), "refused"),
     (info("h.mp4", tarfile.LNKTYPE, "a.mp4"), "refused"),
     (info("/etc/x.mp4"), "refused"), (info("../x.mp4"), "refused"),
     (info("f.mp4", tarfile.FIFOTYPE), "refused"), (info("d.mp4", tarfile.CHRTYPE), "refused"),
     (info("C:/x.mp4"), "refused"), (info("empty.mp4"), "not_video")],
)  # fmt: skip
def test_what_is_no_plain_member_is_refused_alone(
    tmp_path: Path, made: tarfile.TarInfo, kind: str
) -> None:
    *good, bad = videos(write_tar(tmp_path / "x.tar", made))
    assert [member.problem for member in good] == [None, None]
    with pytest.raises(VideoError) as caught:
        read(bad)
    assert caught.value.kind == kind


def test_a_member_that_claims_more_than_the_archive_holds_is_truncated(tmp_path: Path) -> None:
    huge = info("huge.mp4")
    huge.size = 10 << 30
    path = tmp_path / "x.tar"
    with open(path, "wb") as file:
        file.write(huge.tobuf() + b"x" * 1024)
    member, end = videos(str(path))
    assert (member.name, member.problem and member.problem[0]) == ("huge.mp4", "truncated")
    assert (end, end.problem and end.problem[0]) == (str(path), "truncated")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path, kind: bytes) -> None:
    huge = info("huge.mp4", kind)
    huge.size = 2 << 30
    path = tmp_path / "x.tar"
    with open(path, "wb") as file:
        file.write(huge.tobuf(tarfile.GNU_FORMAT))
        file.truncate(3 << 30)  # a hole
    (only,) = videos(str(path))
    assert only.problem is not None
    assert only.problem[0] == "refused"


@pytest.mark.parametrize("cut", [100, 512 + 300, 512 + 1024, 512 + 1024 + 100])
def test_a_torn_archive_gives_what_is_whole_and_says_so(tmp_path: Path, cut: int) -> None:
    path = write_tar(tmp_path / "x.tar", format=tarfile.USTAR_FORMAT)
    os.truncate(path, cut)
    found = videos(path)
    assert found[-1].problem is not None
    assert found[-1].problem[0] == "truncated"
    assert len([member for member in found if member.problem is None]) == (cut >= 512 + 1024)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.tar", "not_found"), ("x.tar.gz", "unsupported"), ("x.tgz", "unsupported")],
)
def test_what_is_no_archive_to_read_is_one_failure(tmp_path: Path, name: str, kind: str) -> None:
    (only,) = videos(str(tmp_path / name))
    assert is_archive(name)
    assert (only, only.problem and only.problem[0]) == (str(tmp_path / name), kind)


def test_noise_is_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(bytes(range(1, 256)) * 40)
    (only,) = videos(str(tmp_path / "x.tar"))
    assert only.problem is not None


def test_a_member_is_found_by_its_name(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar")
    member = find_member(f"{path}/sub/b.mp4")
    assert member is not None
    assert read(member) == CONTENTS["sub/b.mp4"]
    missing = find_member(f"{path}/none.mp4")
    assert missing is not None
    assert missing.problem is not None
    assert find_member(str(tmp_path / "y.tar/a.mp4")) is None


def test_the_digest_of_a_member_is_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(CONTENTS["a.mp4"])
    member = videos(write_tar(tmp_path / "x.tar"))[0]
    assert content_digest(member) == content_digest(str(tmp_path / "a.mp4"))


def test_a_remote_archive_is_read_in_place(tmp_path: Path, server: Served) -> None:
    path = write_tar(tmp_path / "x.tar")
    server.files["x.tar"] = Path(path).read_bytes()
    found = videos(AllowedUri(server.uri("x.tar")))
    assert [read(member) for member in found] == [CONTENTS["a.mp4"], CONTENTS["sub/b.mp4"]]
    assert found[0] == server.uri("x.tar/a.mp4")
