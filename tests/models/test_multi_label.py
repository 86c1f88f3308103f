"""Several labels at once, and frames weighted by how well they fit."""

import pytest
import torch

from actcli.models.frame_weights import agreement
from actcli.models.multi_label import against_rest
from actcli.models.scores import pooled


def test_a_label_is_judged_against_the_mean_of_all_others() -> None:
    logits, bank = torch.tensor([[3.0, 1.0, 5.0]]), torch.tensor([[0.0, 2.0]])
    expected = [[3 - 8 / 4, 1 - 10 / 4, 5 - 6 / 4]]
    assert against_rest(logits, bank).tolist() == expected


def test_one_label_is_judged_against_the_bank_alone() -> None:
    found = against_rest(torch.tensor([[3.0]]), torch.tensor([[1.0, 2.0]]))
    assert found.item() == 1.5


def test_labels_that_fit_alike_hold_alike_and_need_not_share() -> None:
    found = against_rest(torch.tensor([[9.0, 9.0, 0.0]]), torch.zeros(1, 9)).sigmoid()
    assert found[0, 0] == found[0, 1]
    assert float(found[0, 0]) > 0.9


def test_a_constant_for_all_logits_changes_nothing() -> None:
    logits, bank = torch.randn(4, 3), torch.randn(4, 5)
    torch.testing.assert_close(against_rest(logits + 7, bank + 7), against_rest(logits, bank))


def test_frames_that_fit_alike_count_alike() -> None:
    video, logits = torch.randn(2, 4, 8), torch.zeros(2, 4, 3)
    torch.testing.assert_close(pooled(agreement(video, logits)), pooled(video))


def test_the_surest_frame_counts_most_and_alone_in_the_end() -> None:
    video, logits = torch.randn(1, 3, 8), torch.tensor([[[0.0, 0.0], [6.0, 0.0], [1.0, 0.0]]])
    torch.testing.assert_close(
        pooled(agreement(video, logits, 1e4)), pooled(video[:, 1:2]), atol=1e-5, rtol=0
    )


def test_one_frame_is_itself() -> None:
    video = torch.randn(3, 1, 8)
    torch.testing.assert_close(pooled(agreement(video, torch.randn(3, 1, 4))), pooled(video))


@pytest.mark.parametrize("sharpness", [0.0, 2.0])
def test_the_order_of_frames_does_not_matter(sharpness: float) -> None:
    video, logits = torch.randn(1, 5, 8), torch.randn(1, 5, 3)
    turned = agreement(video.flip(1), logits.flip(1), sharpness)
    torch.testing.assert_close(turned, agreement(video, logits, sharpness))
