"""Numbers against scikit-learn, and against themselves where a law holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    top_k_accuracy_score,
)

from actcli.eval.metrics import (
    BINS,
    Outcome,
    calibration_error,
    mean_average_precision,
    measure,
    measure_several,
)


def outcomes_of(scores: np.ndarray, targets: np.ndarray) -> list[Outcome]:
    order = np.argsort(-scores, axis=1, kind="stable")
    return [
        Outcome(f"{i}.mp4", int(t), int(row[0]), int(np.flatnonzero(row == t)[0]),
                float(scores[i, row[0]]))
        for i, (row, t) in enumerate(zip(order, targets, strict=True))
    ]  # fmt: skip


@pytest.fixture(params=range(5))
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(request.param)
    scores = rng.dirichlet(np.ones(9) * 0.3, 200)
    targets = np.where(rng.random(200) < 0.5, scores.argmax(1), rng.integers(0, 8, 200))
    return scores, targets


def test_accuracies_and_confusions_are_those_of_scikit_learn(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, targets = case
    found = measure(outcomes_of(scores, targets), 9)
    names = list(range(9))
    assert found.top1.value == pytest.approx(top_k_accuracy_score(targets, scores, k=1,
                                                                  labels=names))  # fmt: skip
    assert found.top5 is not None
    assert found.top5.value == pytest.approx(top_k_accuracy_score(targets, scores, k=5,
                                                                  labels=names))  # fmt: skip
    guesses = scores.argmax(1)
    seen = np.isin(guesses, targets)  # it warns of classes that are only guessed
    expected = balanced_accuracy_score(targets, np.where(seen, guesses, (targets + 1) % 8))
    assert found.mean_class == pytest.approx(expected)
    matrix = confusion_matrix(targets, guesses, labels=names)
    assert [(s.count, s.total) for s in found.per_class] == [
        (matrix[c, c], matrix[c].sum()) for c in names]  # fmt: skip
    assert {(t, g): n for t, g, n in found.confused} == {
        (t, g): matrix[t, g] for t in names for g in names if t != g and matrix[t, g]}  # fmt: skip
    assert [n for *_, n in found.confused] == sorted((n for *_, n in found.confused), reverse=True)


def test_calibration_error_is_the_mean_gap_over_bins(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, targets = case
    best, right = scores.max(1), scores.argmax(1) == targets
    bins = np.minimum((best * BINS).astype(int), BINS - 1)
    gaps = [abs(best[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
            for b in range(BINS) if (bins == b).any()]  # fmt: skip
    found = calibration_error(torch.tensor(best), torch.tensor(right))
    assert found == pytest.approx(sum(gaps), abs=1e-6)


def test_scores_that_are_true_as_often_as_they_say_are_calibrated() -> None:
    scores = torch.tensor([0.5, 0.5, 1.0, 1.0])
    assert calibration_error(scores, torch.tensor([True, False, True, True])) == pytest.approx(0.0)
    assert calibration_error(torch.ones(4), torch.zeros(4).bool()) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(3))
def test_mean_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, truth = rng.random((60, 6)), rng.random((60, 6)) < 0.2
    truth[:, 4] = False  # a label without videos is left out
    expected = average_precision_score(truth[:, [0, 1, 2, 3, 5]], scores[:, [0, 1, 2, 3, 5]])
    found = mean_average_precision(torch.tensor(scores), torch.tensor(truth))
    assert found == pytest.approx(expected, abs=1e-6)
    alone = mean_average_precision(torch.tensor(scores[:, :1]), torch.tensor(truth[:, :1]))
    assert alone == pytest.approx(average_precision_score(truth[:, 0], scores[:, 0]), abs=1e-6)


def test_no_label_with_videos_has_no_precision() -> None:
    assert np.isnan(mean_average_precision(torch.rand(3, 2), torch.zeros(3, 2).bool()))


def test_a_best_label_that_is_one_of_several_is_right() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.8, 0.3]])
    truth = torch.tensor([[True, False, True], [False, False, True]])
    found = measure_several(scores, truth)
    assert (found.top1.count, found.top1.total) == (1, 2)
    assert (found.mean_class, found.ece, found.top5) == (None, None, None)


def test_top_5_of_five_labels_is_no_number() -> None:
    assert measure([Outcome("a", 0, 0, 0, 1.0)], 5).top5 is None
    assert measure([Outcome("a", 0, 0, None, 1.0)], 9).top5 is None
    assert measure([Outcome("a", 0, 0, 0, 1.0)], 1).top1.value == 1.0


def test_classes_without_videos_do_not_count_in_the_mean() -> None:
    found = measure([Outcome("a", 0, 0, 0, 0.9), Outcome("b", 0, 2, 1, 0.9)], 3)
    assert found.mean_class == 0.5
    assert [share.total for share in found.per_class] == [2, 0, 0]
