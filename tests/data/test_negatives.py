"""The bank of other words, without those of the labels."""

from actcli.data.negatives import BANK, negatives_for


def test_phrases_that_share_a_word_with_a_label_are_left_out() -> None:
    left = negatives_for(["drink water", "reading a book"])
    assert {"drinking", "reading"}.isdisjoint(left)
    assert "cooking" in left


def test_forms_of_a_word_are_that_word() -> None:
    assert not [one for one in negatives_for(["walk", "Sit"]) if "walk" in one or "sit" in one]


def test_small_words_are_no_words() -> None:
    assert negatives_for(["the of on a"]) == list(BANK)


def test_only_words_that_a_model_knows_are_kept() -> None:
    assert negatives_for([], known={"a", "person", "sitting"}) == ["a person", "sitting"]


def test_every_phrase_is_there_once() -> None:
    assert len(set(BANK)) == len(BANK)
