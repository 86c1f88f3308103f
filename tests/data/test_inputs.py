import io
import json
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.data.inputs import count_known, expand_inputs, is_remote, read_list
from actcli.errors import InputError, ManifestError, UsageError
from actcli.paths import AllowedUri
from actcli.types import VideoRef

NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(name) & set(b"\0\r\n") and not name.startswith((b"{", b"\xef\xbb\xbf"))
)


def from_stdin(data, **options):
    return list(expand_inputs(["-"], stdin=io.BytesIO(data), **options))


def paths(refs):
    return [ref.path for ref in refs]


def test_arguments_keep_their_order_and_their_spelling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("z.mp4", "clips/b.mp4", "clips/a.mp4"):
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        open(name, "w").close()
    refs = expand_inputs(["z.mp4", "clips/", "./z.mp4"])
    assert paths(refs) == ["z.mp4", "clips/a.mp4", "clips/b.mp4", "./z.mp4"]


def test_missing_files_and_uris_are_left_to_the_reader():
    given = ["nowhere.mp4", "s3://bucket/a.mp4", "https://x/y.mp4"]
    assert paths(expand_inputs(given)) == given


def test_the_same_input_twice_is_two_videos():
    assert len(expand_inputs(["a.mp4", "a.mp4"])) == 2


def test_the_number_is_known_unless_stdin_is_read():
    assert count_known(expand_inputs(["a.mp4", "b.mp4"])) == 2
    assert count_known(expand_inputs(["a.mp4", "-"], stdin=io.BytesIO(b"b.mp4\n"))) is None


def test_a_limit_ends_the_list_without_reading_on():
    def lines():
        yield b"a.mp4\n"
        raise AssertionError("read too far")

    refs = expand_inputs(["-"], stdin=lines(), limit=1)
    assert paths(refs) == ["a.mp4"]
    assert paths(expand_inputs(["a.mp4", "b.mp4"], limit=1)) == ["a.mp4"]


def test_a_directory_without_videos_is_a_warning_among_others(tmp_path, caplog):
    assert paths(expand_inputs([str(tmp_path), "a.mp4"])) == ["a.mp4"]
    assert "no videos" in caplog.text


def test_no_video_at_all_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no videos"):
        expand_inputs([str(tmp_path)])
    with pytest.raises(InputError, match=r'"\*.xyz"'):
        expand_inputs([str(tmp_path)], glob="*.xyz")


@pytest.mark.parametrize("data", [b"", b"\n\r\n"])
def test_an_empty_stdin_is_an_error(data):
    with pytest.raises(InputError, match="stdin") as caught:
        from_stdin(data)
    assert caught.value.exit_code == 4


def test_stdin_can_be_read_once_only_and_may_be_taken():
    with pytest.raises(UsageError, match="once"):
        expand_inputs(["-", "-"], stdin=io.BytesIO())
    with pytest.raises(UsageError, match="taken"):
        expand_inputs(["-"])
    with pytest.raises(UsageError, match="no videos given"):
        expand_inputs([])


def test_lines_may_end_as_on_windows_and_begin_with_a_byte_order_mark():
    assert paths(from_stdin(b"\xef\xbb\xbfa.mp4\r\n\r\nb c.mp4")) == ["a.mp4", "b c.mp4"]


@given(st.lists(NAMES, min_size=1))
def test_any_file_name_survives_stdin(names):
    expected = [VideoRef(os.fsdecode(name)) for name in names]
    assert list(read_list(io.BytesIO(b"\n".join(names)))) == expected
    nul = io.BytesIO(b"".join(name + b"\0" for name in names))
    assert list(read_list(nul, null_separated=True)) == expected


def test_nul_separated_names_may_look_like_json_or_hold_line_feeds():
    refs = from_stdin(b"{a}.mp4\0b\nc.mp4\0", null_separated=True)
    assert paths(refs) == ["{a}.mp4", "b\nc.mp4"]


@pytest.mark.parametrize("null_separated", [False, True])
def test_a_video_is_yielded_before_the_next_line_arrives(null_separated):
    end = b"\0" if null_separated else b"\n"
    read_fd, write_fd = os.pipe()
    with open(read_fd, encoding="utf-8") as stdin, open(write_fd, "wb", buffering=0) as writer:
        refs = iter(expand_inputs(["-"], stdin=stdin, null_separated=null_separated))
        for name in ("a.mp4", "b.mp4"):
            writer.write(name.encode() + end)
            assert next(refs).path == name


def test_text_streams_without_a_buffer_work():
    assert paths(read_list(io.StringIO("a\udcff.mp4\nb.mp4\n"))) == ["a\udcff.mp4", "b.mp4"]


def test_json_lines_carry_times_label_and_id():
    line = {"path": "a.mp4", "start": 1, "end": 2.5, "label": "run", "id": "row 1"}
    (ref,) = from_stdin(json.dumps(line).encode())
    assert ref == VideoRef("a.mp4", 1.0, 2.5, "row 1", "run")


def test_json_and_paths_mix_and_null_means_absent():
    refs = from_stdin(b'a.mp4\n{"path": "b\\udcff.mp4", "start": null}\n')
    assert refs == [VideoRef("a.mp4"), VideoRef("b\udcff.mp4")]


def test_a_directory_on_stdin_is_searched(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert paths(from_stdin(os.fsencode(tmp_path))) == [str(tmp_path / "a.mp4")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"path": "a.mp4"', "not a JSON object"),
        (b'{"path": "a.mp4", "strat": 1}', "unknown keys"),
        (b'{"start": 1}', 'bad "path"'),
        (b'{"path": ""}', 'bad "path"'),
        (b'{"path": "a", "start": -1}', 'bad "start"'),
        (b'{"path": "a", "start": true}', 'bad "start"'),
        (b'{"path": "a", "start": NaN}', 'bad "start"'),
        (b'{"path": "a", "end": "2"}', 'bad "end"'),
        (b'{"path": "a", "end": 0}', 'bad "end"'),
        (b'{"path": "a", "start": 2, "end": 2}', 'bad "end"'),
        (b'{"path": "a", "end": 1' + b"0" * 400 + b"}", 'bad "end"'),
        (b'{"path": "a", "label": 3}', 'bad "label"'),
    ],
)
def test_a_bad_json_line_is_named_by_its_number(line, message):
    with pytest.raises(ManifestError, match=message) as caught:
        from_stdin(b"a.mp4\n\n" + line)
    assert caught.value.message.startswith("stdin:3: ")


def test_an_unknown_key_names_the_close_one():
    with pytest.raises(ManifestError) as caught:
        from_stdin(b'{"path": "a", "strat": 1}')
    assert caught.value.hint == 'did you mean "start"?'


@pytest.mark.parametrize("path", ["C:\\a.mp4", "C://a.mp4", "a:b.mp4", "/a//b.mp4", "a.mp4"])
def test_local_names_are_not_taken_for_uris(path):
    assert not is_remote(path)


def test_names_that_the_system_cannot_encode_are_left_to_the_reader():
    assert paths(from_stdin(b'{"path": "a\\ud800.mp4"}')) == ["a\ud800.mp4"]
    assert paths(from_stdin(b'{"path": "a\\u0000.mp4"}')) == ["a\0.mp4"]


def test_a_typed_uri_is_allowed_and_one_of_stdin_is_not():
    (typed,) = expand_inputs(["s3://b/a.mp4"])
    listed, trimmed = from_stdin(b's3://b/a.mp4\n{"path": "s3://b/a.mp4", "end": 1}\n')
    assert [type(ref.path) for ref in (typed, listed, trimmed)] == [AllowedUri, str, str]
    allowed = from_stdin(b's3://b/a.mp4\n{"path": "s3://b/a.mp4", "end": 1}\n', allow_remote=True)
    assert [type(ref.path) for ref in allowed] == [AllowedUri, AllowedUri]


def test_secrets_of_a_uri_are_in_no_record():
    uri = "https://x/a.mp4?X-Amz-Signature=abc"
    (typed,) = expand_inputs([uri])
    line = json.dumps({"path": uri, "end": 1}).encode()
    refs = [typed, *from_stdin(line), *from_stdin(line, allow_remote=True)]
    assert {ref.id for ref in refs} == {"https://x/a.mp4?X-Amz-Signature=***"}
    assert {ref.path for ref in refs} == {uri}


def write_tar(path, *names):
    with tarfile.open(path, "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))


def test_an_archive_is_the_videos_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tar("x.tar", "a.mp4", "a.json", "sub/b.webm", "._a.mp4")
    assert [ref.id for ref in expand_inputs(["x.tar"])] == ["x.tar/a.mp4", "x.tar/sub/b.webm"]
    assert [ref.id for ref in expand_inputs(["x.tar"], glob="*.webm")] == ["x.tar/sub/b.webm"]
    assert [ref.id for ref in from_stdin(b"x.tar\n")] == ["x.tar/a.mp4", "x.tar/sub/b.webm"]


def test_a_range_of_archives_is_each_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (8, 9, 10):
        write_tar(f"c-{number:03}.tar", "a.mp4")
    found = [ref.id for ref in expand_inputs(["c-{008..010}.tar"])]
    assert found == ["c-008.tar/a.mp4", "c-009.tar/a.mp4", "c-010.tar/a.mp4"]


@pytest.mark.parametrize("name", ["c-{3..1}.tar", "c-{a..b}.tar", "c-{0..9999999}.tar", "c-{}.tar"])
def test_what_is_no_range_is_a_name(name):
    assert paths(expand_inputs([name])) == [name]
