"""HDR light against values of the standards, and laws that a tone curve must keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from actcli.video.colour import BT2020, HLG, PQ, to_sdr, tone_curve

BT709 = 1


def grey(code: float, transfer: int, primaries: int = BT2020) -> list[int]:
    return to_sdr(np.full((3, 1, 1), code, np.float32), transfer, primaries).ravel().tolist()


def colour(code: tuple[float, float, float], transfer: int, primaries: int = BT2020) -> Any:
    picture = np.array(code, np.float32).reshape(3, 1, 1)
    return to_sdr(picture, transfer, primaries).ravel().astype(int)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_black_stays_black_and_the_brightest_is_white(transfer: int) -> None:
    assert grey(0.0, transfer) == [0, 0, 0]
    assert grey(1.0, transfer) == [255, 255, 255]


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_grey_stays_grey(transfer: int) -> None:
    for code in np.linspace(0, 1, 50):
        assert len(set(grey(float(code), transfer))) == 1


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_never_becomes_darker(transfer: int) -> None:
    levels = [grey(float(code), transfer)[0] for code in np.linspace(0, 1, 200)]
    assert levels == sorted(levels)


def test_reference_white_of_both_transfers_is_the_same_light_grey() -> None:
    """BT.2408: 203 cd/m2 is 58 % of the PQ signal and 75 % of the HLG signal."""
    assert abs(grey(0.58, PQ)[0] - grey(0.75, HLG)[0]) <= 1
    assert 220 <= grey(0.58, PQ)[0] <= 235


def test_below_the_knee_light_is_only_coded_anew() -> None:
    """26 cd/m2 is 38 % of the PQ signal, 12.8 % of reference white: (0.128 ** (1 / 2.4)) * 255."""
    assert abs(grey(0.38, PQ)[0] - 108) <= 3


def test_the_tone_curve_is_smooth_and_ends_at_one() -> None:
    light = np.linspace(0, 6, 6001).astype(np.float32)
    steps = np.diff(tone_curve(light))
    assert np.all(steps >= -1e-6)
    assert np.abs(np.diff(steps)).max() < 3e-4
    assert tone_curve(np.array([1000 / 203], np.float32))[0] == pytest.approx(1.0, abs=1e-5)
    assert tone_curve(np.array([50.0], np.float32))[0] == 1.0


def test_bt709_red_in_a_bt2020_signal_comes_back_as_pure_red() -> None:
    # Half of reference white in BT.709 red, brought to BT.2020 by BT.2087's matrix and to PQ.
    light = np.array([0.6274, 0.0691, 0.0164]) * 0.5 * 203 / 10000
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    code = ((c1 + c2 * light**m1) / (1 + c3 * light**m1)) ** m2
    red, green, blue = colour(tuple(code.tolist()), PQ)
    assert abs(red - 0.5 ** (1 / 2.4) * 255) <= 2
    assert max(green, blue) <= 20


def test_highlights_keep_their_hue() -> None:
    seen = colour((0.8, 0.6, 0.6), PQ, BT709)
    assert seen[0] == 255
    assert seen[1] == seen[2] < 200


def test_primaries_other_than_bt2020_are_left_alone() -> None:
    assert np.ptp(colour((0.5, 0.4, 0.4), PQ, BT2020)) > np.ptp(colour((0.5, 0.4, 0.4), PQ, BT709))
