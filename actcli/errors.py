"""What can go wrong, what a script is told about it, and how a message is put.

    ActcliError                   exit code
    |- UsageError                 2   flags, config and label file contradict each other
    |- PartialFailure             3   results were written, some videos failed
    |- InputError                 4   nothing usable to read
    |  |- VideoError                  one video: `kind` says which way it is bad
    |  `- ManifestError               one row of a list: file, line, column
    |- ModelError                 4   weights absent, digest differs, of another method
    |- ResourceError              4   out of memory, no such device, missing extra, disk full
    `- GateError                  5   a requested quality threshold was missed

0 is success, 1 a bug of ours (any other exception), 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

VideoErrorKind = Literal[
    "not_found",
    "unreadable",
    "not_video",
    "no_frames",
    "truncated",
    "unsupported",
    "too_large",
    "timeout",
    "crashed",
    "remote",
    "refused",
]
VIDEO_ERROR_KINDS: Final[tuple[str, ...]] = get_args(VideoErrorKind)
_LONGEST: Final = 1000
"""Characters of a message."""


class ActcliError(Exception):
    """An error of the user's world: a sentence, a hint that can be typed, an exit code."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = _fitted(message)
        super().__init__(message)
        self.message = message
        self.hint = None if hint is None else _fitted(hint)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class UsageError(ActcliError):
    """The command line, the config or the label file contradict themselves."""

    exit_code = 2


class PartialFailure(ActcliError):  # noqa: N818
    """Results were written, and some inputs failed."""

    exit_code = 3


class InputError(ActcliError):
    """Nothing usable to read."""


class VideoError(InputError):
    """One video that cannot be used; it becomes a `Failure` in the stream of results."""

    def __init__(self, kind: VideoErrorKind, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind: VideoErrorKind = kind


class ManifestError(InputError):
    """A row of a list of videos that cannot be read."""


class ModelError(ActcliError):
    """A model that cannot be found, read or used."""


class ResourceError(ActcliError):
    """The machine lacks something: memory, a device, a package, disk space."""


class GateError(ActcliError):
    """A requested quality threshold was missed."""

    exit_code = 5


def _fitted(text: str) -> str:
    """A message without the middle of what a file had too much of."""
    part = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:part]} … {text[-part:]}"


def _rebuild(
    cls: type[ActcliError], args: tuple[object, ...], state: dict[str, object]
) -> ActcliError:
    """Unpickle an error that crossed from a decode worker without knowing its signature."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


_FLAGS: Final = {
    "num_frames": "--frames",
    "num_views": "--views",
    "stride_s": "--stride",
    "window_s": "--window",
    "window_stride_s": "--stride",
    "min_length_s": "--min-length",
    "max_duration_s": "--max-duration",
    "timeout_s": "--timeout",
    "max_memory_mib": "--max-memory",
    "templates": "--template",
    "use_cache": "--no-cache",
    "clips_per_step": "--batch-size",
    "learning_rate": "--lr",
    "warm_up": "--warmup",
    "amp": "--precision",
}


def flag_of(name: str) -> str:
    """The command-line flag that sets a field or parameter: what the user typed, for messages."""
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


def close_names(name: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """The known names that look most like `name`, best first."""
    import difflib

    folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), folded, n=limit, cutoff=0.5)
    return [folded[match] for match in found]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint with the close names, if there are any."""
    close = close_names(name, known)
    return f"did you mean {' or '.join(close)}?" if close else None


def shorten_list(names: Iterable[str], *, limit: int = 5) -> str:
    """Names in quotes, cut after `limit` with a count of the rest."""
    listed = list(names)
    text = ", ".join(f'"{name}"' for name in listed[:limit])
    return text if len(listed) <= limit else f"{text} and {len(listed) - limit} more"
