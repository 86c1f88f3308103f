"""Label Studio: tasks with predictions on the timeline of a video.

Shape: https://labelstud.io/guide/predictions and https://labelstud.io/tags/timelinelabels. Import
it into a project with this labelling configuration, where the labels are those of the run:

    <View>
      <Video name="video" value="$video" frameRate="$fps"/>
      <TimelineLabels name="timelineLabels" toName="video">
        <Label value="run"/>
      </TimelineLabels>
    </View>

Ranges are frames counted from 1, the last one included. Label Studio takes the frame rate from
the configuration (24 unless told), so each task has `fps`: the frames until the end of its last
part over the time until there. Results of whole videos have no frames; theirs are counted at 24.
`video` is what was typed, so where Label Studio serves files under other addresses, put those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from actcli.render.exports.rows import DocumentWriter, Row, Video
from actcli.render.records import to_json

_DEFAULT_FPS: Final = 24.0


class LabelStudioWriter(DocumentWriter):
    """A list of tasks, one a line."""

    def _document(self, videos: list[Video]) -> Iterator[str]:
        yield "["
        for i, video in enumerate(videos):
            yield (",\n" if i else "\n") + to_json(_task(video, self._model))
        yield "\n]\n"


def _task(video: Video, model: str) -> dict[str, Any]:
    rows = sorted(video.rows.items(), key=lambda item: item[0][:3])
    fps = _frame_rate(video)
    scores = [score for _, score in rows if score is not None]
    mean = round(sum(scores) / len(scores), 6) if scores else None
    regions = [_region(i, row, score, fps) for i, (row, score) in enumerate(rows, start=1)]
    return {
        "data": {"video": video.id, "fps": fps},
        "predictions": [{"model_version": model, "score": mean, "result": regions}],
    }


def _region(number: int, row: Row, score: float | None, fps: float) -> dict[str, Any]:
    if row.first_frame is not None and row.last_frame is not None:
        start, end = row.first_frame + 1, row.last_frame + 1
    else:
        start = math.floor(row.start_s * fps) + 1
        end = max(start, math.ceil(row.end_s * fps))
    return {
        "id": f"region-{number}",
        "from_name": "timelineLabels",
        "to_name": "video",
        "type": "timelinelabels",
        "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [row.label]},
        "score": score,
    }


def _frame_rate(video: Video) -> float:
    ends = [(row.end_s, row.last_frame) for row in video.rows if row.last_frame is not None]
    end_s, last_frame = max(ends, default=(0.0, 0))
    return round((last_frame + 1) / end_s, 3) if end_s > 0 else _DEFAULT_FPS
