"""Scale and crop a picture for a model exactly as its authors' image pipeline does.

Sizes and offsets are torchvision's and open_clip's; values equal PIL's antialiased resize to one
grey level, at a third of the time, or to the last one with `by_pil`. What CLIP-FSAR's authors do
instead, without antialias and in float, is `fit_plainly`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from actcli.types import Preprocessing

Finish = Callable[[NDArray[np.float32]], NDArray[np.uint8]]

# A wider strip is cut to this shape first: scaled to the model's height it would not fit in memory.
_MAX_STRIP = 64


def fit_picture(
    pixels: NDArray[Any],
    display_size: tuple[int, int],
    preprocessing: Preprocessing,
    finish: Finish | None = None,
) -> NDArray[np.uint8]:
    """One resampling from stored pixels to the model's square, then a crop or padding.

    pixels:        uint8 [H, W, 3], or uint16 with `finish`
    display_size:  (height, width) as shown, which differs from H, W for pixels that are not square
    finish:        turns the cropped picture, float32 [3, h, w] in 0..1, into uint8 of that shape
    returns:       uint8 [3, X, X]
    """
    height, width = scaled_size(display_size, preprocessing)
    size = preprocessing.size_px
    if max(height, width) > _MAX_STRIP * size:
        pixels, (height, width) = _cut_strip(pixels, size, (height, width))
    if preprocessing.antialias:
        resize = _resize_by_pil if preprocessing.by_pil and finish is None else _resize
        scaled = _crop(resize(pixels, (height, width), preprocessing.interpolation), size)
    else:
        (scaled,) = fit_plainly(pixels[None], (height, width), size, preprocessing.interpolation)
        if finish is None:
            scaled = (scaled * 255).round().to(torch.uint8)
    picture = finish(scaled.numpy()) if finish else scaled.numpy()
    if picture.shape[1:] == (size, size):
        return np.ascontiguousarray(picture)
    padded = np.full((3, size, size), preprocessing.fill, np.uint8)
    above, before = ((size - n) // 2 for n in picture.shape[1:])
    padded[:, above : above + picture.shape[1], before : before + picture.shape[2]] = picture
    return padded


def fit_whole(
    pixels: NDArray[Any],
    display_size: tuple[int, int],
    preprocessing: Preprocessing,
    finish: Finish | None = None,
) -> NDArray[np.uint8]:
    """As `fit_picture`, less the crop or padding: uint8 [3, h, w]."""
    height, width = scaled_size(display_size, preprocessing)
    if max(height, width) > _MAX_STRIP * preprocessing.size_px:
        pixels, (height, width) = _cut_strip(pixels, preprocessing.size_px, (height, width))
    resize = _resize_by_pil if preprocessing.by_pil and finish is None else _resize
    scaled = resize(pixels, (height, width), preprocessing.interpolation).numpy()
    return finish(scaled) if finish else scaled


def three_crops(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Start, centre and end of the longer side: uint8 [3, h, w] -> [3, 3, X, X], crops first.

    The centre is where `fit_picture` crops.
    """
    height, width = picture.shape[1:]
    top, left = crop_offset(height, size), crop_offset(width, size)
    corners = [(0, left), (top, left), (height - size, left)]
    if width >= height:
        corners = [(top, 0), (top, left), (top, width - size)]
    return np.stack([picture[:, y : y + size, x : x + size] for y, x in corners])


def fit_plainly(
    pixels: NDArray[Any], scaled: tuple[int, int], size: int, mode: str = "bilinear"
) -> torch.Tensor:
    """Resize without antialias, in float, and crop the centre.

    pixels:   uint8 or uint16 [T, H, W, 3]
    scaled:   (h, w) to scale to; h / w need not be H / W
    size:     X, side of the square to crop
    returns:  float32 [T, 3, min(h, X), min(w, X)] in 0..1
    """
    frames = torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(0, 3, 1, 2)
    resized = interpolate(frames, scaled, mode=mode, align_corners=False)  # [T, 3, h, w]
    # Divided when it is small: four times as fast as before it for a large frame.
    return (_crop(resized, size) / np.iinfo(pixels.dtype).max).clamp(0, 1)


def _crop(pictures: torch.Tensor, size: int) -> torch.Tensor:
    """The centre of pictures [.., h, w], at most `size` in height and width."""
    top, left = (crop_offset(length, size) for length in pictures.shape[-2:])
    return pictures[..., top : top + size, left : left + size]


def scaled_size(display_size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """(height, width) after scaling and before the crop or padding.

    shortest: torchvision's Resize(X); longest: open_clip's ResizeKeepRatio; squash: both sides X.
    With `scale_px` this takes the place of X.
    """
    height, width = display_size
    size = preprocessing.scale_px or preprocessing.size_px
    if preprocessing.resize == "squash":
        return size, size
    if preprocessing.resize == "shortest":
        if width <= height:
            return int(size * height / width), size
        return size, int(size * width / height)
    ratio = max(height / size, width / size)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def crop_offset(length: int, size: int) -> int:
    """Where a centred crop begins; halves round to even, as torchvision's do."""
    return max(0, round((length - size) / 2.0))


def _resize(pixels: NDArray[Any], size: tuple[int, int], mode: str) -> torch.Tensor:
    """Antialiased resize; uint8 [H, W, 3] -> uint8 [3, h, w], uint16 -> float32 in 0..1."""
    if pixels.dtype == np.uint16:
        channels = torch.from_numpy(pixels.astype(np.float32) / 65535.0)
    else:
        channels = torch.from_numpy(np.ascontiguousarray(pixels))
    # A permuted [H, W, 3] is channels-last in memory, for which torch has a fast path.
    batch = channels.permute(2, 0, 1)[None]  # [1, 3, H, W]
    if batch.shape[2:] != size:
        batch = interpolate(batch, size, mode=mode, align_corners=False, antialias=True)
    return batch[0].clamp(0, 1) if batch.dtype == torch.float32 else batch[0]


def _resize_by_pil(pixels: NDArray[Any], size: tuple[int, int], mode: str) -> torch.Tensor:
    """PIL's own resize: uint8 [H, W, 3] -> uint8 [3, h, w]."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    scaled = picture.resize(size[::-1], Image.Resampling[mode.upper()])
    return torch.from_numpy(np.array(scaled)).permute(2, 0, 1)


def _cut_strip(
    pixels: NDArray[Any], size: int, scaled: tuple[int, int]
) -> tuple[NDArray[Any], tuple[int, int]]:
    """The middle of a very long strip, wide enough for a centred crop of `size`."""
    axis = int(scaled[1] > scaled[0])
    stored = pixels.shape[axis]
    kept = max(1, round(stored * _MAX_STRIP * size / scaled[axis]))
    first = (stored - kept) // 2
    pixels = pixels.take(range(first, first + kept), axis=axis)
    length = max(size, round(scaled[axis] * kept / stored))
    return pixels, (scaled[0], length) if axis else (length, scaled[1])
