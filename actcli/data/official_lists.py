"""The lists that datasets come with: UCF101, HMDB51, Something-Something, and few-shot splits.

    trainlist01.txt           Archery/v_Archery_g08_c01.avi 3       (testlist01.txt: no number)
    <label>_test_split1.txt   file.avi 1                            (1 train, 2 test, 0 unused)
    validation.json           [{"id": "78687", "template": "Holding [something]", …}, …]
    train_few_shot.txt        train0//videos/…/file.avi, or train0/78687

Where a list gives labels by number as well, the name is what counts.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator

from actcli.data.kinetics_lists import FileFinder
from actcli.data.list_text import FEW_SHOT_LINE, HMDB_NAME, UCF_NAME, ListText, read_list_text
from actcli.data.rows import Row
from actcli.data.table_lists import place_path
from actcli.data.walk import natural_key
from actcli.errors import InputError, ManifestError, UsageError
from actcli.reading import parse_json, shown

log = logging.getLogger("actcli.data.official_lists")

_UCF_LINE = re.compile(r"(?P<path>(?P<label>[^/\s]+)/\S+)(\s+(?P<number>\d+))?\s*")
_HMDB_LINE = re.compile(r"(?P<file>\S(?:.*\S)?)\s+(?P<use>[012])\s*")
_HMDB_SPLITS = {"0": None, "1": "train", "2": "test"}
_SPLIT_IN_NAME = re.compile(r"(?:.*[-_])?(train|validation|val|test)")


def numbered_split(split: str | None) -> tuple[str | None, int | None]:
    """ "train2" as ("train", 2): name and number of an official split."""
    match = re.fullmatch(r"(.*?\D)(\d+)", split or "")
    return (match[1], int(match[2])) if match else (split, None)


def read_split_folder(
    folder: str, names: re.Pattern[str], root: str | None, number: int | None
) -> list[Row]:
    """The rows of all lists of one split number in a folder.

    names: what the lists are called, with the groups `number` and `label` or `split`
    number: which split; the first there is if None, with a warning where there are more

    Raises UsageError for a number that isn't there, ManifestError.
    """
    found = [match for name in os.listdir(folder) if (match := names.fullmatch(name))]
    numbers = sorted({int(match["number"]) for match in found})
    chosen = numbers[0] if number is None else number
    if chosen not in numbers:
        known = ", ".join(map(str, numbers))
        raise UsageError(
            f"{folder}: no split {chosen} (got lists of {known})",
            hint=f"--split train{numbers[0]}",
        )
    if number is None and len(numbers) > 1:
        log.warning(
            "%s: split %d of %s (--split train%d chooses another)",
            folder, chosen, ", ".join(map(str, numbers)), numbers[1],
        )  # fmt: skip
    read = read_hmdb if names is HMDB_NAME else read_ucf
    files = sorted((m[0] for m in found if int(m["number"]) == chosen), key=natural_key)
    top = folder if root is None else root
    lists = (read_list_text(os.path.join(folder, name), top) for name in files)
    return [row for text in lists for row in read(text)]


def check_number(found: ListText, names: re.Pattern[str], number: int | None) -> None:
    """Raise UsageError if a list is of another split number than the one asked for."""
    match = names.fullmatch(os.path.basename(found.source))
    if match and number is not None and int(match["number"]) != number:
        raise UsageError(
            f"{found.source}: is of split {int(match['number'])} (got --split …{number})",
            hint="give the folder that holds all the lists",
        )


def read_ucf(found: ListText) -> list[Row]:
    """A list of UCF101: the label is the folder's name; numbers must agree with classInd.txt."""
    name = UCF_NAME.fullmatch(os.path.basename(found.source))
    split = name["split"] if name else None
    numbers = _class_numbers(os.path.join(os.path.dirname(found.source), "classInd.txt"))
    rows = []
    for line, match in _matches(found, _UCF_LINE, "<label>/<file>, a class number after it"):
        label, number = match["label"], match["number"]
        if number and numbers and numbers.get(number, label) != label:
            raise ManifestError(
                f"{found.source}:{line}: the folder and the class number differ "
                f'(got {label} and {number}, which is "{numbers[number]}" in classInd.txt)'
            )
        path = place_path(found.root, match["path"])
        rows.append(Row(found.source, line, path, label, split=split))
    return rows


def _class_numbers(path: str) -> dict[str, str]:
    """The names of classInd.txt by their numbers as written; empty if there is no such file."""
    try:
        text = read_list_text(path)
    except InputError:
        return {}
    pairs = (line.split(maxsplit=1) for _, line in text.lines())
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def read_hmdb(found: ListText) -> list[Row]:
    """A list of HMDB51: the label is in the list's own name."""
    name = HMDB_NAME.fullmatch(os.path.basename(found.source))
    if name is None:
        raise ManifestError(
            f"{found.source}: not named as a list of HMDB51 "
            "(expected <label>_test_split<number>.txt, which gives the label)"
        )
    rows = []
    for line, match in _matches(found, _HMDB_LINE, "<file> and 0, 1 or 2"):
        split = _HMDB_SPLITS[match["use"]]
        if split is not None:
            path = place_path(found.root, os.path.join(name["label"], match["file"]))
            rows.append(Row(found.source, line, path, name["label"], split=split))
    return rows


def _matches(
    found: ListText, pattern: re.Pattern[str], expected: str
) -> Iterator[tuple[int, re.Match[str]]]:
    for line, content in found.lines():
        match = pattern.fullmatch(content)
        if match is None:
            raise ManifestError(
                f'{found.source}:{line}: bad line (got "{content[:60]}", expected {expected})'
            )
        yield line, match


def read_ssv2(found: ListText) -> list[Row]:
    """A list of Something-Something: the label is the template without its brackets."""
    try:
        items = parse_json(found.text)
    except ValueError as error:
        raise ManifestError(f"{found.source}: not JSON ({error})") from error
    if not isinstance(items, list):
        raise ManifestError(f"{found.source}: not a JSON list of videos")
    stem = os.path.splitext(os.path.basename(found.source))[0]
    match = _SPLIT_IN_NAME.fullmatch(stem.lower())
    locate = _locator(found.root, ".webm")
    rows = []
    for number, item in enumerate(items, start=1):
        video, template = _ssv2_item(f"{found.source}: item {number}", item)
        label = template.replace("[", "").replace("]", "")
        row = Row(f"{found.source}: item {number}", 0, locate(video), label)
        rows.append(row._replace(split=match[1]) if match else row)
    return rows


def _ssv2_item(place: str, item: object) -> tuple[str, str]:
    """Id and template of one video."""
    if not isinstance(item, dict):
        raise ManifestError(
            f"{place}: not an object (got {shown(item)})",
            hint="JSON Lines have one object a line, and no list around them",
        )
    if "path" in item:
        raise ManifestError(
            f"{place}: a JSON list of paths (expected JSON Lines, one object a line)",
            hint="jq -c '.[]' list.json > list.jsonl",
        )
    video, template = str(item.get("id", "")), item.get("template")
    if not video:
        raise ManifestError(f'{place}: no "id"')
    if not isinstance(template, str) or not template.strip():
        raise ManifestError(
            f'{place}: no "template", which is the label (test lists have none)',
            hint="use the list of the training or validation split",
        )
    return video, template


def read_few_shot(found: ListText) -> list[Row]:
    """A few-shot split list: class numbers as labels, which count within one split."""
    locate = _locator(found.root, ".mp4")
    rows = []
    for line, match in _matches(found, FEW_SHOT_LINE, "train0//<path> or train0/<id>"):
        path, video = match["path"], match["id"]
        path = place_path(found.root, path.rstrip()) if path else locate(video)
        rows.append(Row(found.source, line, path, match["number"], split=match["split"]))
    return rows


def _locator(root: str, suffix: str) -> Callable[[str], str]:
    """From the id of a video to its path; missing ones get the usual suffix."""
    finder = FileFinder()
    return lambda video: finder.find(root, video) or os.path.join(root, video + suffix)
