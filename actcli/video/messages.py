"""What a decode process says to its parent: JSON and pixels, checked on arrival.

Never pickled: a file may have taken over the process that decodes it, and unpickling what that
process sends would hand the parent over as well. What it can still do is to lie about its video.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from actcli.errors import VideoError, VideoErrorKind
from actcli.types import Clip, VideoRef
from actcli.windows import Window, WindowBlock, WindowsRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_HEAD_BYTES: Final = 16 << 20
_MAX_TEXT: Final = 10_000
_MAX_WARNINGS: Final = 100

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Side = Annotated[int, Field(ge=1, lt=2**31)]
Text = Annotated[str, Field(max_length=_MAX_TEXT)]
Times = tuple[tuple[Finite, ...], ...]
Warnings = Annotated[tuple[Text, ...], Field(max_length=_MAX_WARNINGS)]


class MessageError(Exception):
    """A decode process says what it has no reason to say."""


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ready(_Head):
    """It can take jobs."""

    kind: Literal["ready"] = "ready"


class StillAtWork(_Head):
    """A beat: much of a video must be read before its first block."""

    kind: Literal["beat"] = "beat"


class Ended(_Head):
    """No more blocks of this video."""

    kind: Literal["end"] = "end"


class Failed(_Head):
    """A `VideoError`."""

    kind: Literal["failed"] = "failed"
    error: VideoErrorKind
    message: Text
    hint: Text | None


class ClipHead(_Head):
    """A `Clip` but for its ref and pixels."""

    kind: Literal["clip"] = "clip"
    shape: tuple[Side, Side, Side, Side, Side]
    times_s: Times
    start_s: Finite
    end_s: Finite
    warnings: Warnings


class BlockHead(_Head):
    """A `WindowBlock` but for its ref and pixels."""

    kind: Literal["block"] = "block"
    shape: tuple[Side, Side, Side, Side, Side]
    number: Count
    first_place: Count
    windows: tuple[Window, ...]
    video_s: Finite
    is_last: bool
    may_keep: bool
    warnings: Warnings


Head = Ready | StillAtWork | Ended | Failed | ClipHead | BlockHead
_HEADS: Final[TypeAdapter[Head]] = TypeAdapter(Annotated[Head, Field(discriminator="kind")])
_BLOCK_FIELDS: Final = [f.name for f in fields(WindowBlock) if f.name not in ("ref", "frames")]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A head, and the pixels that came after it."""

    head: Head
    frames: NDArray[np.uint8] | None = None

    def of(self, request: VideoRef | WindowsRef) -> Clip | WindowBlock | VideoError | None:
        """The answer as a value of what was asked for; None ends a video in blocks.

        Raises MessageError if it answers something else.
        """
        import numpy as np

        head, frames = self.head, self.frames
        is_film = isinstance(request, WindowsRef)
        ref = request.video if isinstance(request, WindowsRef) else request
        if isinstance(head, Failed):
            return VideoError(head.error, head.message, hint=head.hint)
        if isinstance(head, ClipHead) and frames is not None and not is_film:
            if [len(view) for view in head.times_s] != [head.shape[1]] * head.shape[0]:
                raise MessageError("not a time for each frame")
            return Clip(
                ref, frames, np.asarray(head.times_s), head.start_s, head.end_s, head.warnings
            )
        if isinstance(head, BlockHead) and frames is not None and isinstance(request, WindowsRef):
            if not request.has(head.number):
                raise MessageError("another block than was asked for")
            return WindowBlock(ref, frames, **{name: getattr(head, name) for name in _BLOCK_FIELDS})
        if isinstance(head, Ended) and is_film:
            return None
        raise MessageError(f"{head.kind} is no answer")


def send(connection: Connection, value: Clip | WindowBlock | VideoError | Head) -> None:
    """The worker's end. Pixels go as they lie in memory."""
    if isinstance(value, Clip):
        _send_head(connection, ClipHead.model_construct(
            shape=value.frames.shape, times_s=value.times_s.tolist(), start_s=value.start_s,
            end_s=value.end_s, warnings=_short(value.warnings),
        ))  # fmt: skip
        connection.send_bytes(value.frames.reshape(-1).data)
    elif isinstance(value, WindowBlock):
        told = {name: getattr(value, name) for name in _BLOCK_FIELDS}
        told["warnings"] = _short(value.warnings)
        _send_head(connection, BlockHead.model_construct(shape=value.frames.shape, **told))
        connection.send_bytes(value.frames.reshape(-1).data)
    elif isinstance(value, VideoError):
        hint = value.hint and value.hint[:_MAX_TEXT]
        _send_head(connection, Failed.model_construct(
            error=value.kind, message=value.message[:_MAX_TEXT], hint=hint
        ))  # fmt: skip
    else:
        _send_head(connection, value)


def receive(connection: Connection, max_bytes: int) -> Answer:
    """The parent's end.

    max_bytes: pixels of an answer at most
    Raises EOFError or OSError if the worker dies, MessageError for what a worker never says.
    """
    try:
        head = _HEADS.validate_json(connection.recv_bytes(_MAX_HEAD_BYTES))
    except ValidationError as error:
        raise MessageError("not a message") from error
    if not isinstance(head, ClipHead | BlockHead):
        return Answer(head)
    return Answer(head, _receive_pixels(connection, head.shape, max_bytes))


def _receive_pixels(
    connection: Connection, shape: Sequence[int], max_bytes: int
) -> NDArray[np.uint8]:
    import math

    import numpy as np

    size = math.prod(shape)
    if size > max_bytes:
        raise MessageError("more pixels than were asked for")
    # Not into an array: that takes a message of any length into memory first.
    pixels = bytearray(connection.recv_bytes(size))
    if len(pixels) != size:
        raise MessageError("fewer pixels than it said")
    return np.frombuffer(pixels, np.uint8).reshape(tuple(shape))


def _send_head(connection: Connection, head: Head) -> None:
    # Names of files may hold what is not UTF-8.
    text = json.dumps(head.__dict__ | {"kind": head.kind}, default=_plain, ensure_ascii=False)
    connection.send_bytes(text.encode("utf-8", "replace"))


def _short(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(text[:_MAX_TEXT] for text in warnings[:_MAX_WARNINGS])


def _plain(value: Any) -> Any:
    return {f.name: getattr(value, f.name) for f in fields(value)}
