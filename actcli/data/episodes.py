"""Few-shot episodes: seeded N-way K-shot choices from a list of labelled clips.

An episode takes N classes, and of each K clips to learn from and Q_c others to ask about. Episode i
depends on the seed and on i alone, so that ranks which share the numbers out never meet the same
one, and a run goes on at any i. The published code of CLIP-FSAR seeds all ranks alike, so that four
of them train and test on the same episodes; that is not followed.

Random numbers are SplitMix64's (Steele, Lea, Flood, OOPSLA 2014), a stream for each episode, in
64-bit integers: the same on every machine and in every release of numpy.

Letters: E episodes, N classes of an episode, K shots, S = N K support clips, Q queries, Q_c of them
a class, C classes in all, R rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actcli.errors import UsageError, shorten_list

Ints = NDArray[np.int64]
Numbers = NDArray[np.uint64]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_BLOCK: Final = 1024
"""Episodes that are drawn at once; no result depends on it."""


@dataclass(frozen=True, slots=True)
class EpisodeShape:
    """How large an episode is: N, K and Q_c."""

    way: int
    shot: int
    queries_per_class: int

    def __post_init__(self) -> None:
        for name in ("way", "shot", "queries_per_class"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"episodes: {name} is too small (got {getattr(self, name)}, expected 1 or more)"
                )


@dataclass(frozen=True, slots=True)
class EpisodeIndices:
    """One episode: places in the list of clips, and targets within the episode."""

    classes: tuple[int, ...]
    """[N], the class that each target 0..N-1 stands for, in random order"""
    support: tuple[int, ...]
    """[S], in random order"""
    support_targets: tuple[int, ...]
    query: tuple[int, ...]
    """[Q], in random order"""
    query_targets: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeBlock:
    """Many episodes as arrays; a row each is `EpisodeIndices`."""

    classes: Ints  # [E, N]
    support: Ints  # [E, S]
    support_targets: Ints  # [E, S]
    query: Ints  # [E, Q]
    query_targets: Ints  # [E, Q]

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[EpisodeIndices]:
        columns = (
            self.classes, self.support, self.support_targets, self.query, self.query_targets,
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return (EpisodeIndices(*map(tuple, row)) for row in rows)


class EpisodeSampler:
    """Draws episodes from labelled clips.

    targets:   the class of each clip of a list; classes are any integers
    names:     of the classes, by class, for messages
    must_hold: pairs of classes that belong together, such as "sit down" and "stand up": a `share`
               of the episodes holds both of one of them, drawn at random. The other episodes are
               what they are without this, and may hold pairs by chance.

    Raises UsageError where there are too few classes, or clips of a class.
    """

    def __init__(
        self,
        targets: Sequence[int] | Ints,
        shape: EpisodeShape,
        *,
        seed: int = 0,
        names: Sequence[str] | None = None,
        must_hold: Sequence[tuple[int, int]] = (),
        share: float = 0.5,
    ) -> None:
        self.shape, self.seed, self._share = shape, seed, share
        self._classes, of_class, self._sizes = np.unique(
            np.asarray(targets, np.int64), return_inverse=True, return_counts=True
        )  # [C], [clips], [C]
        self._clips = np.argsort(of_class, kind="stable")  # clips by class, in their order
        self._starts = np.cumsum(self._sizes) - self._sizes  # [C]
        self._check_sizes(names)
        self._pairs = self._places_of(must_hold)  # [pairs, 2]

    def sample(self, i: int) -> EpisodeIndices:
        """Episode i, which is the same whatever was drawn before."""
        return next(iter(self.sample_many(i, 1)))

    def sample_many(self, start: int, count: int, *, step: int = 1) -> EpisodeBlock:
        """The episodes start, start + step, ..., `count` of them."""
        numbers = start + step * np.arange(count, dtype=np.int64)
        blocks = [self._draw(numbers[at : at + _BLOCK]) for at in range(0, max(1, count), _BLOCK)]
        return EpisodeBlock(*map(np.concatenate, zip(*blocks, strict=True)))

    def stream(
        self, start: int = 0, stop: int | None = None, *, rank: int = 0, num_ranks: int = 1
    ) -> Iterator[EpisodeIndices]:
        """The episodes that are this rank's share of `start` up to `stop`, or without end.

        Rank r takes start + r, start + r + num_ranks, ...: together the ranks take each once. A run
        that goes on after n episodes of all ranks starts at n, with as many ranks as it likes.
        """
        if not 0 <= rank < num_ranks:
            raise ValueError(f"rank: no such rank (got {rank} of {num_ranks})")
        start += rank
        while stop is None or start < stop:
            count = _BLOCK if stop is None else min(_BLOCK, len(range(start, stop, num_ranks)))
            yield from self.sample_many(start, count, step=num_ranks)
            start += count * num_ranks

    def first(self, count: int) -> tuple[EpisodeIndices, ...]:
        """The fixed list of episodes 0..count-1, as test protocols want it."""
        return tuple(self.sample_many(0, count))

    def _draw(self, episodes: Ints) -> tuple[Ints, ...]:
        """[E] -> classes [E, N], support [E, S] and its targets, query [E, Q] and its targets"""
        way, shot, queries = self.shape.way, self.shape.shot, self.shape.queries_per_class
        taken = shot + queries
        widths = (2, way, 2 * way, 2 * way * taken, way * shot, way * queries)
        stream = _random_numbers(self.seed, episodes, sum(widths))
        pair, seats, for_classes, for_clips, *orders = np.split(stream, np.cumsum(widths)[:-1], 1)
        places = self._choose_classes(pair, seats, for_classes)  # [E, N], in 0..C-1
        chosen = _choose(for_clips.reshape(-1, 2 * taken), self._sizes[places].ravel(), taken)
        clips = self._clips[self._starts[places].reshape(-1, 1) + chosen]
        clips = clips.reshape(-1, way, taken)  # [E, N, K + Q_c]
        results = [self._classes[places]]
        for part, order in zip((clips[..., :shot], clips[..., shot:]), orders, strict=True):
            targets = np.broadcast_to(np.arange(way)[:, None], part.shape)
            results += [_shuffle(values.reshape(order.shape), order) for values in (part, targets)]
        return tuple(results)

    def _choose_classes(self, pair: Numbers, seats: Numbers, numbers: Numbers) -> Ints:
        """N different places in 0..C-1 for each episode, both of a pair where it is its turn.

        pair [E, 2]: whether, and which; seats [E, N]: the order that the pair is mixed into;
        numbers [E, 2 N]
        """
        way, num_classes = self.shape.way, len(self._classes)
        sizes = np.full(len(numbers), num_classes)
        free = _choose(numbers, sizes, way)
        if not len(self._pairs):
            return free
        held = self._pairs[(pair[:, 1] % np.uint64(len(self._pairs))).astype(np.int64)]  # [E, 2]
        others = _choose(numbers[:, : 2 * (way - 2)], sizes - 2, way - 2)  # [E, N - 2]
        for member in (held[:, :1], held[:, 1:]):  # the lower one first: close its gap
            others = others + (others >= member)
        holding = _shuffle(np.concatenate([held, others], axis=1), seats)
        is_turn = (pair[:, :1] >> np.uint64(11)) < self._share * 2.0**53
        return np.where(is_turn, holding, free)

    def _places_of(self, pairs: Sequence[tuple[int, int]]) -> Ints:
        """Pairs of classes as rising places in 0..C-1, [pairs, 2]."""
        if not 0 <= self._share <= 1:
            raise ValueError(f"share: not a share (got {self._share}, expected 0-1)")
        place_of = {int(value): place for place, value in enumerate(self._classes)}
        for pair in pairs:
            if len({*pair} & place_of.keys()) != 2 or len(pair) != 2:
                raise ValueError(f"must_hold: not two of the classes (got {pair})")
        if len(pairs) and self.shape.way == 1:
            raise UsageError("episodes: a pair of classes does not fit into 1 way (expected 2)")
        rows = [sorted(place_of[int(value)] for value in pair) for pair in pairs]
        return np.array(rows, np.int64).reshape(-1, 2)

    def _check_sizes(self, names: Sequence[str] | None) -> None:
        shape, classes = self.shape, self._classes.tolist()
        if len(classes) < shape.way:
            raise UsageError(
                f"episodes: too few classes for {shape.way} ways (got {len(classes)})",
                hint=f"up to {len(classes)} ways fit" if len(classes) > 1 else None,
            )
        needed = shape.shot + shape.queries_per_class
        small = {
            f"{names[value] if names else value} ({size})": size
            for value, size in zip(classes, self._sizes.tolist(), strict=True)
            if size < needed
        }
        if small:
            raise UsageError(
                f"episodes: too few clips for {_counts(shape.shot, shape.queries_per_class)} a "
                f"class (got {shorten_list(small)}, expected {needed} each)",
                hint=_what_fits(min(small.values()), shape.queries_per_class),
            )


def _what_fits(smallest: int, queries: int) -> str:
    if smallest < 2:
        return "leave out the classes of a single clip, or give them more"
    queries = min(queries, smallest - 1)
    return f"all classes have enough for {_counts(smallest - queries, queries)}; or leave these out"


def _counts(shots: int, queries: int) -> str:
    shot, query = "shot" if shots == 1 else "shots", "query" if queries == 1 else "queries"
    return f"{shots} {shot} and {queries} {query}"


def _random_numbers(seed: int, episodes: Ints, count: int) -> Numbers:
    """[E] -> [E, count]: the i-th number of the seed's stream starts the stream of episode i."""
    key = _mix(np.array([seed % 2**64], np.uint64) + _STEP)
    start = _mix(episodes.astype(np.uint64) * _STEP + key)
    return _mix(start[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _STEP)


def _mix(state: Numbers) -> Numbers:
    """SplitMix64's output for a state."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _choose(numbers: Numbers, sizes: Ints, count: int) -> Ints:
    """`count` different places in 0..size-1, in random order: [R, 2 count], [R] -> [R, count].

    Floyd's algorithm draws which, a shuffle their order. A remainder of a 64-bit number favours
    small ones by less than one part in 10^14.
    """
    chosen = np.empty((len(sizes), count), np.int64)
    for at in range(count):
        last = sizes - count + at  # [R]
        drawn = (numbers[:, at] % (last + 1).astype(np.uint64)).astype(np.int64)
        is_taken = (chosen[:, :at] == drawn[:, None]).any(axis=1)
        chosen[:, at] = np.where(is_taken, last, drawn)
    return _shuffle(chosen, numbers[:, count:])


def _shuffle(values: Ints, numbers: Numbers) -> Ints:
    """Each row of [R, n] in the order of its numbers, [R, n]."""
    return np.take_along_axis(values, np.argsort(numbers, axis=1, kind="stable"), axis=1)
