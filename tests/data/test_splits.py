"""The published splits: complete, disjoint, found by any name, and as the lists have them."""

from __future__ import annotations

import json

import pytest

from actcli.data.few_shot_lists import COUNTS
from actcli.data.labels import LabelSet, bundled_lists
from actcli.data.splits import (
    FewShotSplit,
    find_class,
    published_splits,
    read_split,
    split_videos,
)
from actcli.errors import UsageError
from tests.data.make_splits import (
    FACTS,
    NAMES,
    PARTS,
    SPLITS,
    make_rows,
    read_facts,
    read_videos,
)

SIZES = {
    "hmdb51": (31, 10, 10),
    "kinetics100": (64, 12, 24),
    "ssv2_full": (64, 0, 24),
    "ssv2_small": (64, 12, 24),
    "ucf101": (70, 10, 21),
}
needs_facts = pytest.mark.skipif(
    not FACTS.is_dir(), reason=f"no facts about the published lists (no {FACTS})"
)


@pytest.fixture(params=sorted(SIZES))
def split(request: pytest.FixtureRequest) -> FewShotSplit:
    return read_split(request.param)


def test_the_splits_are_these() -> None:
    assert published_splits() == tuple(sorted(SIZES))


def test_each_part_has_the_size_that_papers_state(split: FewShotSplit) -> None:
    assert (len(split.train), len(split.val), len(split.test)) == SIZES[split.name]
    assert split.classes == split.train + split.val + split.test


def test_no_class_is_in_two_parts_or_has_the_name_of_another(split: FewShotSplit) -> None:
    for one in split.classes:
        assert one in getattr(split, one.part)
        for text in filter(None, (one.name, one.prompt_name, one.folder)):
            assert find_class(split, text) == one
    assert len({one.name for one in split.classes}) == len(split.classes)


def test_classes_of_bundled_lists_have_the_names_of_those_lists(split: FewShotSplit) -> None:
    if split.name not in bundled_lists():
        assert all(one.folder is None for one in split.classes)
        return
    labels = LabelSet.bundled(split.name)
    assert sorted(one.name for one in split.classes) == sorted(labels)
    assert all(labels.find(one.folder or "") == labels.index(one.name) for one in split.classes)


def test_the_list_of_kinetics_100_is_in_the_order_of_its_split() -> None:
    names = [one.name for one in read_split("kinetics100").classes]
    assert names == list(LabelSet.bundled("kinetics100"))


def test_only_validation_classes_lack_a_prompt_name(split: FewShotSplit) -> None:
    assert all(one.prompt_name for one in split.train + split.test)
    assert not any(one.prompt_name for one in split.val)


def test_oddities_of_the_published_prompts_are_kept() -> None:
    prompts = [one.prompt_name or "" for one in read_split("hmdb51").classes]
    odd = ["draw_sword", "ride_bike", "shake_hands", "shoot_bow"]
    assert [prompt for prompt in prompts if "_" in prompt] == odd
    ucf101 = read_split("ucf101")
    names = [find_class(ucf101, folder) for folder in ("BlowDryHair", "WalkingWithDog")]
    assert [one.prompt_name for one in names if one] == ["Blow DryHair", "Walking WithDog"]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("hmdb51", "Draw Sword", "draw sword"),
        ("hmdb51", "sword_exercise", "sword exercise"),
        ("ucf101", "cutting in kitchen", "cutting in kitchen"),
        ("ucf101", "HandStandPushups", "handstand pushups"),
        ("ssv2_small", "opening something", "Opening something"),
        ("ssv2_small", "Opening [something]", "Opening something"),
        (
            "ssv2_small",
            "Pulling [something] out of [something]",
            "Pulling something out of something",
        ),
    ],
)
def test_a_class_is_found_by_any_usual_spelling(name: str, text: str, found: str) -> None:
    one = find_class(read_split(name), text)
    assert one is not None
    assert one.name == found


def test_a_folder_that_is_no_class_is_not_found(split: FewShotSplit) -> None:
    assert find_class(split, "playing the nose flute") is None
    assert find_class(split, "") is None


@pytest.mark.parametrize("name", ["SSv2-Small", "ssv2_small", "ssv2small"])
def test_a_split_is_found_however_it_is_spelled(name: str) -> None:
    assert read_split(name).name == "ssv2_small"


def test_an_unknown_split_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="close: hmdb51") as caught:
        read_split("hmdb52")
    assert "ucf101" in str(caught.value.hint)


def test_files_of_classes_are_small() -> None:
    for path in SPLITS.glob("*.json"):
        assert path.stat().st_size < 12_000
        parts = json.loads(path.read_text())
        assert set(parts) == set(PARTS)
        assert all(len(row) == 3 for rows in parts.values() for row in rows)


@needs_facts
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_what_the_published_lists_say(name: str, part: str) -> None:
    classes = getattr(read_split(name), part)
    rows = [(one.name, one.prompt_name, one.folder) for one in classes]
    assert rows == make_rows(name, part)
    facts = read_facts(name)["splits"][part]["classes"] if rows else []
    for one, fact in zip(classes, facts, strict=True):
        assert one.prompt_name == fact.get("prompt_name")
        assert one.folder == fact.get("folder")
        assert one.name == fact.get("name_without_brackets", one.name)


@needs_facts
def test_only_the_validation_classes_of_ssv2_full_have_no_names() -> None:
    empty = [(name, part) for name in NAMES for part in PARTS if not make_rows(name, part)]
    assert empty == [("ssv2_full", "val")]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("kinetics100", (6400, 1200, 2400)),
        ("ssv2_small", (6400, 1200, 2400)),
        ("ssv2_full", (67013, 1926, 2857)),
    ],
)
def test_the_videos_of_a_split_are_as_many_as_published(
    name: str, counts: tuple[int, int, int]
) -> None:
    for part, expected in zip(PARTS, counts, strict=True):
        videos = split_videos(name, part)  # type: ignore[arg-type]
        assert videos is not None
        assert len(videos) == len(getattr(read_split(name), part)) or (name, part) == (
            "ssv2_full", "val")  # fmt: skip
        names = [video for own in videos for video in own]
        assert len(names) == len(set(names)) == expected == COUNTS[name][part]
        if name != "ssv2_full":
            assert {len(own) for own in videos} == {100}


def test_other_splits_take_all_videos_of_a_class() -> None:
    assert split_videos("hmdb51", "test") is None
    assert COUNTS["hmdb51"] == {"train": 4280, "val": 1194, "test": 1292}
    assert COUNTS["ucf101"] == {"train": 9154, "val": 1421, "test": 2745}


@needs_facts
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", PARTS)
def test_videos_are_those_of_the_published_lists(name: str, part: str) -> None:
    expected = read_videos(name)
    found = split_videos(name, part)  # type: ignore[arg-type]
    assert found == (None if expected is None else tuple(map(tuple, expected[part])))
    facts = read_facts(name)["splits"][part]
    assert COUNTS[name][part] == facts["num_videos"]
