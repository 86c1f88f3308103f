"""What a method is worth on videos that it is not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.methods.base import Method
from actcli.train.events import Validation
from actcli.types import Text

_CHUNK: Final = 256
"""Videos that are scored at once."""


class EmbeddedValidation:
    """How good a method is on embedded videos that it is not trained on.

    values:   [N, T', D], un-normalised
    targets:  int64 [N]
    text:     of the classes, by hand-written prompts
    """

    def __init__(self, values: Tensor, targets: Tensor, text: Text, device: torch.device) -> None:
        self._values, self._targets = values, targets
        self._text, self._device = text, device

    def __call__(self, method: Method) -> Validation:
        """Top-1 and cross entropy of the method as it is now."""
        hand = self._text.values.to(self._device)
        with torch.inference_mode():
            text = method.embed_text(
                self._text.labels, self._text.prompts, encode=lambda _: hand.flatten(0, 1)
            )
            logits = [
                method.logits(c.to(self._device), text) for c in torch.split(self._values, _CHUNK)
            ]
        return self._judge(torch.cat(logits))

    def baseline(self, method: Method) -> Validation:
        """The same of zero-shot CLIP."""
        plain = Method(method.backbone)
        text = replace(self._text, values=self._text.values.to(self._device))
        with torch.inference_mode():
            logits = [plain.logits(method.whole_frames(chunk), text) for chunk in self._chunks()]
        return self._judge(torch.cat(logits))

    def _chunks(self) -> Iterator[Tensor]:
        for chunk in torch.split(self._values, _CHUNK):
            yield chunk.to(self._device)

    def _judge(self, logits: Tensor) -> Validation:
        exact = logits.float().cpu()
        right = (exact.argmax(-1) == self._targets).float().mean()
        loss = F.cross_entropy(exact, self._targets)
        return Validation(float(right), float(loss), len(self._targets))
