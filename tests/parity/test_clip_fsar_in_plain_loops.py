"""CLIP-FSAR against its equations in plain loops (`plain_clip_fsar.py`): runs everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from actcli.labelled import Episode, Support
from actcli.methods.clip_fsar import ClipFsar, ClipFsarConfig, rename
from actcli.models.align import otam_both_ways, otam_cost
from actcli.types import Text
from tests.parity import plain_clip_fsar as plain

D, HEADS, MLP = 16, 4, 24


def numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make_method(**config: object) -> tuple[ClipFsar, dict[str, np.ndarray]]:
    """A head, and its weights under the published names."""
    backbone = torch.nn.Module()
    backbone.embed_dim = D
    method = ClipFsar(backbone, ClipFsarConfig(heads=HEADS, mlp_dim=MLP, **config)).eval()
    for number, parameter in enumerate(method.parameters()):
        parameter.data = 0.3 * numbers(*parameter.shape, seed=100 + number).float()
    ours = method.state_dict()
    published = [f"head.context2.layers.{layer}.{part}.{kind}"
                 for layer in range(method.config.depth)
                 for part in ("0.norm", "0.fn.to_q", "0.fn.to_k", "0.fn.to_v", "0.fn.to_out.0",
                              "1.net.0", "1.net.3")
                 for kind in ("weight", "bias")]  # fmt: skip
    names = {name: rename(name) for name in published}
    return method, {name: ours[as_ours].double().numpy() for name, as_ours in names.items()
                    if as_ours in ours}  # fmt: skip


@pytest.mark.parametrize("shape", [(8, 8), (8, 3), (2, 9), (1, 6), (6, 1), (1, 1), (30, 31)])
@pytest.mark.parametrize("softness", [0.5, 0.1])
def test_otam_is_the_recurrence_cell_by_cell(shape: tuple[int, int], softness: float) -> None:
    matrix = numbers(*shape).abs()
    expected = plain.otam(matrix.numpy(), softness)
    assert float(otam_cost(matrix, softness=softness)) == pytest.approx(expected, abs=1e-9)
    in_single = float(otam_cost(matrix.float(), softness=softness))
    assert in_single == pytest.approx(expected, abs=1e-5 * (1 + expected))


def test_the_gradient_of_otam_is_right() -> None:
    matrix = numbers(2, 3, 5, 4).abs().requires_grad_()
    assert torch.autograd.gradcheck(otam_both_ways, (matrix,))


@pytest.mark.parametrize("merge_before", [True, False])
@pytest.mark.parametrize(("depth", "single"), [(1, False), (2, False), (1, True)])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_episode_logits_are_the_equations(
    merge_before: bool, depth: int, single: bool, weight: float
) -> None:
    method, state = make_method(
        merge_before=merge_before, depth=depth, single_direction=single, text_weight=weight
    )
    targets, query, words = [0, 2, 1, 2, 2, 0], numbers(2, 3, D, seed=3), numbers(3, 1, D, seed=4)
    clips = numbers(6, 4, D, seed=2)  # unequal shots, and other lengths than the queries'
    text = Text(("a", "b", "c"), (("a",), ("b",), ("c",)), words.float())
    with torch.no_grad():
        support = Support(clips.float(), torch.tensor(targets))
        found = method.episode_logits(Episode(support, query.float(), text))
    own = [[clip.numpy() for clip, target in zip(clips, targets, strict=True) if target == c]
           for c in range(3)]  # fmt: skip
    made = [
        plain.prototype(own[c], words[c, 0].numpy(), state, HEADS, depth, merge_before)
        for c in range(3)
    ]
    scale = method.text_scale.item()
    for q in range(2):
        frames = plain.transformer(query[q].numpy(), state, depth, HEADS)
        if single:
            costs = [plain.otam(plain.distances(frames, p)) for p in made]
        else:
            costs = [plain.both_ways(frames, p) for p in made]
        seen = plain.softmax([-cost / 8 for cost in costs])
        told = plain.text_scores(query[q].numpy(), [w[0].numpy() for w in words], scale)
        expected = [-cost for cost in costs]
        if weight:
            expected = [
                weight * np.log(t) + (1 - weight) * np.log(s)
                for t, s in zip(told, seen, strict=True)
            ]
        assert found[q].tolist() == pytest.approx(expected, abs=1e-4)
