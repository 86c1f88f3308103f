"""FiftyOne: the labels.json of its FiftyOneTemporalDetectionDataset.

Shape: https://docs.voxel51.com/user_guide/import_datasets.html, "FiftyOneTemporalDetectionDataset".
A video is named by its path without suffix inside the folder that holds all videos, so that folder
is the data_path:

    fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.FiftyOneTemporalDetectionDataset,
        data_path="FOLDER", labels_path="labels.json",
    )

A window or segment has its frames, `support`, counted from 1, the last one included; a whole video
has `timestamps` in seconds. FiftyOne tells videos apart by that name alone: where two differ only
in their suffix, the suffix stays, and data_path must be a dict of names and paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actcli.render.exports.rows import DocumentWriter, Row, Video, names_in_folder
from actcli.render.records import to_json


class FiftyOneWriter(DocumentWriter):
    """One object `{classes, labels}`, a video a line."""

    def _document(self, videos: list[Video]) -> Iterator[str]:
        classes = self._classes(videos)
        names = to_json({"classes": list(classes)}).removesuffix("}")
        yield names + ',"labels":{'
        for i, (name, video) in enumerate(zip(names_in_folder(videos), videos, strict=True)):
            rows = sorted(video.rows.items(), key=lambda item: item[0][:3])
            found = [_detection(row, score, classes[row.label]) for row, score in rows]
            yield (",\n" if i else "\n") + to_json({name: found})[1:-1]
        yield "\n}}\n"

    def _classes(self, videos: list[Video]) -> dict[str, int]:
        """The labels of the run in their order, else those that were found, each with its class."""
        run_labels = list((self._run or {}).get("labels") or [])
        found = sorted({row.label for video in videos for row in video.rows})
        labels = dict.fromkeys([*run_labels, *found])
        return {label: target for target, label in enumerate(labels)}


def _detection(row: Row, score: float | None, target: int) -> dict[str, Any]:
    if row.first_frame is not None and row.last_frame is not None:
        where: dict[str, Any] = {"support": [row.first_frame + 1, row.last_frame + 1]}
    else:
        where = {"timestamps": [row.start_s, row.end_s]}
    return {"label": target, **where, "confidence": score}
