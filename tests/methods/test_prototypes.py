"""Nearest prototype as the base of every few-shot method, and how words are mixed in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from actcli.labelled import Episode, Support
from actcli.methods.base import Method
from actcli.methods.nearest_prototype import LARGEST_AUTO_WEIGHT, MethodConfig
from actcli.types import Text

D, T = 8, 5


def cloud(shots: int, seed: int = 0, spread: float = 0.3) -> tuple[Tensor, Tensor]:
    """Clips around three well-separated sequences of frames, in mixed order."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.eye(D)[:3, None].expand(3, T, D)
    targets = torch.arange(3).repeat(shots)
    noise = torch.randn(3 * shots, T, D, generator=generator)
    return centres[targets] + spread * noise, targets


def words(helpful: bool) -> Text:
    """Prompts that point at their class, or at the next one."""
    values = torch.eye(D)[[0, 1, 2] if helpful else [1, 2, 0]][:, None]
    return Text(("a", "b", "c"), (("a",), ("b",), ("c",)), values)


def method(backbone: Any, **config: Any) -> Method:
    return Method(backbone, MethodConfig(**config)).eval()


@pytest.mark.parametrize("matcher", ["mean", "otam", "bimhm", "diag"])
def test_queries_go_to_the_class_of_their_examples(matcher: str, fake_backbone: Any) -> None:
    support, query = cloud(2), cloud(4, seed=1)
    episode = Episode(Support(*support), query[0], words(helpful=False))
    logits = method(fake_backbone, matcher=matcher, text_weight=0.0).episode_logits(episode)
    assert torch.equal(logits.argmax(-1), query[1])
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(12))


def test_a_class_with_more_examples_is_no_nearer(fake_backbone: Any) -> None:
    values, targets = cloud(1, spread=0.0)
    twice = Support(torch.cat([values, values[:1]]), torch.cat([targets, targets[:1]]))
    ours = method(fake_backbone, text_weight=0.0)
    same = ours.prototypes(twice, words(True)).values
    torch.testing.assert_close(same, ours.prototypes(Support(values, targets), words(True)).values)


def test_a_long_embedding_does_not_outweigh_the_others_of_its_class(fake_backbone: Any) -> None:
    values, targets = cloud(2)
    scaled = values * torch.linspace(0.1, 10, len(values))[:, None, None]
    ours = method(fake_backbone)
    first, second = (ours.prototypes(Support(v, targets), words(True)) for v in (values, scaled))
    torch.testing.assert_close(first.values, second.values)


def test_permuting_classes_permutes_logits(fake_backbone: Any) -> None:
    (values, targets), (query, _) = cloud(2), cloud(2, seed=1)
    text, order = words(True), torch.tensor([2, 0, 1])
    other = Text(("c", "a", "b"), (("c",), ("a",), ("b",)), text.values[order])
    ours = method(fake_backbone, text_weight=0.4)
    logits = ours.episode_logits(Episode(Support(values, targets), query, text))
    moved = torch.argsort(order)[targets]
    permuted = ours.episode_logits(Episode(Support(values, moved), query, other))
    torch.testing.assert_close(permuted, logits[:, order])


def test_words_alone_and_pictures_alone_are_the_ends_of_the_mix(fake_backbone: Any) -> None:
    support, query = cloud(1), cloud(2, seed=1)[0]
    text = words(helpful=False)

    def logits(weight: float) -> Tensor:
        ours = method(fake_backbone, text_weight=weight)
        return ours.episode_logits(Episode(Support(*support), query, text))

    told = method(fake_backbone).logits(query, text).float().log_softmax(-1)
    torch.testing.assert_close(logits(1.0), told)
    torch.testing.assert_close(logits(0.25), 0.25 * told + 0.75 * logits(0.0))


def test_words_that_name_the_examples_are_trusted_and_others_are_not(fake_backbone: Any) -> None:
    ours, support = method(fake_backbone), Support(*cloud(3))
    assert ours.text_trust(support, words(helpful=True)) > 0.99
    assert ours.text_trust(support, words(helpful=False)) == 0.0
    helped = ours.prototypes(support, words(helpful=True)).text_weight
    assert helped == pytest.approx(LARGEST_AUTO_WEIGHT, abs=0.01)
    assert ours.prototypes(support, words(helpful=False)).text_weight == 0.0


def test_words_that_are_sometimes_surely_wrong_lose_most_of_their_weight(
    fake_backbone: Any,
) -> None:
    values, targets = cloud(3)
    text = words(helpful=True)
    mixed = Text(text.labels, text.prompts, text.values[[0, 2, 1]])
    assert method(fake_backbone).text_trust(Support(values, targets), mixed) < 0.05


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_prototypes_without_each_are_those_of_the_rest(weight: float, fake_backbone: Any) -> None:
    values, targets = cloud(3)
    ours = method(fake_backbone, text_weight=weight)
    without = ours.prototypes_without_each(Support(values, targets), words(True))
    rest = Support(values[1:], targets[1:])
    expected = ours.prototypes(rest, words(True)).values[targets[0]]
    torch.testing.assert_close(without[0], expected)


def test_similarity_to_a_prototype_is_a_cosine(fake_backbone: Any) -> None:
    ours, (values, targets) = method(fake_backbone), cloud(1, spread=0.0)
    prototypes = ours.prototypes(Support(values, targets), words(True))
    torch.testing.assert_close(ours.prototype_similarity(values, prototypes), torch.eye(3))
