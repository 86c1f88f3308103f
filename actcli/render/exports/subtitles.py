"""Subtitles that players show over the video: SubRip (.srt) and WebVTT (.vtt).

SubRip has no standard; readers agree on numbered cues with `HH:MM:SS,mmm --> HH:MM:SS,mmm`, text
lines and a blank line. It has no escapes, so a label that reads as markup stays as it is.
WebVTT: W3C Candidate Recommendation, https://www.w3.org/TR/webvtt1/. Before each cue stands a
comment, `NOTE` with a JSON object: label, score, start and end in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actcli.render.exports.cues import CueTimes, OneVideo, caption, clock, plain, seconds
from actcli.render.records import rounded, to_json
from actcli.render.sinks import Sink
from actcli.types import Failure, Prediction


class SrtWriter:
    """SubRip: a cue for each result as it comes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._times = CueTimes()
        self._video = OneVideo("srt")
        self._num_cues = 0

    def write(self, result: Prediction | Failure) -> None:
        """Write one cue and flush it; a failure is left out. UsageError for a second video."""
        if isinstance(result, Failure):
            return
        self._video.check(result)
        start, end = (clock(time_ms, ",") for time_ms in self._times(*seconds(result)))
        self._num_cues += 1
        text = caption(result).replace("-->", "->")
        self._sink.write(f"{self._num_cues}\n{start} --> {end}\n{text}\n\n")

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Leave an empty file if there was no cue."""
        if self._sink.is_empty:
            self._sink.write("")

    def close(self) -> None:
        """Let go of the file."""
        self._sink.close()


class VttWriter:
    """WebVTT: a comment with the score and a cue for each result as it comes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._times = CueTimes()
        self._video = OneVideo("vtt")
        self._num_cues = 0

    def write(self, result: Prediction | Failure) -> None:
        """Write one cue and flush it; a failure is left out. UsageError for a second video."""
        if isinstance(result, Failure):
            return
        self._video.check(result)
        start_s, end_s = seconds(result)
        start, end = (clock(time_ms, ".") for time_ms in self._times(start_s, end_s))
        self._num_cues += 1
        score = rounded(result.score)
        note = {"label": plain(result.label), "score": score, "start": start_s, "end": end_s}
        comment = to_json(note).replace(">", "\\u003e")  # no "-->" in a comment
        text = caption(result).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        head = "WEBVTT\n\n" if self._sink.is_empty else ""
        cue = f"{self._num_cues}\n{start} --> {end}\n{text}\n\n"
        self._sink.write(f"{head}NOTE {comment}\n\n{cue}")

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Leave the header if there was no cue."""
        if self._sink.is_empty:
            self._sink.write("WEBVTT\n")

    def close(self) -> None:
        """Let go of the file."""
        self._sink.close()
