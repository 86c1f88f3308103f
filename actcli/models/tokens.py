"""Prompts to token ids, with an eye on what does not fit: the tokenizers cut in silence.

Shape letters: M prompts, L the context length.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actcli.errors import ModelError, ResourceError, shorten_list
from actcli.models.backbone import TOKENIZER_NAMES, BackboneSpec, CutPrompt

log = logging.getLogger("actcli.models.tokens")


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """The token ids of some prompts."""

    ids: Tensor
    """int64 [M, L], padded"""
    cut: tuple[CutPrompt, ...] = ()


def make_tokenizer(spec: BackboneSpec) -> Callable[[list[str]], Tokens]:
    """Prompts to the tokens that a backbone's text tower reads.

    Raises ModelError or ResourceError as `check_hugging_face_tokenizer`.
    """
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    settings, length = spec.config["model_cfg"]["text_cfg"], spec.context_length
    options = {"context_length": length, **settings.get("tokenizer_kwargs", {})}
    if not settings.get("hf_tokenizer_name"):
        return partial(simple_tokens, SimpleTokenizer(**options), context_length=length)
    folder, mode = check_hugging_face_tokenizer(spec), settings.get("tokenizer_mode")
    tokenizer = HFTokenizer(str(folder), tokenizer_mode=mode, **options)
    return partial(hugging_face_tokens, tokenizer, context_length=length)


def simple_tokens(tokenizer: Any, prompts: Sequence[str], context_length: int) -> Tokens:
    """Tokens of open_clip's own byte-pair tokenizer: start, words, end, zeros.

    A prompt that is too long loses its last words and keeps its end token, as in open_clip.
    """
    ids = torch.zeros(len(prompts), context_length, dtype=torch.long)
    cut = []
    room = context_length - 2
    for row, prompt in zip(ids, prompts, strict=True):
        words = tokenizer.encode(prompt)
        if len(words) > room:
            words = words[:room]
            cut.append(CutPrompt(prompt, tokenizer.decode(words).strip()))
        line = [tokenizer.sot_token_id, *words, tokenizer.eot_token_id]
        row[: len(line)] = torch.tensor(line)
    return Tokens(ids, tuple(cut))


def cut_by_length(prompts: Sequence[str], context_length: int) -> tuple[CutPrompt, ...]:
    """Which prompts are longer than a model with open_clip's own tokenizer reads; no model needed.

    context_length: tokens, start and end token included
    """
    from open_clip.tokenizer import SimpleTokenizer

    return simple_tokens(
        SimpleTokenizer(context_length=context_length), prompts, context_length
    ).cut


def hugging_face_tokens(tokenizer: Any, prompts: Sequence[str], context_length: int) -> Tokens:
    """Tokens of open_clip's wrapper around a Hugging Face tokenizer."""
    if not prompts:
        return Tokens(torch.zeros(0, context_length, dtype=torch.long))
    ids = tokenizer(list(prompts))
    inner = tokenizer.tokenizer
    whole = inner([tokenizer.clean_fn(prompt) for prompt in prompts]).input_ids
    cut = tuple(
        CutPrompt(prompt, inner.decode(row, skip_special_tokens=True))
        for prompt, row, all_ids in zip(prompts, ids, whole, strict=True)
        if len(all_ids) > context_length
    )
    return Tokens(ids, cut)


def warn_of_cut(spec: BackboneSpec, read: Sequence[str]) -> None:
    """Say which beginnings of prompts were read, where any was longer than the text tower reads."""
    if read:
        log.warning(
            "%s reads at most %d tokens of a prompt; cut (%d): %s",
            spec.name,
            spec.context_length,
            len(read),
            shorten_list(read),
        )


def pooled_positions(ids: Tensor, text_cfg: Mapping[str, Any]) -> Tensor:
    """Where the text tower of a config reads each prompt's embedding off: int64 [M, L] -> [M]."""
    pool = text_cfg.get("pool_type", "argmax")
    if pool == "argmax":  # the end token has the highest id
        return ids.argmax(-1)
    if pool == "eos":
        is_end: Tensor = ids == text_cfg.get("eos_id", 2)
        return is_end.int().argmax(-1)
    return torch.full_like(ids[:, 0], 0 if pool == "first" else ids.shape[1] - 1)


def check_hugging_face_tokenizer(spec: BackboneSpec) -> Path:
    """The folder that holds the tokenizer of a model with a Hugging Face one.

    Raises ModelError if its files are not there, ResourceError if the library is missing.
    """
    wanted = spec.config["model_cfg"]["text_cfg"]["hf_tokenizer_name"]
    if not spec.tokenizer_files:
        raise ModelError(
            f"{spec.name}: the tokenizer {wanted} is not in {spec.folder} "
            f"(expected one of {', '.join(TOKENIZER_NAMES)})",
            hint=f"copy the tokenizer files of {wanted} beside the weights",
        )
    try:
        import transformers  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        raise ResourceError(
            f"{spec.name}: its tokenizer needs the package transformers",
            hint="pip install transformers",
        ) from error
    return spec.tokenizer_files[0].parent
