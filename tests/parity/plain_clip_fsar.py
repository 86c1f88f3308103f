"""CLIP-FSAR's equations written a second time, a number at a time: slow, and nothing shared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EPS = 0.01


def soft_min(values: Sequence[float], softness: float) -> float:
    return -softness * math.log(sum(math.exp(-value / softness) for value in values))


def otam(distance: Array, softness: float = 0.5) -> float:
    """One direction, cell by cell, on the matrix with a column of zeros on either side."""
    rows, columns = distance.shape
    padded = np.zeros((rows, columns + 2))
    padded[:, 1:-1] = distance
    cost = np.zeros_like(padded)
    for m in range(1, columns + 2):
        cost[0, m] = padded[0, m] + cost[0, m - 1]
    for row in range(1, rows):
        for m in range(1, columns + 2):
            ways = [cost[row - 1, m - 1], cost[row, m - 1]]
            if m in (1, columns + 1):
                ways.append(cost[row - 1, m])
            cost[row, m] = padded[row, m] + soft_min(ways, softness)
    return float(cost[-1, -1])


def cosine(x: Array, y: Array, eps: float = EPS) -> float:
    return float(x @ y / (math.sqrt(x @ x) * math.sqrt(y @ y) + eps))


def distances(query: Array, prototype: Array, eps: float = EPS) -> Array:
    return np.array([[1 - cosine(x, y, eps) for y in prototype] for x in query])


def both_ways(query: Array, prototype: Array, eps: float = EPS) -> float:
    matrix = distances(query, prototype, eps)
    return otam(matrix) + otam(matrix.T)


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weight + bias


def gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def transformer(tokens: Array, state: Mapping[str, Array], depth: int, heads: int) -> Array:
    """The published names are used, as they stand in a checkpoint."""
    x = tokens.copy()
    for layer in range(depth):
        at = f"head.context2.layers.{layer}."
        norm, norm_bias = state[at + "0.norm.weight"], state[at + "0.norm.bias"]
        u = np.array([layer_norm(token, norm, norm_bias) for token in x])
        q, k, v = (u @ state[f"{at}0.fn.to_{part}.weight"].T for part in "qkv")
        size = x.shape[1] // heads
        attended = np.zeros_like(x)
        for head in range(heads):
            at_head = slice(head * size, (head + 1) * size)
            for i in range(len(x)):
                weights = [math.exp(q[i, at_head] @ key[at_head] / math.sqrt(size)) for key in k]
                for weight, value in zip(weights, v, strict=True):
                    attended[i, at_head] += weight / sum(weights) * value[at_head]
        out = attended @ state[at + "0.fn.to_out.0.weight"].T + state[at + "0.fn.to_out.0.bias"]
        y = x + out
        wide = y @ state[at + "1.net.0.weight"].T + state[at + "1.net.0.bias"]
        wide = np.vectorize(gelu)(wide)
        x = y + wide @ state[at + "1.net.3.weight"].T + state[at + "1.net.3.bias"]
    return x


def prototype(
    clips: Sequence[Array], words: Array, state: Mapping[str, Array], heads: int, depth: int,
    merge_before: bool,
) -> Array:  # fmt: skip
    if merge_before:
        clips = [sum(clips) / len(clips)]
    modulated = [
        transformer(np.vstack([clip, words[None]]), state, depth, heads)[:-1] for clip in clips
    ]
    merged: Array = sum(modulated) / len(modulated)
    return merged


def softmax(values: Sequence[float]) -> list[float]:
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / sum(powers) for power in powers]


def text_scores(query: Array, words: Sequence[Array], scale: float) -> list[float]:
    mean = query.mean(0)
    return softmax([scale * cosine(mean, word, eps=0.0) for word in words])
