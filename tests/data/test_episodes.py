"""Episodes: laws that hold for any list, the numbers that must never change, and fair draws."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.data.episodes import EpisodeIndices, EpisodeSampler, EpisodeShape, _mix
from actcli.errors import UsageError

FIVE_WAY = EpisodeShape(way=5, shot=1, queries_per_class=1)


def clips(num_classes: int, each: int) -> list[int]:
    """Clips of classes 0, 1, 2, ..., in turn."""
    return list(range(num_classes)) * each


@st.composite
def samplers(draw: st.DrawFn, **more: Any) -> tuple[list[int], EpisodeSampler]:
    """A shuffled list of clips with classes of different sizes, and a sampler that it is enough
    for."""
    shape = EpisodeShape(*(draw(st.integers(1, most)) for most in (4, 3, 3)))
    enough = shape.shot + shape.queries_per_class
    classes = draw(st.lists(st.integers(-9, 99), min_size=shape.way, max_size=8, unique=True))
    sizes = [draw(st.integers(enough, enough + 4)) for _ in classes]
    targets = [c for c, size in zip(classes, sizes, strict=True) for _ in range(size)]
    targets = draw(st.permutations(targets))
    return targets, EpisodeSampler(targets, shape, seed=draw(st.integers(-(2**70), 2**70)), **more)


@given(samplers(), st.integers(0, 2**40))
def test_an_episode_is_well_formed(made: tuple[list[int], EpisodeSampler], number: int) -> None:
    targets, sampler = made
    episode, shape = sampler.sample(number), sampler.shape
    assert len(set(episode.classes)) == len(episode.classes) == shape.way
    assert len({*episode.support, *episode.query}) == len(episode.support + episode.query)
    for indices, own, each in (
        (episode.support, episode.support_targets, shape.shot),
        (episode.query, episode.query_targets, shape.queries_per_class),
    ):
        assert sorted(own) == sorted(list(range(shape.way)) * each)
        assert [targets[i] for i in indices] == [episode.classes[target] for target in own]


@given(samplers(), st.integers(0, 10**6), st.integers(1, 5))
def test_an_episode_depends_on_its_number_alone(
    made: tuple[list[int], EpisodeSampler], start: int, step: int
) -> None:
    _, sampler = made
    many = list(sampler.sample_many(start, 4, step=step))
    assert many == [sampler.sample(start + step * k) for k in range(4)]
    assert list(islice(sampler.stream(start), 3)) == list(sampler.sample_many(start, 3))


@given(st.integers(1, 6), st.integers(0, 40), st.integers(0, 40))
def test_ranks_share_the_episodes_out(num_ranks: int, start: int, count: int) -> None:
    sampler = EpisodeSampler(clips(9, 4), FIVE_WAY, seed=3)
    shares = [
        list(sampler.stream(start, start + count, rank=rank, num_ranks=num_ranks))
        for rank in range(num_ranks)
    ]
    together: list[EpisodeIndices | None] = [None] * count
    for rank, share in enumerate(shares):
        together[rank::num_ranks] = share
    assert together == list(sampler.sample_many(start, count))


def test_ranks_never_meet_the_same_episode() -> None:
    sampler = EpisodeSampler(clips(24, 100), FIVE_WAY)
    drawn = [set(islice(sampler.stream(rank=rank, num_ranks=4), 2500)) for rank in range(4)]
    assert len(set.union(*drawn)) == 10_000


def test_a_rank_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no such rank"):
        next(EpisodeSampler(clips(9, 4), FIVE_WAY).stream(rank=4, num_ranks=4))


def test_a_stream_that_goes_on_with_other_ranks_repeats_nothing() -> None:
    sampler = EpisodeSampler(clips(9, 8), FIVE_WAY)
    before = [list(sampler.stream(0, 12, rank=rank, num_ranks=4)) for rank in range(4)]
    after = [list(sampler.stream(12, 20, rank=rank, num_ranks=2)) for rank in range(2)]
    drawn = [episode for share in before + after for episode in share]
    assert len(drawn) == 20
    assert set(drawn) == set(sampler.first(20))


def test_streams_go_on_beyond_what_is_drawn_at_once() -> None:
    sampler = EpisodeSampler(clips(6, 3), FIVE_WAY)
    whole = list(sampler.stream(0, 2500))
    assert len(whole) == 2500
    assert whole[2047:2050] == [sampler.sample(number) for number in range(2047, 2050)]


def test_the_episodes_of_a_seed_are_these_for_ever() -> None:
    sampler = EpisodeSampler(clips(6, 4), EpisodeShape(3, 1, 2), seed=7)
    assert sampler.sample(0) == EpisodeIndices(
        classes=(5, 4, 3),
        support=(11, 4, 21),
        support_targets=(0, 1, 2),
        query=(23, 3, 22, 5, 9, 16),
        query_targets=(0, 2, 1, 0, 2, 1),
    )
    assert sampler.sample(10**9).support == (12, 11, 8)


def test_random_numbers_are_splitmixs() -> None:
    step = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + i * step) % 2**64 for i in (1, 2)], np.uint64)
    assert _mix(states).tolist() == [6457827717110365317, 3203168211198807973]


def test_seeds_and_numbers_give_other_episodes() -> None:
    one, other = (EpisodeSampler(clips(24, 20), FIVE_WAY, seed=seed) for seed in (0, 1))
    drawn = {*one.first(500), *other.first(500)}
    assert len(drawn) == 1000


def test_classes_clips_and_places_are_drawn_evenly() -> None:
    count = 20_000
    block = EpisodeSampler(clips(10, 6), EpisodeShape(4, 2, 1), seed=5).sample_many(0, count)
    for values, num_values in (
        (block.classes, 10),
        (block.classes[:, 0], 10),
        (block.support, 60),
        (block.support[:, 0], 60),
        (block.query, 60),
        (block.query[:, 3], 60),
        (block.support_targets[:, 5], 4),
        (block.query_targets[:, 0], 4),
    ):
        frequencies = np.bincount(values.ravel(), minlength=num_values)
        expected = values.size / num_values
        assert np.abs(frequencies - expected).max() < 5 * expected**0.5


def test_support_and_query_are_shuffled_independently() -> None:
    block = EpisodeSampler(clips(5, 2), FIVE_WAY).sample_many(0, 20_000)
    same_place = (block.support_targets == block.query_targets).mean()
    assert same_place == pytest.approx(0.2, abs=0.01)


def test_ten_thousand_episodes_take_no_second() -> None:
    sampler = EpisodeSampler(clips(24, 100), FIVE_WAY)
    started = time.process_time()
    assert len(sampler.first(10_000)) == 10_000
    assert time.process_time() - started < 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_episodes_holds_a_pair(share: float) -> None:
    targets, pairs = clips(40, 4), [(7, 3), (20, 39)]
    sampler = EpisodeSampler(targets, FIVE_WAY, must_hold=pairs, share=share)
    free = EpisodeSampler(targets, FIVE_WAY)
    block = sampler.sample_many(0, 4000)
    holds = [np.isin(block.classes, pair).sum(axis=1) == 2 for pair in pairs]
    by_chance = 2 * (5 * 4) / (40 * 39)
    assert np.mean(holds[0] | holds[1]) == pytest.approx(share + (1 - share) * by_chance, abs=0.03)
    assert np.mean(holds[0]) == pytest.approx(np.mean(holds[1]), abs=0.04)
    # The other episodes are as they would be.
    same = sum(a == b for a, b in zip(block, free.sample_many(0, 4000), strict=True))
    assert same / 4000 == pytest.approx(1 - share, abs=0.03)


def test_the_classes_beside_a_pair_are_drawn_evenly_and_a_pair_sits_anywhere() -> None:
    sampler = EpisodeSampler(clips(12, 2), FIVE_WAY, must_hold=[(4, 9)], share=1.0)
    block = sampler.sample_many(0, 10_000)
    frequencies = np.bincount(block.classes.ravel(), minlength=12)
    assert frequencies[4] == frequencies[9] == 10_000
    assert np.abs(np.delete(frequencies, [4, 9]) - 3000).max() < 250
    seats = (block.classes == 4).sum(axis=0)
    assert np.abs(seats - 2000).max() < 200


def test_a_pair_alone_fills_two_ways() -> None:
    sampler = EpisodeSampler(clips(3, 2), EpisodeShape(2, 1, 1), must_hold=[(2, 0)], share=1.0)
    assert {frozenset(episode.classes) for episode in sampler.first(20)} == {frozenset({0, 2})}


@pytest.mark.parametrize("pair", [(1, 1), (1, 99), (1,), (1, 2, 3)])
def test_a_pair_that_is_none_is_refused(pair: Any) -> None:
    with pytest.raises(ValueError, match="not two of the classes"):
        EpisodeSampler(clips(6, 4), FIVE_WAY, must_hold=[pair])


def test_classes_with_too_few_clips_are_named_with_what_would_fit() -> None:
    targets = [*clips(6, 6), *[6] * 4, *[7] * 3]
    names = ["a", "b", "c", "d", "e", "f", "draw sword", "sit"]
    with pytest.raises(UsageError) as caught:
        EpisodeSampler(targets, EpisodeShape(5, 5, 1), names=names)
    assert str(caught.value) == (
        "episodes: too few clips for 5 shots and 1 query a class "
        '(got "draw sword (4)", "sit (3)", expected 6 each)'
    )
    assert (
        caught.value.hint == "all classes have enough for 2 shots and 1 query; or leave these out"
    )
    EpisodeSampler(targets, EpisodeShape(5, 2, 1))


def test_what_would_fit_is_one_shot_at_least() -> None:
    with pytest.raises(UsageError) as caught:
        EpisodeSampler(clips(5, 3), EpisodeShape(5, 1, 5))
    assert str(caught.value.hint).startswith("all classes have enough for 1 shot and 2 queries")
    with pytest.raises(UsageError) as caught:
        EpisodeSampler(clips(5, 1), EpisodeShape(5, 1, 1))
    assert str(caught.value.hint).startswith("leave out the classes of a single clip")


def test_too_few_classes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"too few classes for 5 ways \(got 4\)"):
        EpisodeSampler(clips(4, 9), FIVE_WAY)
    with pytest.raises(UsageError, match=r"too few classes for 5 ways \(got 0\)"):
        EpisodeSampler([], FIVE_WAY)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (5, 0, 1), (5, 1, 0)])
def test_an_episode_without_ways_shots_or_queries_is_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="got 0, expected 1 or more"):
        EpisodeShape(*sizes)
