"""Movements with a direction in time, and the actions that the demo model never saw.

Only the first member of a pair is described; the second one is the same with time reversed.
"""

import numpy as np

from actcli.demo.play import Action, Play, blend, keyed, mirrored, swell, wave
from actcli.demo.skeleton import Curve, Motion


def _walk(when: Curve, play: Play) -> Motion:
    t = play.turns(when)

    def leg(turns: Curve) -> tuple[Curve, Curve]:
        thigh = 25.0 * play.amplitude * wave(turns)
        return thigh, thigh - (7.0 + 9.0 * wave(turns + 0.25))

    def arm(turns: Curve) -> tuple[Curve, Curve]:
        upper = -22.0 * play.amplitude * wave(turns)
        return upper, upper + 14.0

    return Motion(arm(t), arm(t + 0.5), leg(t), leg(t + 0.5), torso=3.0)


def _go_left(when: Curve, play: Play) -> Curve:
    distance = 0.16 + 0.11 * play.dice[1]
    return distance * (1.0 - 2.0 * when)


def _sit_down(when: Curve, play: Play) -> Motion:
    u = play.progress(when)
    arm = (blend(4.0, 45.0, u), blend(8.0, 75.0, u))
    leg = (90.0 * u, 2.0 * u)
    return Motion(arm, arm, leg, leg, torso=30.0 * np.sin(np.pi * u))


def _lie_down(when: Curve, play: Play) -> Motion:
    u = play.progress(when)
    b = np.sin(np.pi * u)
    arm = (blend(4.0, 10.0, u), blend(8.0, 12.0, u))
    leg = (75.0 * b, -40.0 * b)
    return Motion(arm, arm, leg, leg, torso=25.0 * b, rotation=88.0 * u)


def _raise_arms(when: Curve, play: Play) -> Motion:
    u = play.progress(when)
    arm = (blend(8.0, 170.0, u), blend(10.0, 173.0, u))
    leg = (3.0, 2.0)
    return Motion(arm, mirrored(arm), leg, mirrored(leg), is_front=True)


def _pick_up(when: Curve, play: Play) -> Motion:
    u = play.progress(when)
    bend = keyed(u, (0, 0), (0.48, 1), (0.52, 1), (1, 0))
    arm = (
        keyed(u, (0, 6), (0.48, 8), (0.52, 8), (1, 55)),
        keyed(u, (0, 10), (0.48, 12), (0.52, 12), (1, 95)),
    )
    leg = (blend(2.0, 48.0, bend), blend(0.0, -38.0, bend))
    return Motion(arm, arm, leg, leg, torso=72.0 * bend)


def _kneel_down(when: Curve, play: Play) -> Motion:
    u = play.progress(when)
    b = np.sin(np.pi * u)
    arm = (blend(4.0, 14.0, u), blend(8.0, 26.0, u))
    first = (45.0 * b, keyed(u, (0, 0), (0.6, -70), (1, -92)))
    second = (20.0 * b, keyed(u, (0, 0), (0.3, -20), (1, -90)))
    return Motion(arm, arm, first, second, torso=12.0 * b)


def _push_up(when: Curve, play: Play) -> Motion:
    u = swell(play.turns(when))
    arm = (blend(2.0, -68.0, u), blend(-2.0, 32.0, u))
    leg = (blend(-62.0, -84.0, u),) * 2
    return Motion(arm, arm, leg, leg, torso=blend(62.0, 84.0, u), head=-20.0)


def _lunge(when: Curve, play: Play) -> Motion:
    u = swell(play.turns(when)) * min(play.amplitude, 1.0)
    front = (blend(8.0, 82.0, u), blend(2.0, -4.0, u))
    rear = (blend(-4.0, -14.0, u), blend(-6.0, -82.0, u))
    arm = (blend(8.0, 30.0, u), blend(14.0, 110.0, u))
    return Motion(arm, arm, front, rear, torso=6.0 * u)


def _handstand(when: Curve, play: Play) -> Motion:
    s = wave(play.turns(when))
    sway = 9.0 * play.amplitude * s
    # Arms straight beside the head would be hidden by it.
    right, left = (10.0 + 16.0 * s, 6.0 + 12.0 * s), (-10.0 + 16.0 * s, -6.0 + 12.0 * s)
    arm = (158.0, 160.0)
    return Motion(arm, mirrored(arm), right, left, torso=sway, rotation=180.0, is_front=True)


def _climb(when: Curve, play: Play) -> Motion:
    t = play.turns(when)

    def arm(u: Curve) -> tuple[Curve, Curve]:
        return blend(112.0, 158.0, u), blend(196.0, 172.0, u)

    def leg(u: Curve) -> tuple[Curve, Curve]:
        return blend(10.0, 58.0, u), blend(0.0, -46.0, u)

    right, left = swell(t), swell(t + 0.5)
    return Motion(
        arm(right), mirrored(arm(left)), leg(left), mirrored(leg(right)),
        lift=0.16 + 0.05 * wave(2.0 * t), is_front=True,
    )  # fmt: skip


def _overhead_press(when: Curve, play: Play) -> Motion:
    u = swell(play.turns(when))
    arm = (blend(46.0, 148.0, u), blend(186.0, 178.0, u))
    leg = (14.0, 8.0)
    return Motion(arm, mirrored(arm), leg, mirrored(leg), is_front=True)


def _side_bend(when: Curve, play: Play) -> Motion:
    s = wave(play.turns(when)) * play.amplitude
    lean = 38.0 * s
    right, left = 40.0 + 10.0 * s, -40.0 + 10.0 * s
    arms = (right - lean, -60.0 + 0.0 * s), (left - lean, 60.0 + 0.0 * s)
    leg = (14.0, 10.0)
    return Motion(arms[0], arms[1], leg, mirrored(leg), torso=lean, is_front=True)


_HIGH = (0.48, 0.62)
_LYING = (0.48, 0.64)
_WALKING = (0.42, 0.62)

# Keyed by the first member of each pair.
TRANSITIONS = {
    "walk left": Action(_walk, (1.0, 2.6), _WALKING, None, place_jitter=0.04, path=_go_left),
    "sit down": Action(_sit_down),
    "lie down": Action(_lie_down, sizes=_LYING, anchor=None),
    "raise arms": Action(_raise_arms, sizes=_HIGH),
    "pick up": Action(_pick_up),
    "kneel down": Action(_kneel_down, anchor=None),
}

NOVEL_SINGLES = {
    "push-up": Action(_push_up, (1.0, 2.4), _LYING),
    "lunge": Action(_lunge, (1.0, 2.4), anchor="right foot"),
    "handstand": Action(_handstand, (1.0, 2.4), _HIGH, anchor=None),
    "climb": Action(_climb, (1.0, 2.4), _HIGH, anchor=None),
    "overhead press": Action(_overhead_press, (1.0, 2.4), _HIGH),
    "side bend": Action(_side_bend, (1.0, 2.4)),
}
