"""Clips made different each time they are trained on: crops, flips, colours, all from one seed.

ActionCLIP's training pipeline (arXiv 2109.08472, by its authors' code) and CLIP-FSAR's, whose crop
is a plain random one. The published pipeline draws RandAugment's operations and jitter's factors
for every frame anew, so that a clip flickers; here a clip is changed as a whole, and `per_frame`
does what was published. Its videos were stored with a shorter side of 256; ours are scaled to that.

Shape letters: T frames, H W their size, X side of the model's square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from random import Random
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

Picture = Image.Image
Change = Callable[[Picture], Picture]

_SCALES: Final = (1.0, 0.875, 0.75, 0.66)
_NEAR_ENOUGH: Final = 3
"""A side that differs from X by less becomes X, so that nothing is scaled."""
_OFFSETS: Final = ((0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0),
                   (1, 1), (3, 1), (1, 3), (3, 3))  # fmt: skip
"""In quarters of the room that a crop leaves, (x, y)."""
_LARGEST: Final = 30
"""Magnitude at which an operation of RandAugment reaches the end of its range."""
_GREY: Final = (125, 123, 114)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a clip on its way into training."""

    crop: Literal["multi-scale", "random", "centre"] = "multi-scale"
    num_ops: int = 2
    """Operations of RandAugment, one after another; 0 is none."""
    magnitude: int = 9
    """Of those, from 0 to 30."""
    per_frame: bool = False
    """Draw operations and factors for each frame, as published, and not for each clip."""
    flip: bool = True
    """Mirror every second clip."""
    colour: bool = True
    """Jitter the colours of four clips in five, and make one in five grey."""

    def __call__(self, frames: Sequence[NDArray[np.uint8]], size: int, seed: int) -> NDArray[Any]:
        """The frames of one clip, changed.

        frames:   T of uint8 [H, W, 3], all of one size
        size:     X
        returns:  uint8 [T, 3, X, X]
        """
        random = Random(seed)
        pictures = [Image.fromarray(frame) for frame in frames]
        if self.num_ops:
            pictures = self._apply(pictures, random, self._operations)
        box = self._box(pictures[0].size, size, random)
        pictures = [p.resize((size, size), Image.Resampling.BILINEAR, box) for p in pictures]
        if self.flip and random.random() < 0.5:
            pictures = [ImageOps.mirror(picture) for picture in pictures]
        if self.colour and random.random() < 0.8:
            pictures = self._apply(pictures, random, _jitter)
        if self.colour and random.random() < 0.2:
            pictures = [picture.convert("L").convert("RGB") for picture in pictures]
        return np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in pictures])

    def _apply(
        self, pictures: list[Picture], random: Random, draw: Callable[[Random], list[Change]]
    ) -> list[Picture]:
        """Each picture after changes that are drawn once, or for each."""
        changed, changes = [], draw(random)
        for number, picture in enumerate(pictures):
            if self.per_frame and number:
                changes = draw(random)
            changed.append(reduce(lambda seen, change: change(seen), changes, picture))
        return changed

    def _operations(self, random: Random) -> list[Change]:
        names = random.choices(list(OPERATIONS), k=self.num_ops)
        return [OPERATIONS[name](self.magnitude / _LARGEST, random) for name in names]

    def _box(self, image: tuple[int, int], size: int, random: Random) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the crop, one for all frames."""
        width, height = image
        if self.crop == "multi-scale":
            crop = random.choice(crop_sizes(image, size))
            left, top = random.choice(crop_offsets(image, crop))
            return left, top, left + crop[0], top + crop[1]
        side = min(size, width, height)
        room = (width - side, height - side)
        left, top = (int(random.uniform(0, r)) if self.crop == "random" else r // 2 for r in room)
        return left, top, left + side, top + side


def crop_sizes(image: tuple[int, int], size: int) -> list[tuple[int, int]]:
    """The (width, height) that a multi-scale crop is chosen from, equally likely.

    image: (width, height)
    """
    sides = [int(min(image) * scale) for scale in _SCALES]
    sides = [size if abs(side - size) < _NEAR_ENOUGH else side for side in sides]
    return [
        (width, height)
        for i, height in enumerate(sides)
        for j, width in enumerate(sides)
        if abs(i - j) <= 1
    ]


def crop_offsets(image: tuple[int, int], crop: tuple[int, int]) -> list[tuple[int, int]]:
    """The (left, top) that a crop of a size is put at, equally likely; both as (width, height)."""
    step_x, step_y = ((whole - part) // 4 for whole, part in zip(image, crop, strict=True))
    return [(x * step_x, y * step_y) for x, y in _OFFSETS]


def _jitter(random: Random) -> list[Change]:
    """Brightness, contrast, saturation and hue, in random order."""
    changes: list[Change] = [
        _enhance(ImageEnhance.Brightness, random.uniform(0.6, 1.4)),
        _enhance(ImageEnhance.Contrast, random.uniform(0.6, 1.4)),
        _enhance(ImageEnhance.Color, random.uniform(0.8, 1.2)),
        _turn_hue(random.uniform(-0.1, 0.1)),
    ]
    random.shuffle(changes)
    return changes


def _enhance(kind: Callable[[Picture], ImageEnhance._Enhance], factor: float) -> Change:
    return lambda picture: kind(picture).enhance(factor)


def _turn_hue(share: float) -> Change:
    def turn(picture: Picture) -> Picture:
        hue, saturation, value = picture.convert("HSV").split()
        turned = hue.point([(level + round(share * 255)) % 256 for level in range(256)])
        return Image.merge("HSV", (turned, saturation, value)).convert("RGB")

    return turn


def _affine(a: float = 1, b: float = 0, c: float = 0, d: float = 0, f: float = 0) -> Change:
    return lambda p: p.transform(p.size, Image.Transform.AFFINE, (a, b, c, d, 1, f))


def _signed(value: float, random: Random) -> float:
    return -value if random.random() > 0.5 else value


def _cutout(side: float, random: Random) -> Change:
    x, y = random.random(), random.random()

    def cut(picture: Picture) -> Picture:
        width, height = picture.size
        left, top = max(0.0, x * width - side / 2), max(0.0, y * height - side / 2)
        box = (left, top, min(width, left + side), min(height, top + side))
        copy = picture.copy()
        ImageDraw.Draw(copy).rectangle(box, _GREY)
        return copy

    return cut


def _solarize_add(value: float) -> Change:
    table = [level if level < 128 else 255 - level
             for level in (min(255, level + int(value)) for level in range(256))]  # fmt: skip
    return lambda picture: picture.point(table * 3)


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)


OPERATIONS: Final[dict[str, Callable[[float, Random], Change]]] = {
    "AutoContrast": lambda m, r: ImageOps.autocontrast,
    "Equalize": lambda m, r: ImageOps.equalize,
    "Invert": lambda m, r: ImageOps.invert,
    "Rotate": lambda m, r: _rotate(_signed(30 * m, r)),
    "Posterize": lambda m, r: lambda p: ImageOps.posterize(p, max(1, int(4 * m))),
    "Solarize": lambda m, r: lambda p: ImageOps.solarize(p, round(256 * m)),
    "SolarizeAdd": lambda m, r: _solarize_add(110 * m),
    "Color": lambda m, r: _enhance(ImageEnhance.Color, _between(0.1, 1.9, m)),
    "Contrast": lambda m, r: _enhance(ImageEnhance.Contrast, _between(0.1, 1.9, m)),
    "Brightness": lambda m, r: _enhance(ImageEnhance.Brightness, _between(0.1, 1.9, m)),
    "Sharpness": lambda m, r: _enhance(ImageEnhance.Sharpness, _between(0.1, 1.9, m)),
    "ShearX": lambda m, r: _affine(b=_signed(0.3 * m, r)),
    "ShearY": lambda m, r: _affine(d=_signed(0.3 * m, r)),
    "CutoutAbs": lambda m, r: _cutout(40 * m, r),
    "TranslateX": lambda m, r: _affine(c=_signed(100 * m, r)),
    "TranslateY": lambda m, r: _affine(f=_signed(100 * m, r)),
}
"""RandAugment's operations with their ranges; each makes a change of a magnitude in 0..1."""


def _rotate(degrees: float) -> Change:
    return lambda picture: picture.rotate(degrees)
