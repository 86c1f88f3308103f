"""The fourteen actions that a few single frames can show."""

import numpy as np

from actcli.demo.play import Action, Play, blend, keyed, mirrored, swell, wave
from actcli.demo.skeleton import Curve, Motion

# What throws are made of, as shares of a cycle; the ball's flight needs the last one too.
_WIND_UP, _LET_GO_FROM, _LET_GO_TO = 0.35, 0.40, 0.58
RELEASE = 0.52


def _run(when: Curve, play: Play) -> Motion:
    t = play.turns(when)

    def leg(turns: Curve) -> tuple[Curve, Curve]:
        thigh = 8.0 + 42.0 * play.amplitude * wave(turns)
        return thigh, thigh - (50.0 + 45.0 * wave(turns + 0.25))

    def arm(turns: Curve) -> tuple[Curve, Curve]:
        upper = -5.0 - 42.0 * play.amplitude * wave(turns)
        return upper, upper + 90.0

    lift = 0.035 * np.abs(wave(t + 0.25))
    return Motion(arm(t), arm(t + 0.5), leg(t), leg(t + 0.5), torso=14.0, lift=lift)


def _jump(when: Curve, play: Play) -> Motion:
    p = play.turns(when) % 1.0
    is_front = play.dice[0] < 0.5
    crouch = keyed(p, (0, 0), (0.22, 1), (0.35, 0), (0.73, 0), (0.85, 0.75), (1, 0))
    air = np.clip((p - 0.33) / 0.42, 0.0, 1.0)
    lift = 0.30 * play.amplitude * np.sin(np.pi * air)
    reach = keyed(p, (0, 12), (0.22, -35), (0.38, 155), (0.62, 150), (0.85, 45), (1, 12))
    if is_front:
        arm = (np.abs(reach), np.abs(reach) + 6.0)
        leg = (blend(5.0, 44.0, crouch), blend(2.0, -26.0, crouch))
        return Motion(arm, mirrored(arm), leg, mirrored(leg), lift=lift, is_front=True)
    arm = (reach, reach + 12.0)
    leg = (blend(2.0, 70.0, crouch), blend(-2.0, -35.0, crouch))
    return Motion(arm, arm, leg, leg, torso=30.0 * crouch, lift=lift)


def _jumping_jack(when: Curve, play: Play) -> Motion:
    t = play.turns(when)
    u = swell(t)
    arm = (blend(12.0, 155.0, u), blend(14.0, 163.0, u))
    leg = (blend(3.0, 30.0 * play.amplitude, u),) * 2
    lift = 0.05 * np.abs(wave(t))
    return Motion(arm, mirrored(arm), leg, mirrored(leg), lift=lift, is_front=True)


def _wave(when: Curve, play: Play) -> Motion:
    t = play.turns(when)
    arm = (112.0 + 18.0 * play.dice[0], 168.0 + 38.0 * play.amplitude * wave(t))
    leg = (6.0, 3.0)
    return Motion(arm, mirrored((10.0, 8.0)), leg, mirrored(leg), is_front=True)


def _squat(when: Curve, play: Play) -> Motion:
    u = swell(play.turns(when)) * min(play.amplitude, 1.0)
    leg = (blend(3.0, 92.0, u), blend(0.0, -32.0, u))
    arm = (blend(10.0, 92.0, u), blend(14.0, 92.0, u))
    return Motion(arm, arm, leg, leg, torso=38.0 * u)


def _kick(when: Curve, play: Play) -> Motion:
    p = swell(play.turns(when)) ** 0.8
    thigh = blend(-18.0, 98.0 * min(play.amplitude, 1.08), p)
    kicking = (thigh, thigh - 75.0 * np.sin(np.pi * p))
    return Motion((28.0, 118.0), (12.0, 110.0), kicking, (-3.0, -5.0), torso=-16.0 * p)


def _punch(when: Curve, play: Play) -> Motion:
    s = wave(play.turns(when))

    def arm(reach: Curve) -> tuple[Curve, Curve]:
        return blend(18.0, 88.0, reach), blend(135.0, 90.0, reach)

    right, left = np.clip(s, 0.0, 1.0) ** 2, np.clip(-s, 0.0, 1.0) ** 2
    torso = 4.0 + 6.0 * (right + left)
    return Motion(arm(right), arm(left), (24.0, 8.0), (-14.0, -30.0), torso=torso)


def _clap(when: Curve, play: Play) -> Motion:
    u = swell(play.turns(when))
    arm = (blend(38.0, 62.0, u), blend(243.0, 128.0, u))
    leg = (6.0, 3.0)
    return Motion(arm, mirrored(arm), leg, mirrored(leg), is_front=True)


def _bow(when: Curve, play: Play) -> Motion:
    u = swell(play.turns(when))
    lean = 100.0 * min(play.amplitude, 1.05) * u
    # Half of the figures let their arms hang, the others keep them at their sides.
    hang = blend(4.0, 0.0, u) if play.dice[0] < 0.5 else -0.75 * lean
    leg = (-8.0 * u, -8.0 * u)
    return Motion((hang, hang + 4.0), (hang, hang + 4.0), leg, leg, torso=lean)


def _crawl(when: Curve, play: Play) -> Motion:
    s = 22.0 * play.amplitude * wave(play.turns(when))
    right, left = (5.0 + s, 5.0 + s), (5.0 - s, 5.0 - s)
    return Motion(right, left, (10.0 - s, -80.0), (10.0 + s, -80.0), torso=80.0, head=-45.0)


def _cartwheel(when: Curve, play: Play) -> Motion:
    direction = 1.0 if play.dice[0] < 0.5 else -1.0
    arm, leg = (150.0, 154.0), (38.0, 36.0)
    rotation = 360.0 * direction * play.turns(when)
    return Motion(arm, mirrored(arm), leg, mirrored(leg), rotation=rotation, is_front=True)


def _roll(when: Curve, play: Play) -> Curve:
    return -0.22 * np.sin(np.pi * play.turns(when)) * (1.0 if play.dice[0] < 0.5 else -1.0)


def _throw(when: Curve, play: Play) -> Motion:
    p = play.turns(when) % 1.0
    upper = keyed(
        p, (0, 30), (_WIND_UP, 222), (_LET_GO_FROM, 222), (_LET_GO_TO, 75), (0.8, 40), (1, 30)
    )
    forearm = keyed(
        p, (0, 60), (_WIND_UP, 250), (_LET_GO_FROM, 255), (_LET_GO_TO, 80), (0.8, 50), (1, 60)
    )
    step = keyed(p, (0, 0), (_WIND_UP, -1), (_LET_GO_TO, 1), (0.8, 0.8), (1, 0))
    torso = keyed(p, (0, 0), (_WIND_UP, -14), (_LET_GO_TO, 22), (0.8, 14), (1, 0))
    front = (blend(12.0, 30.0, (step + 1) / 2), blend(6.0, 8.0, (step + 1) / 2))
    rear = (blend(-6.0, -20.0, (step + 1) / 2), blend(-10.0, -34.0, (step + 1) / 2))
    other = (blend(70.0, -20.0, (step + 1) / 2), blend(80.0, 10.0, (step + 1) / 2))
    return Motion((upper, forearm), other, rear, front, torso=torso)


def _dance(when: Curve, play: Play) -> Motion:
    t = play.turns(when)
    s = wave(t) * play.amplitude
    fast = 20.0 * wave(2.0 * t)
    right = (95.0 + 55.0 * s, 120.0 + 50.0 * s + fast)
    left = (-95.0 + 55.0 * s, -120.0 + 50.0 * s + fast)
    right_leg = (20.0 + 14.0 * s, -8.0 - 6.0 * s)
    left_leg = (-20.0 + 14.0 * s, 8.0 - 6.0 * s)
    return Motion(right, left, right_leg, left_leg, torso=14.0 * s, is_front=True)


def _spin(when: Curve, play: Play) -> Motion:
    t = play.turns(when)
    arm = (96.0, 98.0)
    turn = wave(t + 0.25)
    return Motion(arm, mirrored(arm), (52.0, -48.0), (-2.0, 0.0), turn=turn, is_front=True)


_HIGH = (0.48, 0.62)
_LYING = (0.48, 0.64)

SINGLES = {
    "run": Action(_run, (1.5, 4.0), anchor=None),
    "jump": Action(_jump, (1.0, 2.2), _HIGH),
    "jumping jack": Action(_jumping_jack, (1.3, 3.5), _HIGH),
    "wave": Action(_wave, (2.0, 5.0)),
    "squat": Action(_squat, (1.0, 2.4)),
    "kick": Action(_kick, (1.0, 2.6), anchor="left foot"),
    "punch": Action(_punch, (1.2, 3.2)),
    "clap": Action(_clap, (2.0, 5.0)),
    "bow": Action(_bow, (0.9, 1.6)),
    "crawl": Action(_crawl, (1.0, 2.6), anchor=None),
    "cartwheel": Action(_cartwheel, (0.8, 1.8), _LYING, anchor=None, path=_roll),
    "throw": Action(_throw, (1.0, 2.0)),
    "dance": Action(_dance, (1.0, 2.6)),
    "spin": Action(_spin, (1.2, 3.2)),
}
