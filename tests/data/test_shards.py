"""Shards: every video in exactly one, whatever the machine and the order."""

from __future__ import annotations

import pytest

from actcli.data.shards import Shard, only_shard, parse_shard, shard_of
from actcli.errors import UsageError
from actcli.types import VideoRef

STORED = [898, 428, 103]
STORED_TRIMMED, STORED_BYTES = 924, 364
REFS = [VideoRef(f"clips/{number}.mp4") for number in range(4000)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_every_video_is_in_exactly_one_shard(count: int) -> None:
    parts = [only_shard(REFS, Shard(index, count)) for index in range(count)]
    assert sorted(ref.id for part in parts for ref in part) == sorted(ref.id for ref in REFS)


def test_shards_are_nearly_even() -> None:
    sizes = [len(list(only_shard(REFS, f"{index}/8"))) for index in range(8)]
    assert max(sizes) - min(sizes) < 120  # 500 each; five deviations of a fair draw


def test_a_shard_is_the_same_on_every_machine() -> None:
    assert [shard_of(VideoRef(name), 1000) for name in ("a.mp4", "b.mp4", "ü.mp4")] == STORED
    assert shard_of(VideoRef("a.mp4", 1.5, 4.0), 1000) == STORED_TRIMMED
    assert shard_of(VideoRef("bad\udcff.mp4"), 1000) == STORED_BYTES


def test_the_name_that_was_typed_decides_not_the_path() -> None:
    ways = {shard_of(VideoRef(f"/tmp/{number}", id="-"), 97) for number in range(20)}
    assert len(ways) == 1


def test_trims_of_one_video_are_spread_unless_videos_stay_whole() -> None:
    windows = [VideoRef("film.mp4", float(start), start + 1.0) for start in range(40)]
    assert 0 < len(list(only_shard(windows, "0/2"))) < 40
    assert {len(list(only_shard(windows, f"{i}/2", whole_videos=True))) for i in (0, 1)} == {0, 40}


def test_a_list_stays_a_list_and_a_stream_stays_one_that_waits() -> None:
    def endless() -> object:
        for number in range(10**9):
            yield VideoRef(str(number))

    assert isinstance(only_shard(REFS, "0/4"), list)
    assert next(iter(only_shard(endless(), "3/4"))).id  # type: ignore[arg-type]


def test_without_a_shard_all_videos_are_passed_on() -> None:
    assert only_shard(REFS, None) is REFS


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/4", "0/0", "1/2/3", "", "٣/٤"])
def test_what_is_no_part_of_a_whole_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text)
