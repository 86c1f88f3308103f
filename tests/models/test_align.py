"""Matchers: blind to order or not, exact on small cases, alike in batches of any shape."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from actcli.models.align import (
    MATCHERS,
    class_means,
    frame_distance,
    means_without_each,
    otam_both_ways,
    otam_cost,
)

D = 6


def frames(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, D, generator=generator)


def test_a_frame_is_at_distance_0_of_itself_and_2_of_its_opposite() -> None:
    clip = frames(1, 3)
    distance = frame_distance(clip, torch.stack([clip[0], -2 * clip[0]]))
    assert distance.shape == (1, 2, 3, 3)
    assert distance[0, 0].diagonal().abs().max() < 1e-6
    assert (distance[0, 1].diagonal() - 2).abs().max() < 1e-6


def test_eps_shrinks_cosines_as_in_the_published_code() -> None:
    one = torch.tensor([[[0.1, 0.0]]])
    assert frame_distance(one, one, eps=0.01).item() == pytest.approx(1 - 0.01 / 0.02)


def test_a_frame_of_zeros_is_at_distance_1_and_has_a_gradient() -> None:
    clip = torch.zeros(1, 2, D, requires_grad=True)
    distance = frame_distance(clip, frames(1, 2))
    assert torch.equal(distance, torch.ones(1, 1, 2, 2))
    distance.sum().backward()
    assert clip.grad is not None
    assert bool(torch.isfinite(clip.grad).all())


@pytest.mark.parametrize("name", MATCHERS)
def test_a_clip_is_nearest_to_itself(name: str) -> None:
    clips = frames(5, 8)
    distance = MATCHERS[name](clips, clips)
    assert distance.argmin(-1).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["mean", "bimhm"])
def test_blind_matchers_give_the_same_for_frames_in_any_order(name: str) -> None:
    query, prototypes = frames(3, 8), frames(2, 8, seed=1)
    shuffled = query[:, torch.randperm(8)]
    ours, other = (MATCHERS[name](x, prototypes) for x in (query, shuffled))
    torch.testing.assert_close(ours, other)


@pytest.mark.parametrize("name", ["otam", "diag"])
def test_ordered_matchers_tell_a_clip_from_its_reverse(name: str) -> None:
    start, end = frames(1, 1), frames(1, 1, seed=1)
    share = torch.linspace(0, 1, 8)[None, :, None]
    clip = (1 - share) * start + share * end
    forward, backward = MATCHERS[name](clip, torch.cat([clip, clip.flip(1)]))[0]
    assert forward < backward - 0.01


@pytest.mark.parametrize("name", MATCHERS)
@pytest.mark.parametrize(("lengths"), [(8, 8), (3, 8), (8, 1), (1, 1), (16, 5)])
def test_clips_may_have_other_lengths_than_prototypes(name: str, lengths: tuple[int, int]) -> None:
    distance = MATCHERS[name](frames(4, lengths[0]), frames(3, lengths[1], seed=1))
    assert distance.shape == (4, 3)
    assert bool(torch.isfinite(distance).all())


@pytest.mark.parametrize("name", MATCHERS)
def test_episodes_in_one_call_are_episodes_one_by_one(name: str) -> None:
    query, prototypes = frames(2, 3, 4, 8), frames(2, 3, 5, 8, seed=1)
    together = MATCHERS[name](query, prototypes)
    assert together.shape == (2, 3, 4, 5)
    alone = MATCHERS[name](query[1, 2], prototypes[1, 2])
    torch.testing.assert_close(together[1, 2], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MATCHERS)
def test_every_matcher_has_a_gradient(name: str) -> None:
    query = frames(2, 4).requires_grad_()
    MATCHERS[name](query, frames(3, 4, seed=1)).sum().backward()
    assert query.grad is not None
    assert query.grad.abs().min() > 0


def test_bimhm_is_half_the_sum_of_both_mean_nearest_distances() -> None:
    query, prototype = frames(1, 2), frames(1, 3, seed=1)
    table = frame_distance(query, prototype)[0, 0].tolist()
    there = sum(min(row) for row in table) / 2
    back = sum(min(row[j] for row in table) for j in range(3)) / 3
    assert MATCHERS["bimhm"](query, prototype).item() == pytest.approx((there + back) / 2)


def test_diag_of_a_clip_with_every_frame_twice_is_that_of_the_clip() -> None:
    query, prototype = frames(2, 4), frames(3, 4, seed=1)
    twice = query.repeat_interleave(2, 1)
    torch.testing.assert_close(
        MATCHERS["diag"](twice, prototype), MATCHERS["diag"](query, prototype)
    )


def test_a_sharp_soft_minimum_is_the_cost_of_the_best_path() -> None:
    # A path may enter and leave at any row: rows 0 and 3 cost nothing, the diagonal is free.
    matrix = torch.ones(4, 2)
    matrix[1, 0] = matrix[2, 1] = 0.0
    assert otam_cost(matrix, softness=1e-3).item() == pytest.approx(0.0, abs=0.01)
    assert otam_cost(torch.ones(4, 2), softness=1e-3).item() == pytest.approx(2.0, abs=0.01)


def test_one_direction_and_both_differ_and_long_clips_stay_finite() -> None:
    matrix = torch.rand(3, 200, 150, generator=torch.Generator().manual_seed(0))
    one, both = otam_cost(matrix), otam_both_ways(matrix)
    assert bool(torch.isfinite(both).all())
    torch.testing.assert_close(both - one, otam_cost(matrix.mT))
    exact = otam_both_ways(matrix.double())
    assert float((both - exact).abs().max()) < 1e-5 * (1 + float(exact.abs().max()))


def test_class_means_of_unequal_shots() -> None:
    values, targets = frames(4, 3), torch.tensor([1, 0, 1, 1])
    means = class_means(values, targets, 2)
    torch.testing.assert_close(means[0], values[1])
    torch.testing.assert_close(means[1], values[[0, 2, 3]].mean(0))


def test_the_mean_without_a_clip_is_that_of_the_others() -> None:
    values, targets = frames(4, 3), torch.tensor([1, 0, 1, 1])
    without = means_without_each(values, targets, 2)
    torch.testing.assert_close(without[0], values[[2, 3]].mean(0))
    assert math.isnan(without[1, 0, 0])
