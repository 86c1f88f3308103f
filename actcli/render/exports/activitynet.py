"""ActivityNet: results of temporal action localisation, as its evaluation reads them.

Shape: sample_detection_prediction.json and eval_detection.py of
https://github.com/activitynet/ActivityNet, folder Evaluation. Segments are in seconds. A video is
named by its file without suffix, "v_" of ActivityNet's own files left out; where two have the same
name, by what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from actcli.render.exports.rows import DocumentWriter, Row, Video, short_names
from actcli.render.records import to_json

_VERSION: Final = "VERSION 1.3"
_OWN_FILE: Final = re.compile(r"v_([\w-]{11})")


class ActivityNetWriter(DocumentWriter):
    """One object `{version, results, external_data}`, a video a line."""

    def _document(self, videos: list[Video]) -> Iterator[str]:
        yield to_json({"version": _VERSION}).removesuffix("}") + ',"results":{'
        for i, (name, video) in enumerate(zip(_names(videos), videos, strict=True)):
            rows = sorted(video.rows.items(), key=lambda item: item[0][:3])
            found = [_detection(row, score) for row, score in rows]
            yield (",\n" if i else "\n") + to_json({name: found})[1:-1]
        external = {"used": True, "details": f"actcli: {self._model}"}
        yield '\n},"external_data":' + to_json(external) + "}\n"


def _names(videos: list[Video]) -> list[str]:
    names = short_names(videos)
    own = [_OWN_FILE.fullmatch(name) for name in names]
    bare = [match[1] if match else name for match, name in zip(own, names, strict=True)]
    return bare if len(set(bare)) == len(bare) else names


def _detection(row: Row, score: float | None) -> dict[str, Any]:
    return {"label": row.label, "score": score, "segment": [row.start_s, row.end_s]}
