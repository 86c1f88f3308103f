"""Scores: the equations as plain loops, and the laws that hold for any embeddings."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actcli.errors import ModelError
from actcli.models.scores import average_views, cosine_logits, rank, scores_from_logits

SCALE = torch.tensor(math.log(100.0))


def embeddings(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def mean(vectors: list[list[float]]) -> list[float]:
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def test_logits_are_those_of_the_equations() -> None:
    video, text = embeddings(2, 3, 5), embeddings(4, 2, 5, seed=1)
    logits, similarity = cosine_logits(video, text, SCALE, torch.tensor(-10.0))
    for n in range(2):
        for c in range(4):
            v = unit(mean([unit(frame) for frame in video[n].tolist()]))
            t = unit(mean([unit(prompt) for prompt in text[c].tolist()]))
            cosine = sum(a * b for a, b in zip(v, t, strict=True))
            assert similarity[n, c].item() == pytest.approx(cosine, abs=1e-7)
            assert logits[n, c].item() == pytest.approx(100 * cosine - 10, abs=1e-5)


def test_the_length_of_an_embedding_does_not_matter() -> None:
    video, text = embeddings(2, 3, 5).double(), embeddings(4, 2, 5, seed=1).double()
    longer = video * torch.tensor([1.0, 7.0, 0.1]).view(1, 3, 1)
    torch.testing.assert_close(
        cosine_logits(longer, text * 3, SCALE)[0], cosine_logits(video, text, SCALE)[0]
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_embeddings_are_compared_in_float64(dtype: torch.dtype) -> None:
    video, text = embeddings(2, 3, 5).to(dtype), embeddings(4, 2, 5, seed=1).to(dtype)
    logits, _ = cosine_logits(video, text, SCALE)
    assert logits.dtype == torch.float64
    assert torch.equal(logits, cosine_logits(video.float(), text.float(), SCALE)[0])


def test_an_embedding_of_zeros_has_similarity_zero() -> None:
    _, similarity = cosine_logits(torch.zeros(1, 2, 5), embeddings(3, 1, 5), SCALE)
    assert similarity.tolist() == [[0.0] * 3]
    _, similarity = cosine_logits(embeddings(1, 2, 5), torch.zeros(3, 1, 5), SCALE)
    assert similarity.tolist() == [[0.0] * 3]


@pytest.mark.parametrize("prompts", [1, 3])
def test_scores_do_not_depend_on_how_many_videos_are_compared(prompts: int) -> None:
    video, text = embeddings(33, 8, 512), embeddings(70, prompts, 512, seed=1)
    _, together = cosine_logits(video, text, SCALE)
    alone = torch.cat([cosine_logits(video[n : n + 1], text, SCALE)[1] for n in range(33)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-14)


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=50))
def test_softmax_scores_sum_to_one(logits: list[float]) -> None:
    scores = scores_from_logits(torch.tensor([logits]), "softmax")
    assert scores.dtype == torch.float64
    assert abs(scores.sum().item() - 1) < 1e-12


def test_a_single_class_has_score_one() -> None:
    assert scores_from_logits(torch.tensor([[-3.2]]), "softmax").tolist() == [[1.0]]


def test_sigmoid_scores_stand_alone() -> None:
    scores = scores_from_logits(torch.tensor([0.0, 2.0, -2.0]), "sigmoid")
    assert scores.tolist() == pytest.approx([0.5, 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))])


def test_permuting_labels_permutes_scores() -> None:
    video, text = embeddings(2, 3, 5), embeddings(4, 2, 5, seed=1)
    order = torch.tensor([2, 0, 3, 1])
    logits = cosine_logits(video, text, SCALE)[0]
    permuted = cosine_logits(video, text[order], SCALE)[0]
    torch.testing.assert_close(permuted, logits[:, order], rtol=0, atol=1e-4)


def test_views_are_averaged_as_scores() -> None:
    logits = torch.tensor([[[0.0, 0.0], [100.0, 0.0]]])
    scores = average_views(scores_from_logits(logits, "softmax"))
    assert scores[0].tolist() == pytest.approx([0.75, 0.25])


def test_the_best_labels_come_first() -> None:
    scores = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    ranked = rank(scores, torch.tensor([0.1, 0.2, 0.3]), ["run", "jump", "wave"], top=2)
    assert [(r.label, r.score) for r in ranked] == [("jump", 0.5), ("wave", 0.3)]
    assert ranked[0].similarity == pytest.approx(0.2)


def test_equal_scores_keep_the_order_of_the_classes() -> None:
    labels = [f"label {i}" for i in range(40)]
    ranked = rank(torch.full((40,), 1 / 40), None, labels, top=40)
    assert [r.label for r in ranked] == labels
    assert ranked[0].similarity is None


def test_asking_for_more_labels_than_there_are_gives_all() -> None:
    assert len(rank(torch.tensor([0.4, 0.6]), None, ["run", "jump"], top=5)) == 2


def test_scores_that_are_no_numbers_are_an_error_with_a_way_out() -> None:
    with pytest.raises(ModelError, match="not numbers") as caught:
        rank(torch.tensor([0.4, math.nan]), None, ["run", "jump"], top=1)
    assert caught.value.hint == "use --precision fp32"
