"""Results and pages to look at, made without a model, and a reader of the HTML that comes out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

from actcli.errors import VideoError
from actcli.render.report.collector import ReportCollector
from actcli.render.report.model import Strip, make_strip
from actcli.render.report.page import render_page, videos_page
from actcli.types import Failure, Part, Prediction, ScoredLabel, VideoRef

# The smallest picture there is: one grey pixel.
PIXEL = bytes.fromhex(
    "52494646240000005745425056503820180000003001009d012a0100010002003425a400037000fefb94000000"
)
VOID = {"meta", "img", "input", "wbr", "br", "link"}


def prediction(name: str = "a.mp4", label: str = "run", score: float = 0.8,
               target: str | None = None, **changes: Any) -> Prediction:  # fmt: skip
    ranked = (ScoredLabel(label, score, 0.27), ScoredLabel("other", 1 - score, 0.2))
    values: dict[str, Any] = {
        "ref": VideoRef(name, label=target), "ranked": ranked, "score_kind": "softmax",
        "method": "clip", "model": "demo", "start_s": 0.0, "end_s": 4.0,
        "frames_s": (0.5, 1.5, 2.5, 3.5),
    }  # fmt: skip
    return Prediction(**values | changes)


def failure(name: str = "bad.mp4", message: str = "no video stream") -> Failure:
    return Failure(VideoRef(name), VideoError("not_video", message, hint="ffprobe"))


def windows(labels: Iterable[str], name: str = "film.mp4", *, length: float = 4.0,
            stride: float = 1.0, kind: Any = "window") -> list[Prediction]:  # fmt: skip
    found = []
    all_labels = list(labels)
    video_s = (len(all_labels) - 1) * stride + length
    for i, label in enumerate(all_labels):
        start = i * stride
        ref = VideoRef(name, start, start + length)
        part = Part(kind, round(25 * start), round(25 * (start + length)), video_s)
        found.append(prediction(name, label, 0.6 + 0.01 * (i % 30), ref=ref, part=part,
                                start_s=start, end_s=start + length))  # fmt: skip
    return found


def run_of(command: str = "classify", **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "command": command, "config": {"sampling": {"num_frames": 8}, "templates": ["a {}"]},
        "versions": {"actcli": "0.1.0"}, "model": "demo", "model_digest": "f4653fd2de3cd053",
        "labels": ["run", "other"], "prompts": [["a run"], ["a other"]], "device": "cpu",
        "precision": "fp32", "seed": 0, "started": "2026-01-01T00:00:00+00:00", "notes": {},
        "timings": {}, "counts": {}, "fingerprint": "f1",
    }  # fmt: skip
    return values | changes


def collected(results: Iterable[Prediction | Failure], **options: Any) -> ReportCollector:
    collector = ReportCollector(**options)
    for result in results:
        collector.add(result)
    return collector


def strips_of(collector: ReportCollector) -> dict[VideoRef, Strip]:
    return {ref: make_strip([PIXEL] * len(times_s), times_s) for ref, times_s in collector.wanted()}


def page_of(results: Iterable[Prediction | Failure], **options: Any) -> str:
    collector = collected(results, **options)
    return render_page(videos_page(collector, run_of(), strips_of(collector)))


class Read(HTMLParser):
    """What a browser would see of a page, roughly: its elements, texts, and whether it is whole."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """All text, with the script and the styles."""
        return "".join(self.texts)


def data_of(text: str) -> dict[str, Any]:
    """What the page gives to its script."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data
