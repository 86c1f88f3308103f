import io
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.data.labels import LabelSet, bundled_lists
from actcli.errors import InputError, UsageError
from actcli.wording import same_label_key

WORDS = st.from_regex(r"[a-z]{1,8}( [a-z]{1,8})?", fullmatch=True)
NAMES = st.lists(WORDS, min_size=1, unique_by=same_label_key)


def test_inline_labels_keep_their_order_and_lose_outer_spaces():
    assert list(LabelSet.parse("run, jump ,sit down,")) == ["run", "jump", "sit down"]


def test_inline_labels_with_commas_go_in_quotes():
    assert LabelSet.parse('run, "jump, then land"').names == ("run", "jump, then land")


@given(NAMES)
def test_a_file_gives_back_the_names_that_were_written(names):
    text = "\r\n".join(["# made by a test", *names, ""])
    assert LabelSet.from_stream(io.BytesIO(text.encode())).names == tuple(names)


def test_byte_order_marks_and_windows_lines_are_understood(tmp_path):
    path = tmp_path / "labels.txt"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes("run\r\n\r\nöffnen\r\n".encode(encoding))
        assert LabelSet.from_file(path).names == ("run", "öffnen")


def test_comment_lines_are_skipped_but_a_hash_may_begin_a_label():
    assert LabelSet.from_lines(["# a comment", "#", "#1 pose"]).names == ("#1 pose",)


def test_prompts_after_a_tab_belong_to_their_label():
    lines = ["run\ta man runs", "jump", "run\ta dog runs", "sit\tone\ttwo"]
    labels = LabelSet.from_lines(lines)
    assert labels.names == ("run", "jump", "sit")
    assert labels.prompts == (("a man runs", "a dog runs"), (), ("one", "two"))


@pytest.mark.parametrize("lines", [["run", "run"], ["run\tx", "run\tx"], ["run", "run\tx"]])
def test_a_repeated_line_is_an_error(lines):
    with pytest.raises(UsageError, match=r'"run" \(line 1\) = "run" \(line 2\)'):
        LabelSet.from_lines(lines)


def test_labels_that_read_the_same_are_duplicates_and_named_with_their_lines():
    with pytest.raises(UsageError, match=r'"sit_down" \(line 1\) = "Sit down" \(line 3\)'):
        LabelSet.from_lines(["sit_down", "run", "Sit down"])
    with pytest.raises(UsageError, match="item 2"):
        LabelSet.parse("run,Run")
    with pytest.raises(UsageError, match="label 2"):
        LabelSet.from_names(["run", "RUN"])


@pytest.mark.parametrize("text", ["", " , ,", "\n"])
def test_an_empty_list_is_an_error(text):
    with pytest.raises(UsageError, match="--labels"):
        LabelSet.parse(text)


def test_unbalanced_quotes_are_an_error():
    with pytest.raises(UsageError, match="quotes"):
        LabelSet.parse('run,"jump')


def test_a_file_that_is_not_text_is_refused_with_its_line():
    with pytest.raises(UsageError, match="line 2 is not UTF-8"):
        LabelSet.from_stream(io.BytesIO(b"run\nt\xfcr\n"))
    with pytest.raises(UsageError, match="NUL"):
        LabelSet.from_stream(io.BytesIO(b"run\0"))


@pytest.mark.parametrize(
    ("name", "size"), [("kinetics400", 400), ("kinetics100", 100), ("ucf101", 101), ("hmdb51", 51)]
)
def test_bundled_lists_are_complete(name, size):
    labels = LabelSet.bundled(name)
    assert len(labels) == size
    assert labels.words == labels.names


def test_every_bundled_list_says_where_it_comes_from():
    from importlib.resources import files

    for name in bundled_lists():
        text = (files("actcli.data") / "lists" / f"{name}.txt").read_text(encoding="utf-8")
        assert "# Source: " in text


@pytest.mark.parametrize("name", ["UCF-101", "ucf_101", "ucf101"])
def test_bundled_lists_are_found_however_they_are_spelled(name):
    assert "apply eye makeup" in LabelSet.open(name)


def test_a_list_that_does_not_exist_names_the_close_ones():
    with pytest.raises(UsageError, match="kinetics400") as caught:
        LabelSet.open("kinetic400")
    assert "--labels-file kinetics400" in str(caught.value.hint)


def test_a_file_that_does_not_exist_names_the_files_beside_it(tmp_path):
    (tmp_path / "labels.txt").write_text("run\n")
    with pytest.raises(UsageError, match=r"labels\.txt"):
        LabelSet.open(str(tmp_path / "label.txt"))


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        LabelSet.from_file(tmp_path)


def test_labels_come_from_stdin_unless_it_is_taken():
    assert LabelSet.open("-", stdin=io.StringIO("run\njump\n")).names == ("run", "jump")
    with pytest.raises(UsageError, match="taken"):
        LabelSet.open("-")


def test_a_class_is_found_by_any_usual_spelling():
    labels = LabelSet.bundled("ucf101")
    assert labels.find("ApplyEyeMakeup") == labels.index("apply_eye_makeup") == 0
    assert labels[labels.index("Shotput")] == "shot put"
    assert labels.find("flying") is None


def test_an_ambiguous_spelling_finds_only_the_exact_name():
    labels = LabelSet.parse("handstand,hand stand")
    assert labels.find("hand stand") == 1
    assert labels.find("hand_stand") is None


def test_an_unknown_label_names_the_close_ones():
    with pytest.raises(UsageError) as caught:
        LabelSet.parse("run,jump").index("runn")
    assert caught.value.hint == 'did you mean "run"?'


def test_a_label_set_survives_pickling_and_compares_by_value():
    labels = LabelSet.parse("run,jump")
    assert pickle.loads(pickle.dumps(labels)) == labels == LabelSet.from_names(["run", "jump"])
