import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.wording import clean_label, match_key, same_label_key


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("YoYo", "yo yo"),
        ("BMXRiding", "BMX riding"),
        ("playing_guitar", "playing guitar"),
        ("playing-guitar", "playing guitar"),
        ("  sit   down ", "sit down"),
        ("öffneTür", "öffne tür"),
    ],
)
def test_joined_words_come_apart(name, words):
    assert clean_label(name) == words


@pytest.mark.parametrize(
    "name", ["run", "Archery", "iPhone", "t-shirt", "T-shirt folding", "CUT", "日本語", "___", "-"]
)
def test_names_that_are_words_already_stay(name):
    assert clean_label(name) == name


@given(st.text())
def test_cleaning_twice_changes_nothing_more_than_cleaning_once(name):
    assert clean_label(clean_label(name)) == clean_label(name)


@pytest.mark.parametrize("spelling", ["ShotPut", "shot_put", "shot put", "Shotput", "SHOT-PUT"])
def test_spellings_of_one_class_share_a_key(spelling):
    assert match_key(spelling) == "shotput"


def test_labels_that_read_the_same_are_the_same():
    assert same_label_key("Sit_Down") == same_label_key("sit down")
    assert same_label_key("handstand") != same_label_key("hand stand")
