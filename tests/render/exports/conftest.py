import io

import pytest

from actcli.render.files import open_writer
from actcli.types import Part, Prediction, ScoredLabel, VideoRef


@pytest.fixture
def window():
    """A window of a film of 25 frames a second."""

    def make(start_s, end_s, label="run", *, score=0.83, path="film.mp4", id=""):
        frames = round(start_s * 25), round(end_s * 25) - 1
        return Prediction(
            ref=VideoRef(path, start_s, end_s, id),
            ranked=(ScoredLabel(label, score), ScoredLabel("other", 0.01)),
            score_kind="softmax",
            method="clip",
            model="demo",
            start_s=start_s,
            end_s=end_s,
            frames_s=(start_s,),
            part=Part("window", *frames, 600.0),
        )

    return make


@pytest.fixture
def exported():
    def export(format, results, run=None):
        stream = io.BytesIO()
        writer = open_writer(format, stream=stream, run=run)
        for result in results:
            writer.write(result)
        writer.finish(run)
        writer.close()
        return stream.getvalue().decode()  # strict: no byte of it may be anything but UTF-8

    return export
