"""Leave-one-out on the examples: what it counts, what it can't tell, what it finds odd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from actcli.eval.support import estimate, find_twins
from actcli.labelled import Episode, Support
from actcli.methods.base import Method
from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig
from actcli.methods.nearest_prototype import MethodConfig
from actcli.types import Text
from tests.methods.conftest import FakeBackbone

D, T, C = 8, 4, 3
TEXT = Text(("a", "b", "c"), (("a",), ("b",), ("c",)), torch.eye(D)[:C, None])


def clips(shots: int, spread: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(C).repeat_interleave(shots)
    centres = torch.eye(D)[targets][:, None].expand(-1, T, D)
    return centres + spread * torch.randn(len(targets), T, D, generator=generator), targets


@pytest.fixture
def method() -> Any:
    return Method(FakeBackbone(), MethodConfig(text_weight=0.0)).eval()


def test_well_separated_examples_are_all_right(method: Method) -> None:
    found = estimate(method, Support(*clips(5)), TEXT)
    assert (found.share.count, found.share.total) == (15, 15)
    assert found.confused == found.suspects == ()
    assert found.is_telling


def test_examples_of_nothing_are_right_by_chance(method: Method) -> None:
    values = torch.randn(300, T, D, generator=torch.Generator().manual_seed(1))
    found = estimate(method, Support(values, torch.arange(300) % C), TEXT)
    low, high = found.share.interval
    # A clip must not vote for its own class: with it in its prototype more would be right.
    assert low < 1 / 3 < high
    assert sum(n for _, _, n in found.confused) == 300 - found.share.count


@pytest.mark.parametrize("merge_before", [True, False, None])
def test_it_is_the_slow_way_clip_by_clip(merge_before: bool | None) -> None:
    torch.manual_seed(0)
    backbone: Any = FakeBackbone()
    method: Method
    if merge_before is None:
        method = Method(backbone, MethodConfig(text_weight=0.3))
    else:
        method = ClipFsar(backbone, ClipFsarConfig(merge_before=merge_before, mlp_dim=16))
    method.eval()
    values, targets = clips(3, spread=2.0)
    right = 0
    for i in range(len(targets)):
        rest = torch.arange(len(targets)) != i
        support = Support(values[rest], targets[rest])
        logits = method.episode_logits(Episode(support, values[i : i + 1], TEXT))
        right += int(logits.argmax()) == int(targets[i])
    assert estimate(method, Support(values, targets), TEXT).share.count == right


def test_a_class_with_one_example_is_not_tried(method: Method) -> None:
    values, targets = clips(2)
    found = estimate(method, Support(values[1:], targets[1:]), TEXT)
    assert found.share.total == 4
    assert not found.is_telling


def test_one_example_a_class_tells_nothing(method: Method) -> None:
    found = estimate(method, Support(*clips(1)), TEXT)
    assert (found.share.total, found.suspects, found.by_matcher) == (0, (), {})


def test_an_example_under_the_wrong_label_is_found(method: Method) -> None:
    values, targets = clips(5)
    targets[0] = 2
    found = estimate(method, Support(values, targets), TEXT)
    assert [(odd.clip, odd.looks_like) for odd in found.suspects] == [(0, 0)]
    assert found.suspects[0].score > 3 * found.suspects[0].own_score
    assert found.confused == ((2, 0, 1),)


def test_other_matchers_are_tried_too_where_there_is_a_choice(method: Method) -> None:
    # Two classes that differ in nothing but the order of their frames.
    path = torch.linspace(0, 1, T)[:, None] * torch.eye(D)[0] + torch.eye(D)[1]
    noise = 0.05 * torch.randn(10, T, D, generator=torch.Generator().manual_seed(0))
    values = noise + torch.stack([path, path.flip(0)]).repeat_interleave(5, 0)
    text = Text(TEXT.labels[:2], TEXT.prompts[:2], TEXT.values[:2])
    support = Support(values, torch.arange(2).repeat_interleave(5))
    found = estimate(method, support, text)
    assert set(found.by_matcher) == {"mean", "bimhm", "diag"}
    assert found.by_matcher["diag"].count == 10
    assert found.by_matcher["mean"].count < 9
    assert method.config.matcher == "otam"
    head = ClipFsar(FakeBackbone(), ClipFsarConfig(mlp_dim=16)).eval()  # type: ignore[arg-type]
    assert estimate(head, support, text).by_matcher == {}


def test_clips_that_show_the_same_are_pairs_and_reversed_ones_are_not() -> None:
    values = torch.randn(4, T, D, generator=torch.Generator().manual_seed(0))
    values[2] = 3 * values[0] + 1e-3
    values[3] = values[1].flip(0)
    assert find_twins(values) == [(0, 2)]
