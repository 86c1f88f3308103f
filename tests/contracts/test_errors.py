"""Every error class has its exit code, and survives the way from a worker process."""

import pickle

import pytest

from actcli import errors
from actcli.errors import ActcliError, VideoError

EXIT_CODES = {
    "ActcliError": 4,
    "UsageError": 2,
    "PartialFailure": 3,
    "InputError": 4,
    "VideoError": 4,
    "ManifestError": 4,
    "ModelError": 4,
    "ResourceError": 4,
    "GateError": 5,
}


def error_classes() -> dict[str, type[ActcliError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, ActcliError)
    }


def test_every_error_class_has_the_exit_code_of_the_contract() -> None:
    assert {name: cls.exit_code for name, cls in error_classes().items()} == EXIT_CODES


def test_the_drawn_tree_names_every_class_with_its_code() -> None:
    drawing = errors.__doc__ or ""
    for name in error_classes():
        assert name in drawing, f"{name} is missing from the tree in errors.py"


def test_the_kinds_of_bad_video_are_the_contracts_closed_list() -> None:
    assert errors.VIDEO_ERROR_KINDS == (
        "not_found", "unreadable", "not_video", "no_frames", "truncated", "unsupported",
        "too_large", "timeout", "crashed", "remote", "refused",
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(EXIT_CODES) - {"VideoError"}))
def test_an_error_survives_pickling(name: str) -> None:
    error = error_classes()[name]("a: wrong", hint="try b")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.hint) == (type(error), "a: wrong", "try b")


def test_a_video_error_keeps_its_kind_through_pickling() -> None:
    copy = pickle.loads(pickle.dumps(VideoError("no_frames", "no frame", hint="h")))
    assert (copy.kind, copy.message, copy.hint) == ("no_frames", "no frame", "h")


def test_close_names_are_found_whatever_their_case() -> None:
    assert errors.close_names("Kinetics40", ["kinetics400", "ucf101"]) == ["kinetics400"]


def test_long_lists_of_names_are_cut_with_a_count() -> None:
    assert errors.shorten_list("abcdefg", limit=2) == '"a", "b" and 5 more'
