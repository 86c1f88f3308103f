"""Batches that follow from the seed and their number alone."""

from __future__ import annotations

import pytest
import torch

from tests.train.conftest import batches, training_set


def test_an_epoch_shows_every_clip_once_and_fills_its_last_batch() -> None:
    source = batches()
    assert (source.batches_per_epoch, source.batch_size) == (4, 6)
    shown = torch.cat([source.clips(i) for i in range(4)])
    assert len(shown) == 24
    assert sorted(shown[:20].tolist()) == list(range(20))


def test_epochs_and_seeds_have_their_own_order() -> None:
    orders = {
        tuple(torch.cat([batches(seed=seed).clips(i) for i in numbers]).tolist())
        for seed in (0, 1)
        for numbers in (range(4), range(4, 8))
    }
    assert len(orders) == 4


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    one, other = batches(), batches()
    for i in range(7):
        one.batch(i)
    first, second = one.batch(2), other.batch(2)
    for name in ("values", "targets", "noise", "class_noise", "classes", "clips"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_a_batch(count: int) -> None:
    source = batches(training_set(views=3))
    whole = source.batch(5)
    parts = [source.batch(5, rank=rank, num_ranks=count) for rank in range(count)]
    for name in ("values", "targets", "noise", "clips"):
        joined = torch.cat([getattr(part, name) for part in parts])
        order = torch.cat([torch.arange(6)[rank::count] for rank in range(count)])
        assert torch.equal(joined, getattr(whole, name)[order]), name
    assert all(torch.equal(part.class_noise, whole.class_noise) for part in parts)
    assert all(torch.equal(part.classes, whole.classes) for part in parts)


def test_views_are_drawn_anew_for_each_batch() -> None:
    data = training_set(clips=6, views=4)
    source = batches(data)
    seen = [
        tuple(int((data.values[clip] == value).all((1, 2)).nonzero()[0])
              for clip, value in zip(b.clips.tolist(), b.values, strict=True))
        for b in map(source.batch, range(5))
    ]  # fmt: skip
    assert len(set(seen)) == 5
    assert {view for views in seen for view in views} == {0, 1, 2, 3}


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    source = batches(training_set(clips=4), batch_size=64)
    assert (source.batch_size, source.batches_per_epoch) == (4, 1)


def test_named_classes_hold_those_of_the_clips_and_others_up_to_a_number() -> None:
    data = training_set(clips=40)
    source = batches(data, batch_size=1, classes_per_step=2)
    for i in range(20):
        batch = source.batch(i)
        assert len(batch.classes) == 2
        assert int(batch.targets[0]) in batch.classes.tolist()
        assert batch.classes.tolist() == sorted(batch.classes.tolist())
    others = {tuple(source.batch(i).classes.tolist()) for i in range(20)}
    assert len(others) == 3
    assert batches(data, classes_per_step=9).batch(0).classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("balance", "counts", "expected"),
    [("auto", [30, 30, 30], False), ("auto", [60, 5, 25], True), ("auto", [30, 10, 20], False),
     ("classes", [30, 30, 30], True), ("none", [60, 5, 25], False)],
)  # fmt: skip
def test_uneven_classes_are_drawn_equally_often(
    balance: str, counts: list[int], expected: bool
) -> None:
    source = batches(training_set(counts=counts), batch_size=10, balance=balance)
    assert source.is_balanced is expected
    drawn = torch.bincount(torch.cat([source.batch(i).targets for i in range(90)]), minlength=3)
    shares = drawn / drawn.sum()
    wanted = torch.full((3,), 1 / 3) if expected else torch.tensor(counts) / sum(counts)
    torch.testing.assert_close(shares, wanted, rtol=0, atol=0.06)
