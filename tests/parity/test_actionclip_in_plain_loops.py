"""ActionCLIP against its equations written a second time, in plain loops: runs everywhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from actcli.methods.actionclip import ActionClip, ActionClipConfig, same_class_loss
from actcli.models.space_time import shift_tokens
from actcli.models.temporal_heads import make_head
from actcli.types import Text

D, T = 8, 4


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stub() -> Any:
    backbone = torch.nn.Module()
    backbone.embed_dim = D  # type: ignore[assignment]
    return backbone


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def test_the_loss_is_the_divergence_from_the_same_class_matrix() -> None:
    video, text = (torch.nn.functional.normalize(numbers(5, D, seed=s), dim=-1) for s in (1, 2))
    targets, scale = torch.tensor([0, 1, 0, 2, 1]), torch.tensor(2.0)
    expected = 0.0
    for rows, columns in ((video, text), (text, video)):
        for i in range(5):
            logits = [math.exp(2.0) * float(rows[i] @ columns[j]) for j in range(5)]
            wanted = softmax([10.0 * float(targets[i] == targets[j]) for j in range(5)])
            found = softmax(logits)
            expected += sum(q * (math.log(q) - math.log(p))
                            for q, p in zip(wanted, found, strict=True)) / 10  # fmt: skip
    loss, logits = same_class_loss(video, text, scale, targets)
    assert float(loss) == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(logits, math.exp(2.0) * video @ text.T)


def test_scores_are_averaged_over_templates_and_not_embeddings() -> None:
    method = ActionClip(stub(), ActionClipConfig(head="meanP"))
    video, words = numbers(2, T, D, seed=3), numbers(3, 5, D, seed=4)
    text = Text(("a", "b", "c"), tuple((str(i),) * 5 for i in range(3)), words)
    scores = method.logits(video, text).softmax(-1)
    for n in range(2):
        v = video[n].mean(0)
        by_class = [0.0, 0.0, 0.0]
        for p in range(5):
            cosines = [float(v @ words[c, p] / (v.norm() * words[c, p].norm())) for c in range(3)]
            for c, share in enumerate(softmax([100 * (x - max(cosines)) for x in cosines])):
                by_class[c] += share / 5
        assert scores[n].tolist() == pytest.approx(by_class, abs=1e-4)


@pytest.mark.parametrize("is_mixed", [True, False])
def test_the_convolution_reads_memory_as_published_or_time(is_mixed: bool) -> None:
    head: Any = make_head("Conv_1D", D, heads=1, num_frames=T, is_mixed=is_mixed)
    head.shift.weight.data = numbers(D, 1, 3, seed=5)
    x = numbers(2, T, D, seed=6)
    weight, expected = head.shift.weight[:, 0].detach().numpy(), np.zeros((2, D))
    for b in range(2):
        flat = x[b].flatten().numpy()
        u = flat.reshape(D, T) if is_mixed else x[b].numpy().T
        for i in range(D):
            for j in range(T):
                taps = [u[i, j + k - 1] if 0 <= j + k - 1 < T else 0.0 for k in range(3)]
                expected[b, i] += (sum(taps * weight[i]) + float(x[b, j, i])) / T
    np.testing.assert_allclose(head(x).detach().numpy(), expected, atol=1e-5)


def test_the_convolution_begins_as_a_shift_of_two_quarters_of_the_channels() -> None:
    head: Any = make_head("Conv_1D", D, heads=1, num_frames=T, is_mixed=False)
    taps = head.shift.weight[:, 0].argmax(1).tolist()
    assert taps == [0] * 2 + [1] * 4 + [2] * 2


def test_attention_over_frames_block_by_block() -> None:
    head: Any = make_head("Transf", D, heads=2, num_frames=T, is_mixed=True).eval()
    for seed, parameter in enumerate(head.parameters()):
        parameter.data = 0.3 * numbers(*parameter.shape, seed=50 + seed)
    x = numbers(1, T, D, seed=7)
    z = (x[0] + head.frame_position_embeddings.weight[:T]).detach().double().numpy()
    for block in head.transformer["resblocks"]:
        state = {k: v.detach().double().numpy() for k, v in block.state_dict().items()}
        z = z + attention(layer_norm(z, state, "ln_1"), state)
        wide = layer_norm(z, state, "ln_2") @ state["mlp.c_fc.weight"].T + state["mlp.c_fc.bias"]
        wide = wide / (1 + np.exp(-1.702 * wide))
        z = z + wide @ state["mlp.c_proj.weight"].T + state["mlp.c_proj.bias"]
    expected = (z + x[0].double().numpy()).mean(0)
    np.testing.assert_allclose(head(x)[0].detach().numpy(), expected, rtol=1e-4, atol=1e-4)


def layer_norm(z: Any, state: dict[str, Any], name: str) -> Any:
    mean, spread = z.mean(-1, keepdims=True), z.var(-1, keepdims=True)
    scaled = (z - mean) / np.sqrt(spread + 1e-12)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(u: Any, state: dict[str, Any]) -> Any:
    joined = u @ state["attn.in_proj_weight"].T + state["attn.in_proj_bias"]
    q, k, v = np.split(joined, 3, -1)
    out, half = np.zeros_like(u), D // 2
    for head in range(2):
        own = slice(head * half, (head + 1) * half)
        for i in range(T):
            shares = softmax([float(q[i, own] @ k[j, own]) / math.sqrt(half) for j in range(T)])
            out[i, own] = sum(s * v[j, own] for j, s in enumerate(shares))
    return out @ state["attn.out_proj.weight"].T + state["attn.out_proj.bias"]


@pytest.mark.parametrize("num_prefix", [1, 0, 3])
def test_a_shift_takes_an_eighth_of_the_channels_from_each_side(num_prefix: int) -> None:
    clips, width = 2, 16
    tokens = numbers(clips * T, num_prefix + 4, width, seed=8)
    shifted = shift_tokens(tokens, T, num_prefix)
    for n in range(clips):
        for t in range(T):
            for place in range(num_prefix + 4):
                for c in range(width):
                    source = t if place < num_prefix or c >= 4 else t + 1 if c < 2 else t - 1
                    row = n * T + source
                    is_inside = 0 <= source < T
                    expected = float(tokens[row, place, c]) if is_inside else 0.0
                    assert float(shifted[n * T + t, place, c]) == expected
