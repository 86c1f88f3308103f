"""Prompts: templates filled with labels, and what the named sets of templates hold."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Final

from actcli.config import DEFAULT_TEMPLATE
from actcli.data.labels import LabelSet
from actcli.errors import UsageError, close_names, shorten_list
from actcli.wording import clean_label

log = logging.getLogger("actcli.data.prompts")

SLOT: Final = "{}"
_MAX_PROMPTS = 64
"""P, prompts per class, that padding to equal counts may reach."""

TEMPLATE_SETS: Final[dict[str, tuple[str, ...]]] = {
    "default": (DEFAULT_TEMPLATE,),
    "bare": ("{}",),
    "video": (
        "a video of {}",
        "a video of a person {}",
        "a short clip showing {}",
        "footage of someone {}",
        "a recording of the action {}",
        "a person is {}",
    ),
    "person": ("a person {}", "a photo of a person {}", "someone {}", "a person doing {}"),
    # In the order of the published code: scores are averaged over them one by one.
    "actionclip": (
        "a photo of action {}",
        "a picture of action {}",
        "Human action of {}",
        "{}, an action",
        "{} this is an action",
        "{}, a video of action",
        "Playing action of {}",
        "{}",
        "Playing a kind of action, {}",
        "Doing a kind of action, {}",
        "Look, the human is {}",
        "Can you recognize the action of {}?",
        "Video classification of {}",
        "A video of {}",
        "The man is {}",
        "The woman is {}",
    ),
}


def resolve_templates(given: Sequence[str]) -> tuple[str, ...]:
    """Templates from names of sets and templates, in order; none given is the default set."""
    templates: dict[str, None] = {}
    repeated: list[str] = []
    for item in given or ("default",):
        for template in TEMPLATE_SETS.get(item) or (_checked_template(item),):
            if template in templates:
                repeated.append(template)
            templates[template] = None
    if repeated:
        log.warning("--template: dropped repeated templates: %s", shorten_list(repeated))
    return tuple(templates)


def _checked_template(template: str) -> str:
    slots = template.count(SLOT)
    if slots == 1:
        return template
    if slots > 1 or " " in template.strip():
        raise UsageError(
            f'--template: "{template}" has no single place for the label '
            f"(got {slots} {SLOT}, expected 1)",
            hint=f'--template "{DEFAULT_TEMPLATE}"',
        )
    close = close_names(template, TEMPLATE_SETS) or sorted(TEMPLATE_SETS)
    raise UsageError(
        f'--template: "{template}" is neither a template with {SLOT} nor a template set',
        hint=f'--template {close[0]}, or --template "{DEFAULT_TEMPLATE}"; '
        f"sets: {', '.join(TEMPLATE_SETS)}",
    )


def build_prompts(labels: LabelSet, templates: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The prompts of every class, [C][P]: its own where it brought some, else the templates.

    Every class gets the same P. Where counts differ, P is their least common multiple and each
    class repeats its whole list P / count times: every prompt of a class keeps the same weight,
    so the mean over P is the mean over the class's own prompts, of embeddings as of scores.
    """
    _say_rewording(labels)
    lists = [
        tuple(fill(prompt, name) for prompt in own or templates)
        for name, own in zip(labels.names, labels.prompts, strict=True)
    ]
    counts = sorted({len(prompts) for prompts in lists})
    num_prompts = math.lcm(*counts)
    if num_prompts > max(_MAX_PROMPTS, counts[-1]):
        raise UsageError(
            f"{labels.source}: labels have too different numbers of prompts "
            f"(got {shorten_list(map(str, counts))}; padding them to equal numbers would "
            f"exceed {_MAX_PROMPTS})",
            hint="give every label the same number of prompts, or 1, 2 or 4",
        )
    return tuple(prompts * (num_prompts // len(prompts)) for prompts in lists)


def fill(template: str, label: str) -> str:
    """A prompt: the template's `{}` replaced by the words of the label.

    A prompt that a label brought itself has no `{}` and stays as it is. Braces in the label are
    plain text.
    """
    return template.replace(SLOT, clean_label(label), 1)


def _say_rewording(labels: LabelSet) -> None:
    """Log which labels read differently in prompts; records keep the names as typed."""
    changed = [
        f"{name} -> {words}"
        for name, words, own in zip(labels.names, labels.words, labels.prompts, strict=True)
        if name != words and not own
    ]
    if changed:
        log.info("%s: labels as read by the model: %s", labels.source, shorten_list(changed))
