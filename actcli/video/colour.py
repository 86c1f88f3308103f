"""Bring high dynamic range pictures to the range that models were trained on.

    code value -> light (EOTF)            ITU-R BT.2100: PQ, or HLG with its system gamma 1.2
    BT.2020 -> BT.709 primaries           ITU-R BT.2087
    light -> 0..1                         linear up to a knee, then a Moebius curve up to the peak
    0..1 -> code value                    the inverse of BT.1886's gamma 2.4

Light is measured against reference white, 203 cd/m2 (ITU-R BT.2408); 1000 cd/m2 becomes white.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

PQ: Final = 16  # AVCOL_TRC_SMPTE2084
HLG: Final = 18  # AVCOL_TRC_ARIB_STD_B67
BT2020: Final = 9  # AVCOL_PRI_BT2020
HDR_TRANSFERS: Final = frozenset({PQ, HLG})

_WHITE_NITS = 203.0
_PEAK_NITS = 1000.0
_PEAK = _PEAK_NITS / _WHITE_NITS
_KNEE = 0.5
_STEPS = 4096
_SDR_GAMMA = 2.4
_HLG_GAMMA = 1.2

_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)


def to_sdr(code: NDArray[np.float32], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """An HDR picture as a standard one, BT.709.

    code:       non-linear R'G'B' in 0..1, [3, H, W]
    transfer:   PQ or HLG, as FFmpeg numbers them
    primaries:  as FFmpeg numbers them; all but BT.2020 are taken for BT.709
    returns:    uint8 [3, H, W]
    """
    light = _light_table(transfer)[_table_index(code)]
    if transfer == HLG:
        luma = np.tensordot(_LUMA_2020, light, 1)
        light = light * (_PEAK * luma ** (_HLG_GAMMA - 1))
    if primaries == BT2020:
        light = np.tensordot(_TO_BT709, light, 1).clip(0, None)
    # One factor for the three channels keeps the hue of what is brighter than white.
    brightest = light.max(axis=0)
    light = light * (tone_curve(brightest) / np.maximum(brightest, 1e-6))
    return _gamma_table()[_table_index(light)]


def tone_curve(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Light relative to reference white, 0 to the peak and beyond, brought into 0..1."""
    a = -(_KNEE**2) * (_PEAK - 1) / (_KNEE**2 - 2 * _KNEE + _PEAK)
    b = (_KNEE**2 - 2 * _KNEE * _PEAK + _PEAK) / (_PEAK - 1)
    scale = (b**2 + 2 * b * _KNEE + _KNEE**2) / (b - a)
    curved = scale * (light + a) / (light + b)
    return np.where(light <= _KNEE, light, np.minimum(curved, 1.0)).astype(np.float32)


def _table_index(values: NDArray[np.float32]) -> NDArray[np.intp]:
    return (values.clip(0, 1) * (_STEPS - 1) + 0.5).astype(np.intp)


@cache
def _light_table(transfer: int) -> NDArray[np.float32]:
    """Code value -> light: PQ against reference white, HLG as scene light in 0..1."""
    code = np.linspace(0, 1, _STEPS)
    if transfer == PQ:
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        root = code ** (1 / m2)
        light = 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) / _WHITE_NITS
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return light.astype(np.float32)


@cache
def _gamma_table() -> NDArray[np.uint8]:
    linear = np.linspace(0, 1, _STEPS)
    return (linear ** (1 / _SDR_GAMMA) * 255 + 0.5).astype(np.uint8)
