"""Scorers that abstain, that judge each label alone, and whose scores are calibrated."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from actcli.config import ClassifyConfig, DecisionConfig, FewShotConfig, with_options
from actcli.errors import UsageError
from actcli.models.calibrated import Calibration
from actcli.tasks.deciding import decided
from actcli.tasks.scoring import Compared, Scorer, predict
from actcli.types import FrameEmbeddings, Prediction, VideoRef

LABELS = ("run", "jump", "wave")


def plain(kind: Any = "softmax", labels: tuple[str, ...] = LABELS) -> Scorer:
    """The first numbers of the mean frame are the logits."""

    def compare(values: torch.Tensor) -> Compared:
        logits = values.mean(1)[:, : len(labels)]
        return Compared(logits, logits / 10)

    return Scorer(labels, kind, compare)


def decisions(calibration: Calibration | None = None, **config: Any) -> Any:
    own = DecisionConfig(**config)
    least = (0.5,) * 3 if own.multi_label else None
    return SimpleNamespace(
        config=own, calibration=calibration, rule=own.reject_rule or "bank",
        threshold=own.reject_threshold, label_thresholds=lambda: least,
    )  # fmt: skip


def result(scorer: Scorer, *logits: float) -> Prediction:
    values = torch.tensor(logits)[None, None].repeat(2, 3, 1)
    video = FrameEmbeddings(VideoRef("a.mp4"), values, ((0.0,) * 3,) * 2, 0.0, 1.0)
    return predict(video, scorer, method="clip", model="demo", top=3)


def low_bank(values: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(values), 4)


def fitted(**changes: Any) -> Calibration:
    values = {"identity": {}, "labels": LABELS, "prompts": (("a",),) * 3,
              "score_kind": "softmax"}  # fmt: skip
    return Calibration.model_validate(values | changes)


def test_nothing_asked_changes_nothing() -> None:
    before = result(plain(), 1.0, 4.0, 2.0)
    after = result(decided(plain(), None, decisions()), 1.0, 4.0, 2.0)
    assert after == before
    assert (after.abstained, after.present, after.calibrated) == (None, None, False)


@pytest.mark.parametrize("rule", ["bank", "energy", "cosine", "softmax"])
def test_a_video_is_rejected_if_and_only_if_below_the_threshold(rule: Any) -> None:
    def found(threshold: float) -> Prediction:
        asked = decisions(reject=True, reject_rule=rule, reject_threshold=threshold)
        return result(decided(plain(), low_bank, asked), 1.0, 4.0, 2.0)

    sure = found(-100.0).confidence
    assert sure is not None
    assert [found(sure + d).abstained for d in (-1e-9, 0.0, 1e-9)] == [False, False, True]


def test_a_rejected_video_keeps_its_best_guess() -> None:
    asked = decisions(reject=True, reject_threshold=0.99)
    found = result(decided(plain(), low_bank, asked), 1.0, 2.0, 0.0)
    assert (found.abstained, found.label, len(found.ranked)) == (True, "jump", 3)


def test_a_confidence_that_is_no_number_is_rejected() -> None:
    assert plain_with_threshold().verdict(torch.ones(3), float("nan"))["abstained"]


def plain_with_threshold() -> Scorer:
    return decided(plain(), None, decisions(reject=True, reject_threshold=0.5))


def test_temperature_1_changes_no_score_but_says_calibrated() -> None:
    before = result(plain(), 1.0, 4.0, 2.0)
    after = result(decided(plain(), None, decisions(fitted())), 1.0, 4.0, 2.0)
    assert after.ranked == before.ranked
    assert after.calibrated


def test_a_temperature_keeps_the_ranking_and_softens_the_scores() -> None:
    before = result(plain(), 1.0, 4.0, 2.0)
    after = result(decided(plain(), None, decisions(fitted(temperature=3.0))), 1.0, 4.0, 2.0)
    assert [one.label for one in after.ranked] == [one.label for one in before.ranked]
    assert after.score < before.score


def test_a_temperature_has_no_part_in_what_is_rejected() -> None:
    asked = {"reject": True, "reject_threshold": 0.5}
    one, two = (result(decided(plain(), low_bank, decisions(c, **asked)), 1.0, 4.0, 2.0)
                for c in (None, fitted(temperature=9.0)))  # fmt: skip
    assert one.confidence == two.confidence


def test_one_label_of_a_sigmoid_model_is_its_own_sigmoid_beside_others_or_not() -> None:
    scorer = decided(plain("sigmoid"), None, decisions(multi_label=True))
    found = {one.label: one.score for one in result(scorer, -0.5, 2.0, 3.0).ranked}
    expected = torch.tensor([-0.5, 2.0, 3.0]).double().sigmoid().tolist()
    assert [found[label] for label in LABELS] == pytest.approx(expected)


def test_labels_that_fit_alike_are_both_told_best_first() -> None:
    scorer = decided(plain(), low_bank, decisions(multi_label=True))
    found = result(scorer, 5.0, 5.5, -3.0)
    assert (found.present, found.score_kind) == (("jump", "run"), "sigmoid")


def test_a_video_of_no_label_has_an_empty_list() -> None:
    scorer = decided(plain(), lambda v: torch.full((len(v), 4), 9.0), decisions(multi_label=True))
    assert result(scorer, 1.0, 0.0, 2.0).present == ()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"reject": True, "multi_label": True}, "empty list"),
        ({"reject_threshold": 0.5}, "--threshold"),
        ({"target_false_accept": 0.1}, "--target-false-accept: is for --reject"),
        ({"reject_rule": "bank"}, "--reject-rule: is for --reject"),
        ({"label_threshold": 0.5}, "--multi-label"),
        ({"reject": True, "reject_threshold": 0.5, "target_false_accept": 0.1}, "one of them"),
        ({"reject": True, "window_s": 2.0, "segments": True}, "--reject: segments"),
    ],
)
def test_settings_that_contradict_each_other_name_their_flags(options: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        with_options(ClassifyConfig(), options)


def test_fewshot_refuses_what_only_classify_does() -> None:
    with pytest.raises(UsageError, match="are for classify"):
        with_options(FewShotConfig(), {"reject": True})
