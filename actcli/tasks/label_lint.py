"""What is wrong with labels that only a model can tell: what it reads, and what it makes of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from actcli.config import ClassifyConfig
from actcli.data.label_lint import Finding, LabelEntry
from actcli.data.labels import LabelSet
from actcli.data.prompts import fill
from actcli.errors import ModelError
from actcli.tasks.classify import Classification
from actcli.tasks.models import describe_model, hub_settings
from actcli.tasks.pipeline import Pipeline
from actcli.tasks.settings import needed_model
from actcli.types import ModelInfo, Prediction, VideoRef

_TOP = 5
_CHANCES = 3
"""How often each label must be able to be among the top of a sample before its absence tells."""
_MOST = 0.5
_FEWEST_CLIPS = 10


@dataclass(slots=True)
class ModelLint:
    """Labels against one model; nothing is downloaded.

    similar:  cosine of two labels' texts from which they are told as one meaning

    Raises ModelError for a model whose name stands for nothing.
    """

    entries: Sequence[LabelEntry]
    config: ClassifyConfig
    similar: float
    skipped: list[str] = field(default_factory=list)
    """What could not be checked, and what to do about it."""
    info: ModelInfo = field(init=False)

    def __post_init__(self) -> None:
        self.info = describe_model(needed_model(self.config), hub_settings(offline=True))

    @property
    def is_here(self) -> bool:
        """Whether the model can be run without a download."""
        return self.info.folder is not None

    def prompts(self, entry: LabelEntry) -> tuple[str, ...]:
        """What the text tower reads of a label."""
        given = entry.prompts or self.config.templates
        return tuple(fill(prompt, entry.name) for prompt in given)

    def findings(self, told: Iterable[Finding] = ()) -> list[Finding]:
        """What the text tower cuts, never saw, and can't tell apart.

        told: findings already made; pairs that they tell are not told again as one meaning
        """
        found = [*self._long_prompts()]
        if self.info.name == "demo":
            found += self._unknown_words()
        if not self.is_here:
            self.skipped.append(
                f"same-meaning is not checked: {self.info.name} is not downloaded "
                f"(actcli models pull {self.info.name}; or --model with one that is)"
            )
            return found
        known = {pair for one in told for pair in _pairs(one)}
        return found + [one for one in self._same_meaning() if not set(_pairs(one)) & known]

    def _long_prompts(self) -> Iterator[Finding]:
        limit = self.info.context_length
        if limit is None:
            self.skipped.append(f"long-prompt is not checked: {self.info.name} is not here")
            return
        # A token is a byte or more, so that what is shorter than the limit fits.
        suspects = {
            prompt: entry
            for entry in self.entries
            for prompt in self.prompts(entry)
            if len(prompt.encode()) > limit - 2
        }
        if not suspects:
            return
        for prompt, read in self._cut(list(suspects), limit):
            yield Finding(
                "long-prompt",
                (suspects[prompt],),
                f'{self.info.name} reads {limit} tokens: of "{prompt}" only "{read}"',
                "say it in fewer words, or --template with a shorter one",
            )

    def _cut(self, prompts: list[str], limit: int) -> list[tuple[str, str]]:
        """(prompt, what is read of it) of those that are too long."""
        from actcli.models.tokens import cut_by_length, make_tokenizer

        if self.is_here:
            cut = make_tokenizer(Pipeline(self.config).spec)(prompts).cut
        elif self.info.tokenizer is None:
            cut = cut_by_length(prompts, limit)
        else:
            self.skipped.append(f"long-prompt is not checked: {self.info.name} is not downloaded")
            cut = ()
        return [(one.prompt, one.read) for one in cut]

    def _unknown(self, entry: LabelEntry) -> list[str]:
        """Words of a label that the demo model never saw."""
        from actcli.demo import known_words

        words = {word for prompt in self.prompts(entry) for word in prompt.lower().split()}
        return sorted(words - known_words())

    def _unknown_words(self) -> Iterator[Finding]:
        for entry in self.entries:
            if unknown := self._unknown(entry):
                yield Finding(
                    "unknown-words",
                    (entry,),
                    f"the demo model never saw {', '.join(unknown)}",
                    "it is confidently wrong about this; use its words, or another model",
                )

    def _same_meaning(self) -> Iterator[Finding]:
        """Labels that read the same to the model, those together that are alike to one of them."""
        entries = list({entry.name: entry for entry in reversed(self.entries)}.values())[::-1]
        if self.info.name == "demo":  # to which all words that it never saw are one
            entries = [entry for entry in entries if not self._unknown(entry)]
        alike: dict[int, list[tuple[int, float]]] = {}
        for i, j, cosine in self._similar_pairs(entries):
            alike.setdefault(i, []).append((j, cosine))
        taken: set[int] = set()
        for i in sorted(alike):
            others = [(j, cosine) for j, cosine in alike[i] if j not in taken]
            if i in taken or not others:
                continue
            taken |= {j for j, _ in others}
            least = min(cosine for _, cosine in others)
            yield Finding(
                "same-meaning",
                (entries[i], *(entries[j] for j, _ in others)),
                f"are nearly one text to {self.info.name} (cosine {least:.3f} or more)",
                "say in which way they differ, keep one, or give examples (actcli fewshot)",
                least,
            )

    def _similar_pairs(self, entries: Sequence[LabelEntry]) -> list[tuple[int, int, float]]:
        """Places and cosine of two labels whose texts the model holds to be alike."""
        from actcli.engine import embed_text
        from actcli.models.scores import pooled

        if len(entries) < 2:
            return []
        pipeline = Pipeline(self.config)
        with pipeline.cache:
            built = pipeline.plan.build()
            rows = []
            prompts = [self.prompts(entry) for entry in entries]
            for count in sorted({len(own) for own in prompts}):  # prompts of a call are as many
                some = [i for i, own in enumerate(prompts) if len(own) == count]
                text = embed_text(
                    built.method,
                    pipeline.cache,
                    tuple(entries[i].name for i in some),
                    tuple(prompts[i] for i in some),
                    precision=built.precision,
                )
                rows += list(zip(some, pooled(text.values.float().cpu()), strict=True))
        values = [value for _, value in sorted(rows, key=lambda row: row[0])]
        return _above(values, self.similar)


def _above(values: Sequence[object], threshold: float) -> list[tuple[int, int, float]]:
    import torch

    table = torch.stack([v for v in values if isinstance(v, torch.Tensor)])  # [C, D]
    cosines = (table @ table.T).triu(1)
    found = (cosines >= threshold).nonzero().tolist()
    return [(i, j, float(cosines[i, j])) for i, j in found if i < j]


def _pairs(finding: Finding) -> Iterator[frozenset[str]]:
    names = [entry.name for entry in finding.entries]
    if len(names) == 2 and finding.kind != "overlap":
        yield frozenset(names)


def lint_sample(
    entries: Sequence[LabelEntry], config: ClassifyConfig, refs: Iterable[VideoRef]
) -> tuple[list[Finding], list[str], int]:
    """Labels that no clip of a sample likes, and labels that win everything.

    returns: findings, what could not be checked, and how many clips could not be read

    Raises ModelError for a model that isn't here, UsageError for labels that are there twice.
    """
    if describe_model(needed_model(config), hub_settings(offline=True)).folder is None:
        raise ModelError(
            f"--sample: {config.model} is not downloaded", hint=f"actcli models pull {config.model}"
        )
    labels = LabelSet(tuple(e.name for e in entries), tuple(e.prompts for e in entries))
    top = min(_TOP, len(entries))
    task = Classification(labels, config.model_copy(update={"top": top}))
    wins: Counter[str] = Counter()
    liked: Counter[str] = Counter()
    num_clips = num_failed = 0
    for result in task.stream(refs):
        if not isinstance(result, Prediction):
            num_failed += 1
            continue
        num_clips += 1
        wins[result.label] += 1
        liked.update(scored.label for scored in result.ranked)
    found, skipped = judge_sample(entries, wins, liked, num_clips, top)
    return found, skipped, num_failed


def judge_sample(
    entries: Sequence[LabelEntry],
    wins: Counter[str],
    liked: Counter[str],
    num_clips: int,
    top: int,
) -> tuple[list[Finding], list[str]]:
    """Findings from how often each label was first, and among the `top`, of some clips."""
    found, skipped = [], []
    needed = math.ceil(_CHANCES * len(entries) / top)
    if num_clips < needed:
        skipped.append(
            f"never-liked is not checked: {num_clips} clips are too few for {len(entries)} labels "
            f"(expected at least {needed})"
        )
    elif top < len(entries):
        for entry in entries:
            if not liked[entry.name]:
                found.append(
                    Finding(
                        "never-liked",
                        (entry,),
                        f"among the top {top} of none of {num_clips} clips",
                        "leave it out, or word it as one would say what is seen",
                        0.0,
                    )
                )
    if num_clips >= _FEWEST_CLIPS and len(entries) > 2:
        for entry in entries:
            share = wins[entry.name] / num_clips
            if share > _MOST:
                found.append(
                    Finding(
                        "wins-everything",
                        (entry,),
                        f"first for {wins[entry.name]} of {num_clips} clips",
                        "unless most clips show it: word it more narrowly",
                        share,
                    )
                )
    return found, skipped
