import errno
import io
import os

import pytest

from actcli.errors import ResourceError, UsageError
from actcli.render.sinks import FileSink, StreamSink, check_output, encode


class BrokenStream(io.RawIOBase):
    def __init__(self, code):
        self.code = code

    def writable(self):
        return True

    def write(self, data):
        raise OSError(self.code, os.strerror(self.code))


class CountingStream(io.BytesIO):
    def __init__(self):
        super().__init__()
        self.writes = []

    def write(self, data):
        self.writes.append(bytes(data))
        return super().write(data)


def test_a_file_opens_with_its_first_line(tmp_path):
    path = tmp_path / "preds.jsonl"
    path.write_text("old\n")
    sink = FileSink(path)
    assert path.read_text() == "old\n"
    sink.write("new\n")
    assert path.read_text() == "new\n"
    sink.close()


def test_a_continued_file_keeps_its_lines(tmp_path):
    path = tmp_path / "preds.jsonl"
    path.write_text("old\n")
    sink = FileSink(path, append=True)
    assert not sink.is_empty
    sink.write("new\n")
    sink.close()
    assert path.read_text() == "old\nnew\n"


def test_a_line_is_one_write():
    stream = CountingStream()
    sink = StreamSink(stream)
    assert sink.is_empty
    sink.write("one\n")
    sink.write("two\n")
    assert stream.writes == [b"one\n", b"two\n"]
    assert not sink.is_empty


def test_what_was_printed_before_comes_first():
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding="ascii")
    text.write("before ")
    StreamSink(text).write("ö\udcff\n")
    assert raw.getvalue() == b"before \xc3\xb6\xff\n"


def test_a_full_disk_is_a_resource_error_that_can_be_continued():
    with pytest.raises(ResourceError, match="No space left") as caught:
        StreamSink(BrokenStream(errno.ENOSPC)).write("x\n")
    assert "--skip-done" in str(caught.value.hint)
    with pytest.raises(ResourceError) as caught:
        StreamSink(BrokenStream(errno.EIO)).write("x\n")
    assert caught.value.hint is None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_file_on_a_full_disk_is_a_resource_error():
    sink = FileSink("/dev/full")
    with pytest.raises(ResourceError, match="/dev/full"):
        sink.write("x\n")
    sink.close()


def test_a_closed_pipe_is_passed_on():
    with pytest.raises(BrokenPipeError):
        StreamSink(BrokenStream(errno.EPIPE)).write("x\n")


def test_names_come_out_as_the_bytes_they_are():
    assert encode("a\udcff") == b"a\xff"
    assert encode("a\ud800") == b"a\\ud800"


def test_a_file_that_cannot_be_written_is_refused_early(tmp_path):
    check_output(tmp_path / "preds.csv")
    with pytest.raises(UsageError, match="is a directory"):
        check_output(tmp_path)
    with pytest.raises(UsageError, match="does not exist") as caught:
        check_output(tmp_path / "no" / "preds.csv")
    assert str(caught.value.hint).startswith("mkdir -p")
