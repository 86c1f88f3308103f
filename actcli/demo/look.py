"""Colours of figures and backgrounds, and the rule that one must stand out from the other."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

Colour: TypeAlias = tuple[int, int, int]

INKS: dict[str, Colour] = {
    "red": (214, 48, 42),
    "green": (52, 160, 70),
    "blue": (48, 84, 208),
    "yellow": (238, 208, 52),
    "orange": (240, 140, 40),
    "purple": (128, 60, 170),
    "pink": (240, 130, 180),
    "cyan": (64, 200, 214),
    "black": (24, 24, 24),
    "white": (238, 238, 238),
}
MIN_LUMINANCE_STEP, MIN_CHANNEL_SUM = 55.0, 150.0
# The background is this much larger than the frame, so that the camera can move over it.
MARGIN = 1.25

_KINDS = {"plain": 0.2, "gradient": 0.25, "noise": 0.2, "clutter": 0.25, "stripes": 0.1}
_INK_SD = 10.0
# Mixed and rounded colours stay within the rule if the colours they are made of exceed it.
_SLACK = 3.0
_MAX_TRIES = 400
_NEUTRALS: tuple[Colour, ...] = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (64, 64, 64))


@dataclass(frozen=True, slots=True)
class Look:
    """What a scene's figure, props and background are drawn with; widths in body units."""

    ink_name: str
    ink: Colour
    prop_ink: Colour
    thickness: float
    has_full_head: bool
    has_hands: bool
    kind: str
    palette: tuple[Colour, ...]
    floor: Colour | None
    shadow: Colour | None
    seed: int

    @property
    def tone(self) -> str | None:
        """`dark` or `light` if the background plainly is one of them."""
        brightness = float(np.mean([luminance(colour) for colour in self.palette[:2]]))
        return "dark" if brightness < 80.0 else "light" if brightness > 175.0 else None


def luminance(colour: Colour) -> float:
    """Brightness in 0..255 as television weighs it."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def stands_out(ink: Colour, ground: Colour, slack: float = 0.0) -> bool:
    """Tell whether something drawn in `ink` is well visible on `ground`."""
    channels = sum(abs(a - b) for a, b in zip(ink, ground, strict=True))
    step = abs(luminance(ink) - luminance(ground))
    return step > MIN_LUMINANCE_STEP + slack and channels > MIN_CHANNEL_SUM + 3.0 * slack


def draw_look(rng: np.random.Generator) -> Look:
    """Draw colours, line and background; everything drawn stands out from the background."""
    name = str(rng.choice(list(INKS)))
    ink = _jitter(INKS[name], rng)
    others = [colour for other, colour in INKS.items() if other != name]
    prop_ink = _jitter(others[int(rng.integers(len(others)))], rng)
    palette = _draw_palette((ink, prop_ink), rng)
    if palette is None:
        # Two inks may leave no room between them; then the prop takes the figure's colour.
        prop_ink = ink
        palette = _draw_palette((ink,), rng) or (_opposite(ink),) * 5
    inks = (ink, prop_ink)
    floor = palette[4] if rng.uniform() < 0.6 else None
    has_shadow = rng.uniform() < 0.75
    return Look(
        ink_name=name,
        ink=ink,
        prop_ink=prop_ink,
        thickness=float(rng.uniform(0.028, 0.062)),
        has_full_head=bool(rng.uniform() < 0.6),
        has_hands=bool(rng.uniform() < 0.3),
        kind=str(rng.choice(list(_KINDS), p=list(_KINDS.values()))),
        palette=palette,
        floor=floor,
        shadow=_shade(floor or palette[0], inks) if has_shadow else None,
        seed=int(rng.integers(2**32)),
    )


def paint_background(look: Look, size: tuple[int, int], ground: float) -> Image.Image:
    """Background of `MARGIN` times the frame's width and height, with the floor at `ground`."""
    width, height = round(size[0] * MARGIN), round(size[1] * MARGIN)
    rng = np.random.default_rng(look.seed)
    if look.kind in ("gradient", "noise"):
        image = _paint_mixture(look, (width, height), rng)
    else:
        image = Image.new("RGB", (width, height), look.palette[0])
        if look.kind == "stripes":
            _paint_stripes(image, look, rng)
        elif look.kind == "clutter":
            _paint_clutter(image, look, rng)
    if look.floor is not None:
        top = (ground - 0.02 + (MARGIN - 1.0) / 2.0) * size[1]
        ImageDraw.Draw(image).rectangle((0, top, width, height), fill=look.floor)
    return image


def _paint_mixture(look: Look, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Blend the first two colours along a line or over smooth noise."""
    width, height = size
    if look.kind == "gradient":
        angle = rng.uniform(0.0, 2.0 * np.pi)
        x, y = np.linspace(-1, 1, width)[None, :], np.linspace(-1, 1, height)[:, None]
        weight = 0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2.0)
    else:
        grid = rng.integers(0, 256, size=(5, 6), dtype=np.uint8)
        smooth = Image.fromarray(grid).resize(size, Image.Resampling.BILINEAR)
        weight = np.asarray(smooth, dtype=np.float64) / 255.0
    first, second = np.array(look.palette[0]), np.array(look.palette[1])
    mixture = first + (second - first) * weight[:, :, None]
    return Image.fromarray(np.clip(mixture, 0, 255).astype(np.uint8))


def _paint_stripes(image: Image.Image, look: Look, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(image)
    period = rng.uniform(0.08, 0.25) * image.height
    is_upright = rng.uniform() < 0.5
    extent = image.width if is_upright else image.height
    for start in np.arange(0.0, extent, period):
        stop = start + period / 2.0
        box = (start, 0, stop, image.height) if is_upright else (0, start, image.width, stop)
        draw.rectangle(box, fill=look.palette[1])


def _paint_clutter(image: Image.Image, look: Look, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(image)
    unit = image.height
    for _ in range(int(rng.integers(4, 15))):
        x, y = rng.uniform(0.0, image.width), rng.uniform(0.0, image.height)
        w, h = rng.uniform(0.04, 0.25, size=2) * unit
        colour = look.palette[int(rng.integers(1, 4))]
        shape = rng.uniform()
        if shape < 0.35:
            draw.rectangle((x, y, x + w, y + h), fill=colour)
        elif shape < 0.65:
            draw.ellipse((x, y, x + w, y + h), fill=colour)
        else:
            end = (x + rng.uniform(-0.4, 0.4) * unit, y + rng.uniform(-0.4, 0.4) * unit)
            draw.line((x, y, *end), fill=colour, width=max(1, round(0.012 * unit)))


def _draw_palette(inks: tuple[Colour, ...], rng: np.random.Generator) -> tuple[Colour, ...] | None:
    """Five colours that the inks stand out from, as do all mixtures with the first one."""
    palette: list[Colour] = []
    for _ in range(_MAX_TRIES):
        red, green, blue = (int(value) for value in rng.integers(0, 256, size=3))
        colour = (red, green, blue)
        if not all(stands_out(ink, colour, _SLACK) for ink in inks):
            continue
        if palette and not _mixtures_stand_out(inks, palette[0], colour):
            continue
        palette.append(colour)
        if len(palette) == 5:
            return tuple(palette)
    return (palette[0],) * 5 if palette else None


def _mixtures_stand_out(inks: tuple[Colour, ...], first: Colour, second: Colour) -> bool:
    for step in range(1, 16):
        red, green, blue = (
            round(a + (b - a) * step / 16) for a, b in zip(first, second, strict=True)
        )
        if not all(stands_out(ink, (red, green, blue), _SLACK) for ink in inks):
            return False
    return True


def _shade(surface: Colour, inks: tuple[Colour, ...]) -> Colour | None:
    """A shadow on a surface, or a sheen where a shadow would hide the figure's feet."""
    darker = (round(surface[0] * 0.7), round(surface[1] * 0.7), round(surface[2] * 0.7))
    red, green, blue = (round(value + (255 - value) * 0.35) for value in surface)
    for colour in (darker, (red, green, blue)):
        if all(stands_out(ink, colour) for ink in inks):
            return colour
    return None


def _opposite(ink: Colour) -> Colour:
    """The neutral colour that an ink stands out from most."""
    return max(_NEUTRALS, key=lambda colour: abs(luminance(colour) - luminance(ink)))


def _jitter(colour: Colour, rng: np.random.Generator) -> Colour:
    noisy = np.clip(np.array(colour) + _INK_SD * rng.standard_normal(3), 0, 255)
    red, green, blue = (int(value) for value in noisy)
    return red, green, blue
