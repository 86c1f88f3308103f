import pytest

from actcli.data.labels import LabelSet, bundled_lists
from actcli.data.opposites import order_pairs


@pytest.mark.parametrize(
    "pair",
    [
        ("walk left", "walk right"),
        ("swipe left to right", "swipe right to left"),
        ("Pushing [something] from left to right", "Pushing [something] from right to left"),
        ("sit down", "stand up"),
        ("sit down", "get up"),
        ("lie down", "get up"),
        ("raise arms", "lower arms"),
        ("pick up", "put down"),
        ("kneel down", "rise from knees"),
        ("OpenDoor", "close_door"),
        ("door opened", "door closed"),
        ("push", "pull"),
        ("enter", "exit"),
        ("turning on the light", "turning off the light"),
        ("putting on a jacket", "taking off a jacket"),
        ("Putting [something] into [something]", "Taking [something] out of [something]"),
        ("moving forwards", "moving backward"),
        ("turn clockwise", "turn counter-clockwise"),
        ("turn clockwise", "turn anticlockwise"),
        ("Moving away from the camera", "Approaching the camera"),
        ("tie shoes", "untie shoes"),
        ("zoom in", "zoom out"),
    ],
)
def test_labels_that_are_one_another_backwards_are_found(pair):
    assert order_pairs(["run", pair[0], "jump", pair[1]]) == [pair]


@pytest.mark.parametrize(
    "labels",
    [
        ("sitting", "standing", "lying"),
        ("push ups", "pull ups"),
        ("boxing", "unboxing"),
        ("thumbs up", "thumbs down"),
        ("climbing a rope", "climbing ladder"),
        ("passing football (in game)", "passing football (not in game)"),
        ("walk left", "run right"),
        ("open", "open"),
    ],
)
def test_labels_that_a_frame_tells_apart_are_not_found(labels):
    assert order_pairs(labels) == []


@pytest.mark.parametrize("name", bundled_lists())
def test_the_bundled_lists_hold_no_such_pairs(name):
    assert order_pairs(LabelSet.bundled(name)) == []


def test_every_pair_is_found_once_in_label_order():
    labels = ["stand up", "walk right", "sit down", "walk left"]
    assert order_pairs(labels) == [("stand up", "sit down"), ("walk right", "walk left")]


def test_many_opposites_in_one_label_stay_cheap():
    words = " ".join(["left", "right", "up", "down", "in", "out"] * 6)
    assert order_pairs([words, "run"]) == []
