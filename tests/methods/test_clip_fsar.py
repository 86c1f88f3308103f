"""CLIP-FSAR as a method: what it learns, and what it refuses. Numbers are in tests/parity."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from actcli.errors import ModelError
from actcli.labelled import Episode, Support, TrainingEpisode
from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig, reference_config
from actcli.types import Text

D, T = 8, 4


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def text_of(count: int) -> Text:
    names = tuple("abcdefgh"[:count])
    return Text(names, tuple((name,) for name in names), numbers(count, 1, D, seed=5))


def training_episode() -> TrainingEpisode:
    """Two of four classes, one clip each, and four queries."""
    targets = torch.tensor([0, 1])
    every = text_of(4)
    text = Text(every.labels[1:3], every.prompts[1:3], every.values[1:3])
    query = numbers(4, T, D, seed=2)
    episode = Episode(Support(numbers(2, T, D, seed=1), targets), query, text, targets.repeat(2))
    return TrainingEpisode(episode, targets + 1, targets.repeat(2) + 1, every, torch.arange(6))


def test_an_episode_can_be_learned_by_heart(fake_backbone: Any) -> None:
    torch.manual_seed(0)
    method = ClipFsar(fake_backbone, ClipFsarConfig(mlp_dim=32, class_loss_weight=0.0))
    optimizer = torch.optim.Adam(method.param_groups(3e-3))
    first = last = float("nan")
    for step in range(60):
        optimizer.zero_grad()
        loss = torch.stack(list(method(training_episode()).values())).sum()
        loss.backward()
        optimizer.step()
        first, last = (loss.item() if step == 0 else first), loss.item()
    assert last < 0.5 * first
    logits = method.eval().episode_logits(training_episode().episode)
    assert logits.argmax(-1).tolist() == [0, 1, 0, 1]


def test_every_parameter_of_the_head_has_a_gradient(fake_backbone: Any) -> None:
    method = ClipFsar(fake_backbone, ClipFsarConfig(mlp_dim=16, depth=2))
    terms = method.loss(training_episode())
    assert set(terms) == {"few-shot", "class"}
    torch.stack(list(terms.values())).sum().backward()
    learning = {n: p for n, p in method.named_parameters() if not n.startswith("backbone.")}
    assert learning
    assert all(p.grad is not None and bool(p.grad.any()) for p in learning.values())


def test_the_words_of_a_class_change_its_prototype_only(fake_backbone: Any) -> None:
    torch.manual_seed(0)
    method = ClipFsar(fake_backbone, ClipFsarConfig(mlp_dim=16)).eval()
    support, text = Support(numbers(2, T, D), torch.tensor([0, 1])), text_of(2)
    other = Text(text.labels, text.prompts, torch.cat([text.values[:1], -text.values[1:]]))
    first, second = (method.prototypes(support, t).values for t in (text, other))
    torch.testing.assert_close(first[0], second[0])
    assert not torch.allclose(first[1], second[1])


def test_an_embedding_that_its_heads_do_not_divide_is_refused(fake_backbone: Any) -> None:
    with pytest.raises(ModelError, match="3 heads do not divide"):
        ClipFsar(fake_backbone, ClipFsarConfig(heads=3))


def test_another_matcher_is_refused() -> None:
    with pytest.raises(ValidationError):
        ClipFsarConfig(matcher="mean")  # type: ignore[arg-type]


def test_published_names_come_back_from_ours(fake_backbone: Any) -> None:
    method = ClipFsar(fake_backbone, ClipFsarConfig(mlp_dim=16, depth=2))
    ours = {n: v for n, v in method.state_dict().items() if not n.startswith("backbone.")}
    published = {ClipFsar.to_reference(name): value for name, value in ours.items()}
    assert "head.context2.layers.1.0.fn.to_out.0.bias" in published
    assert ClipFsar.from_reference(published).keys() == ours.keys()


def test_a_key_of_another_layout_is_named() -> None:
    with pytest.raises(ModelError, match=r"unknown keys \"head.context3.x\""):
        ClipFsar.from_reference({"head.scale": torch.ones(1), "head.context3.x": torch.ones(1)})


@pytest.mark.parametrize(
    ("settings", "weight"),
    [({}, 0.0), ({"COMBINE": True}, 0.9), ({"COMBINE": True, "TEXT_COFF": 0}, 0.9),
     ({"COMBINE": True, "TEXT_COFF": 0.5}, 0.5), ({"EVAL_TEXT": True, "COMBINE": True}, 1.0),
     ({"TEXT_COFF": 0.5}, 0.0)],
)  # fmt: skip
def test_published_switches_become_the_weight_of_the_words(
    settings: dict[str, Any], weight: float
) -> None:
    assert reference_config({}, settings).text_weight == weight
