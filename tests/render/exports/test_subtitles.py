import io
import json
import re

import pytest
import srt
import webvtt
from hypothesis import example, given
from hypothesis import strategies as st

from actcli.errors import UsageError
from actcli.render.exports.subtitles import SrtWriter, VttWriter
from actcli.render.files import open_writer
from actcli.render.sinks import StreamSink
from actcli.types import Prediction, ScoredLabel, VideoRef

labels = st.text(st.characters(exclude_categories=()), min_size=1)


def cue(label, start_s=0.0, end_s=1.0):
    ranked = (ScoredLabel(label, 0.5),)
    return Prediction(VideoRef("a.mp4"), ranked, "softmax", "clip", "demo", start_s, end_s, ())


def written(writer_of, results):
    stream = io.BytesIO()
    writer = writer_of(StreamSink(stream))
    for result in results:
        writer.write(result)
    writer.finish()
    return stream.getvalue().decode()


def read_vtt(text):
    return webvtt.from_string(text)


def test_srt_is_read_back_by_another_reader(exported, window):
    cues = list(srt.parse(exported("srt", [window(0, 4), window(4, 8.0405, "jump")])))
    assert [cue.index for cue in cues] == [1, 2]
    assert [cue.content for cue in cues] == ["run 83%", "jump 83%"]
    assert [cue.start.total_seconds() for cue in cues] == [0, 4]
    assert cues[1].end.total_seconds() == pytest.approx(8.041)


def test_vtt_is_read_back_by_another_reader(exported, window):
    cues = read_vtt(exported("vtt", [window(0, 4), window(4, 8.04, "a<b & c")]))
    assert [(cue.start, cue.end) for cue in cues] == [
        ("00:00:00.000", "00:00:04.000"), ("00:00:04.000", "00:00:08.040")]  # fmt: skip
    assert [cue.raw_text for cue in cues] == ["run 83%", "a&lt;b &amp; c 83%"]
    assert [cue.identifier for cue in cues] == ["1", "2"]


def test_vtt_tells_scores_to_programs_in_comments(exported, window):
    text = exported("vtt", [window(0, 4, "a --> b"), window(4, 8)])
    notes = [json.loads(line) for line in re.findall("^NOTE (.*)$", text, re.MULTILINE)]
    assert notes[0] == {"label": "a --> b", "score": 0.83, "start": 0.0, "end": 4.0}
    assert text.count("-->") == 2


@example(["00:00:01,000 --> 00:00:02,000", "\n\n2\n00:00:01.000 --> 00:00:02.000\nx"])
@given(st.lists(labels, min_size=1, max_size=4))
def test_no_label_breaks_a_subtitle_file(texts):
    results = [cue(label, i, i + 1.0) for i, label in enumerate(texts)]
    as_srt, as_vtt = (written(writer, results) for writer in (SrtWriter, VttWriter))
    assert len(list(srt.parse(as_srt))) == len(texts)
    assert len(read_vtt(as_vtt)) == len(texts)
    assert as_srt.count("-->") == as_vtt.count("-->") == len(texts)
    for block in as_vtt.split("\n\n")[2::2]:  # header, then comment and cue in turn
        assert re.search("[<>]|&(?!amp;|lt;|gt;)", block.split("\n", 2)[2]) is None


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_every_cue_is_there_as_soon_as_it_is_written(tmp_path, window, format):
    path = tmp_path / f"film.{format}"
    writer = open_writer(format, path=path)
    for count in (1, 2):
        writer.write(window(count, count + 1))
        assert path.read_text().count("-->") == count
    writer.close()


@pytest.mark.parametrize("format", ["srt", "vtt", "eaf"])
def test_a_second_video_in_one_file_is_refused(exported, window, format):
    with pytest.raises(UsageError, match=r"second, b\.mp4") as caught:
        exported(format, [window(0, 4), window(4, 8, path="b.mp4")])
    assert caught.value.hint == f"-o FOLDER/ --format {format}"
    with pytest.raises(UsageError):
        exported(format, [window(4, 8), window(0, 4)])


@pytest.mark.parametrize("format", ["srt", "vtt", "eaf"])
def test_a_failure_is_left_out(exported, window, failure, format):
    results = [failure("bad.mp4"), window(0, 4), failure("worse.mp4")]
    text = exported(format, results)
    assert text.count("run") == exported(format, [window(0, 4)]).count("run") > 0
    assert "bad" not in text


def test_a_whole_video_is_one_cue(exported, prediction):
    (cue,) = srt.parse(exported("srt", [prediction()]))
    assert (cue.start.total_seconds(), cue.end.total_seconds()) == (0, 4.2)
    assert len(read_vtt(exported("vtt", [prediction()]))) == 1


def test_without_results_a_file_is_still_valid(exported):
    assert exported("srt", []) == ""
    assert exported("vtt", []) == "WEBVTT\n"
