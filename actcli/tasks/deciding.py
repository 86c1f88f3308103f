"""What a run makes of its scores: calibrated ones, none of these, several labels at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from actcli.config import ClassifyConfig
from actcli.data.labels import LabelSet
from actcli.data.negatives import negatives_for
from actcli.data.prompts import fill
from actcli.errors import ModelError, UsageError
from actcli.models.calibrated import Calibration, parse, read_calibration
from actcli.tasks.pipeline import Pipeline, Prompts, Started
from actcli.tasks.scoring import Compared, Scorer, by_words

if TYPE_CHECKING:
    from torch import Tensor

    from actcli.methods.base import Method
    from actcli.tasks.supports import SupportSet

    Logits: TypeAlias = Callable[[Tensor], Tensor]

log = logging.getLogger("actcli.tasks.deciding")

DEFAULT_FALSE_ACCEPT: Final = 0.05
DEFAULT_THRESHOLD: Final = 0.5
NO_CALIBRATION: Final = "none"
_RECALL: Final = 0.95
_SHARES: Final = ("bank", "softmax")
"""Rules whose confidence is a share of 1, so that one half means something."""


class Decisions:
    """The `decisions` part of a run's config, checked against its model and labels.

    is_few_shot: whether videos are compared with examples

    Raises UsageError for what can't be decided, InputError or ModelError for a calibration.
    """

    def __init__(
        self,
        pipeline: Pipeline[ClassifyConfig],
        labels: LabelSet,
        prompts: Prompts,
        *,
        is_few_shot: bool = False,
    ) -> None:
        self.config = pipeline.config.decisions
        self._templates = pipeline.config.templates
        self._labels, self._prompts = labels, prompts
        self._is_demo = pipeline.spec.name == "demo"
        self._is_sigmoid = pipeline.spec.score_kind == "sigmoid" and not is_few_shot
        self._identity = identity_of(pipeline)
        self._is_few_shot = is_few_shot
        self._check_few_shot(pipeline)
        self.calibration = self._find_calibration(pipeline)
        self.rule = self._find_rule()
        self.threshold = self._find_threshold()

    def words(self) -> dict[str, Any]:
        """What of it decides scores, for fingerprints; empty where nothing does."""
        asked = self.config.model_dump(exclude_defaults=True, exclude={"calibration"})
        found: dict[str, Any] = {"decisions": asked} if asked else {}
        if self.calibration is not None:
            found["calibration"] = self.calibration.digest
        if self.needs_bank:
            found["bank"] = self.bank_prompts()
        return found

    @property
    def needs_bank(self) -> bool:
        """Whether phrases of the bank are compared with."""
        by_bank = self.config.reject and self.rule == "bank"
        return by_bank or (self.config.multi_label and not self._is_sigmoid)

    def label_thresholds(self) -> tuple[float, ...] | None:
        """The score from which each label holds; None where one always wins."""
        if not self.config.multi_label:
            return None
        fitted = None if self.calibration is None else self.calibration.thresholds_of(self._labels)
        least = self.config.label_threshold
        if fitted is not None and least is None:
            return fitted
        return (DEFAULT_THRESHOLD if least is None else least,) * len(self._labels)

    def bank_prompts(self) -> Prompts:
        """The prompts of the bank, [K][P]: those that share no word with labels or prompts."""
        from actcli.demo import known_words

        said = (*self._labels.words, *(p for own in self._labels.prompts for p in own))
        phrases = negatives_for(said, known=known_words() if self._is_demo else None)
        if not phrases:
            raise UsageError(
                "--reject, --multi-label: the labels leave no other words to compare with",
                hint="--reject --reject-rule softmax",
            )
        return tuple(tuple(fill(t, phrase) for t in self._templates) for phrase in phrases)

    def learn(self, method: Method, supports: SupportSet) -> None:
        """Take the threshold of few-shot classes from their examples, where nothing else gives it.

        It is the one that keeps 95 % of the examples, each compared with the others of its class.

        Raises UsageError for a file without its examples, or with one a class.
        """
        if not self.config.reject or self.threshold is not None:
            return
        from actcli.eval.support import surenesses
        from actcli.models.rejection import threshold_at

        known = None if supports.support is None else surenesses(method, *supports.placed(method))
        if known is None or not len(known):
            raise UsageError(
                "--reject: the examples of the file don't tell how sure to be",
                hint="--threshold X, or --calibration FILE of actcli calibrate",
            )
        self.threshold = threshold_at(known, _RECALL)

    def applied(self, scorer: Scorer, started: Started) -> Scorer:
        """The scorer that does all that was asked for."""
        return decided(*self.parts(scorer, started, with_bank=self.needs_bank), self)

    def parts(
        self, scorer: Scorer, started: Started, *, with_bank: bool
    ) -> tuple[Scorer, Logits | None]:
        """The scorer with its frames weighted, and the logits of the bank, [V, T', D] -> [V, K]."""
        weighted = self._weighting(scorer, started)
        compare, bank = scorer.compare, self._bank(started) if with_bank else None
        found = replace(scorer, compare=lambda values: compare(weighted(values)))
        return found, None if bank is None else (lambda values: bank(weighted(values)))

    def _weighting(self, scorer: Scorer, started: Started) -> Logits:
        if not self.config.frame_weights:
            return lambda values: values
        from actcli.models.frame_weights import agreement

        if not started.method.embeds_by_frame or started.method.name != "clip":
            raise UsageError(f"--frame-weights: {started.method.name} has its own way with frames")

        def weighted(values: Tensor) -> Tensor:
            logits = scorer.compare(values.flatten(0, 1)[:, None]).logits  # [V * T, C]
            return agreement(values.to(logits.device), logits.reshape(*values.shape[:2], -1))

        return weighted

    def _bank(self, started: Started) -> Logits:
        prompts = self.bank_prompts()
        text = started.embed_text([own[0] for own in prompts], prompts)
        compare = by_words(started.method, text).compare
        return lambda values: compare(values).logits

    def _check_few_shot(self, pipeline: Pipeline[ClassifyConfig]) -> None:
        config, model = self.config, pipeline.config.model
        if not self._is_few_shot:
            return
        for flag, is_set in (
            ("--multi-label", config.multi_label),
            ("--frame-weights", config.frame_weights),
            (f"--reject-rule {config.reject_rule}", config.reject_rule in ("bank", "energy")),
        ):
            if is_set:
                raise UsageError(
                    f"{flag}: is for words, and {model} compares with examples",
                    hint="--reject-rule softmax or cosine" if "rule" in flag else None,
                )

    def _find_calibration(self, pipeline: Pipeline[ClassifyConfig]) -> Calibration | None:
        name, info = self.config.calibration, pipeline.info
        if name == NO_CALIBRATION:
            return None
        if name is None:
            if info is None or info.calibration is None:
                return None
            found = parse(info.calibration, pipeline.config.model)
        else:
            found = read_calibration(name)
        other = found.mismatch(
            self._identity, tuple(self._labels), self._prompts, self.config.multi_label
        )
        if other is None:
            return found
        if name is None:
            log.warning(
                "%s: its calibration is for %s, so scores are not calibrated",
                pipeline.config.model, other,
            )  # fmt: skip
            return None
        raise ModelError(
            f"--calibration {name}: was fitted on {other}",
            hint="a calibration holds for its model, labels and prompts: actcli calibrate again",
        )

    def _find_rule(self) -> str:
        if self.config.reject_rule is not None:
            return self.config.reject_rule
        if self.calibration is not None and self.calibration.rule is not None:
            return self.calibration.rule
        return "softmax" if self._is_few_shot else "bank"

    def _find_threshold(self) -> float | None:
        config = self.config
        if not config.reject or config.reject_threshold is not None:
            return config.reject_threshold
        unknown = () if self.calibration is None else self.calibration.unknown.get(self.rule, ())
        if unknown:
            from actcli.models.rejection import threshold_of_sorted

            target = config.target_false_accept
            return threshold_of_sorted(unknown, DEFAULT_FALSE_ACCEPT if target is None else target)
        if config.target_false_accept is not None:
            raise UsageError(
                "--target-false-accept: needs to know how sure the model is of other videos",
                hint="actcli calibrate LABELLED.csv -o cal.json, then --calibration cal.json",
            )
        if self._is_few_shot and self.rule == "softmax":
            return None  # told by the examples, see `learn`
        if self.rule not in _SHARES:
            raise UsageError(
                f"--reject-rule {self.rule}: no threshold suits every model",
                hint="--threshold X, or --calibration FILE of actcli calibrate",
            )
        return DEFAULT_THRESHOLD


def identity_of(pipeline: Pipeline[Any]) -> dict[str, Any]:
    """What a calibration is bound to, the words apart."""
    config = pipeline.config
    return pipeline.identity() | {"frame_weights": config.decisions.frame_weights}


def decided(scorer: Scorer, bank: Logits | None, decisions: Decisions) -> Scorer:
    """A scorer with its logits calibrated, and what `--reject` and `--multi-label` need.

    bank: logits of the bank, [V, T', D] -> [V, K]
    """
    from actcli.models.calibration import tempered
    from actcli.models.multi_label import against_rest
    from actcli.models.rejection import confidence

    config, calibration, rule = decisions.config, decisions.calibration, decisions.rule
    scale = (1.0, 0.0) if calibration is None else (calibration.temperature, calibration.bias)
    needs_cosines = config.reject and rule == "cosine"

    def compare(values: Tensor) -> Compared:
        logits, similarity, _ = scorer.compare(values)
        if needs_cosines and similarity is None:
            raise UsageError("--reject-rule cosine: the method has no cosines")
        others = None if bank is None else bank(values)
        sure = confidence(rule, logits, similarity, others) if config.reject else None
        if config.multi_label and others is not None:
            logits = against_rest(logits, others)
        return Compared(tempered(logits, *scale), similarity, sure)

    return replace(
        scorer,
        score_kind="sigmoid" if config.multi_label else scorer.score_kind,
        compare=compare,
        is_calibrated=calibration is not None,
        least_confidence=decisions.threshold,
        label_thresholds=decisions.label_thresholds(),
    )
