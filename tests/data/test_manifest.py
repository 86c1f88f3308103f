"""Lists that say everything themselves, and what is compared between the rows of any list."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actcli.data.manifest import read_manifest
from actcli.errors import InputError, ManifestError, UsageError
from actcli.types import VideoRef


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Reads a list of this content; its paths come out as they stand in it."""
    monkeypatch.chdir(tmp_path)

    def read(content, *, name="list.txt", **options):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return read_manifest(name, **options)

    return read


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def pairs(manifest):
    return [(ref.path, ref.label) for ref in manifest.refs]


RUN_AND_SIT = [("a.mp4", "run"), ("b.mp4", "sit down")]


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ("path,label\na.mp4,run\nb.mp4,sit down\n", "csv"),
        ("label;path\nrun;a.mp4\nsit down;b.mp4\n", "csv"),
        ("path\tlabel\na.mp4\trun\nb.mp4\tsit down\n", "csv"),
        ('"File", "Class"\r\n"a.mp4", "run"\r\n\r\nb.mp4 ,sit down\r\n', "csv"),
        ("\ufeffvideo,seed,class\na.mp4,1,run\nb.mp4,2,sit  down\n", "csv"),
        ("path,label\ra.mp4,run\rb.mp4,sit down\r", "csv"),
        (",input,label\n0,a.mp4,run\n,,\n1,b.mp4,sit down", "csv"),
        ("filename,label\na.mp4,run\nb.mp4,sit down\n".encode("utf-16"), "csv"),
        ('{"path": "a.mp4", "label": "run"}\n\n{"video":"b.mp4","class":"sit down"}\n', "jsonl"),
        ('a.mp4 run\nb.mp4 "sit down"\n', "text"),
        ('"a.mp4"  run\r\n  b.mp4\t sit down \n', "text"),
        ("a.mp4\trun\nb.mp4\tsit down", "text"),
    ],
)  # fmt: skip
def test_one_list_in_any_way_to_write_it(listed, content, dialect):
    manifest = listed(content)
    expected = [(path.strip(), label) for path, label in pairs(manifest)]
    assert (expected, manifest.dialect) == (RUN_AND_SIT, dialect)
    assert manifest.labels == ("run", "sit down")


def test_a_list_has_times_and_splits(listed):
    manifest = listed(
        "path,label,start,end,split\na.mp4,run,1,2.5,train\nb.mp4,jump,,3,\nc.mp4,run,,,val\n"
    )
    assert manifest.refs == (
        VideoRef("a.mp4", 1.0, 2.5, label="run"),
        VideoRef("b.mp4", None, 3.0, label="jump"),
        VideoRef("c.mp4", label="run"),
    )
    assert manifest.splits == ("train", "val")
    assert manifest.ref_splits == ("train", None, "val")


def test_json_lines_have_times_splits_and_ids(listed):
    row = {"path": "a.mp4", "label": "run", "start": 1, "end": 2, "split": "val", "id": "row 1"}
    manifest = listed(json.dumps(row))
    assert manifest.refs == (VideoRef("a.mp4", 1.0, 2.0, "row 1", "run"),)
    assert manifest.splits == ("val",)


def test_the_manifest_of_the_demo_is_read_by_splits(tmp_path):
    rows = "support/sit down/a.mp4,sit down,support,7,sit,1\nquery/run/b.mp4,run,query,8,,0\n"
    (tmp_path / "manifest.csv").write_text("path,label,split,seed,pair,reversed\n" + rows)
    manifest = read_manifest(tmp_path / "manifest.csv", split="query")
    assert pairs(manifest) == [(str(tmp_path / "query/run/b.mp4"), "run")]
    assert manifest.labels == ("run",)
    assert manifest.splits == ("support", "query")
    assert manifest.unused == ("seed", "pair", "reversed")


def test_paths_begin_at_the_folder_of_the_list_or_at_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "lists/a.csv", "data/x")
    (tmp_path / "lists/a.csv").write_text("path,label\na.mp4,run\n/b.mp4,run\ns3://c/d.mp4,run\n")
    beside = [ref.path for ref in read_manifest("lists/a.csv").refs]
    assert beside == [os.path.join("lists", "a.mp4"), "/b.mp4", "s3://c/d.mp4"]
    manifest = read_manifest("lists/a.csv", root="data")
    assert manifest.refs[0] == VideoRef(os.path.join("data", "a.mp4"), label="run")


def test_a_root_that_is_no_folder_is_said(listed, caplog):
    listed("a.mp4 run", root="nowhere")
    assert "--root nowhere: no such folder" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\na.mp4,run\nb.mp4\n", "t:3: wrong number of cells (got 1, expected 2)"),
        ("path,label\na,b.mp4,run\n", "t:2: wrong number of cells (got 3"),
        ('path,label\n"a\nb.mp4",run\nc.mp4\n', "t:4: wrong number of cells"),
        ('path,label\n"a.mp4,run\n', "t:2: cannot be read as cells (unexpected end of data)"),
        ("path,label\na.mp4, \n", 't:2: bad "label" (got "", expected a label)'),
        ("Path,label\n,run\n", 't:2: bad "path" (got "", expected a file name)'),
        ("path,label,start\na.mp4,run,x\n", 't:2: bad "start" (got "x", expected seconds'),
        ("path,label,start\na.mp4,run,nan\n", 't:2: bad "start"'),
        ("path,label,start,end_s\na.mp4,run,2,1\n", 't:2: bad "end_s" (got 1.0, expected more'),
        ("path,label,label\na.mp4,run,x\n", 't:1: the column "label" stands there twice'),
        ("path,category\na.mp4,run\n", 't:1: no column for the label (got "path", "category"'),
        ("id,label\n1,run\n", 't:1: no column for the video (got "id", "label", expected "path"'),
        ("path,label\n", "t: no videos in it"),
        ("", "t: empty (expected a folder per label"),
        ("\n \n", "t: empty"),
        ("a.mp4,sit down\nb.mp4,run\n", 't:1: no header line (got "a.mp4,sit down"'),
        ("a.mp4 sit down\n", 't: not a list of videos that is known (it begins with "a.mp4 sit'),
        ("a.mp4\n", "t: not a list of videos that is known"),
        ("a.mp4 run\nb.mp4 sit down\n", "t:2: not a path and a label (got 3 words, expected 2)"),
        ("a.mp4\trun\tx\n", "t:1: not path<TAB>label (got 3 cells, expected 2)"),
        ("a.mp4\trun\nb.mp4\t\n", "t:2: not path<TAB>label"),
        (b"a.mp4 run\nb.mp4 t\xfcr\n", "t:2: not UTF-8 text (got byte 0xfc)"),
        (b"\0\0\0\x20ftypisom", "t: not a list of videos (got binary data"),
        ('{"path": "a.mp4", "label": "run"}\n{"path": \n', "t:2: not a JSON object ("),
        ('{"path": "a.mp4", "label": "run"}\n[1]\n', "t:2: not a JSON object (got [1])"),
        ('{"path": "a.mp4"}\n', 't:1: bad "label" (got null, expected a text)'),
        ('{"label": "run"}\n{"label": "run"}\n', 't:1: bad "path" (got null, expected a text)'),
        ('{"path": "a", "label": true}', 't:1: bad "label" (got true'),
        ('{"path": "a", "label": "x", "start": 2, "end": 2}', 't:1: bad "end" (got 2, expected'),
        ('{"a": "0", "b": "1"}', "got a JSON object, a map of 2 names to numbers; expected a"),
        ('{\n"train": {"0": []}\n}', 'got a JSON object, keys "train"; expected a folder'),
    ],
)  # fmt: skip
def test_a_bad_list_is_named_with_its_line_and_what_was_expected(listed, content, message):
    with pytest.raises(ManifestError) as caught:
        listed(content, name="t")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("path,label\na,b.mp4,run\n", "double quotes"),
        ("a.mp4,run\n", "(echo path,label; cat list.txt) > with_header.csv"),
        ("a.mp4 run\na.mp4 sit down\n", "put a tab between"),
        ("a.mp4 run\nframes/a 80 3\n", "folders of frames are not read"),
        (b"a.mp4 t\xfcr\n", "iconv -f latin1 -t utf-8 list.txt > utf8.txt"),
    ],
)
def test_the_hint_says_what_to_do_about_it(listed, content, hint):
    with pytest.raises(ManifestError) as caught:
        listed(content)
    assert hint in (caught.value.hint or "")


def test_what_is_no_file_is_refused_by_what_it_is(tmp_path):
    (tmp_path / "train.csv").write_text("path,label\na.mp4,run\n")
    with pytest.raises(InputError, match="no such list or folder") as caught:
        read_manifest(tmp_path / "trian.csv")
    assert "train.csv" in (caught.value.hint or "")
    with pytest.raises(InputError, match="/dev/null: not a regular file"):
        read_manifest("/dev/null")
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest("a\0b")


def test_a_list_may_be_of_a_kind_that_its_content_does_not_tell(listed):
    manifest = listed("archery/1.avi\n", dialect="ucf101")
    assert pairs(manifest) == [("archery/1.avi", "archery")]
    with pytest.raises(UsageError, match="unknown kind of list"):
        listed("a.mp4 run", dialect="ucf")
    with pytest.raises(UsageError, match="is a file"):
        listed("a.mp4 run", dialect="folder")
    with pytest.raises(ManifestError, match="no header line"):
        listed("a.mp4 run", dialect="csv")


@pytest.mark.parametrize(
    "content",
    ["a.mp4 1\nb.mp4 0\n", "path,label\na.mp4,1\nb.mp4,0\n",
     '{"path":"a.mp4","label":1}\n{"path":"b.mp4","label":"0"}\n'],
)  # fmt: skip
def test_numbers_are_labels_only_with_their_names(listed, content):
    with pytest.raises(ManifestError, match="matched by name, never by number") as caught:
        listed(content)
    assert "--labels-file" in (caught.value.hint or "")
    assert pairs(listed(content, names=["jump", "run"])) == [("a.mp4", "run"), ("b.mp4", "jump")]


@pytest.mark.parametrize("label", ["2", "jump", "1x", "-1"])
def test_a_number_without_a_name_is_an_error_with_its_line(listed, label):
    with pytest.raises(ManifestError, match=r"list.txt:2: bad label .*a number from 0 to 1"):
        listed(f"a.mp4 0\nb.mp4 {label}\n", names=["jump", "run"])


def test_names_are_not_used_where_a_list_has_names(listed):
    manifest = listed("a.mp4 run\nb.mp4 2\n", names=["x", "y", "z"])
    assert manifest.labels == ("run", "2")


def test_a_repeated_row_is_kept_once_with_a_warning(listed, caplog):
    manifest = listed("a.mp4 run\nb.mp4 jump\n./a.mp4 run\n")
    assert pairs(manifest) == [("a.mp4", "run"), ("b.mp4", "jump")]
    assert "1 rows repeat another" in caplog.text
    assert "list.txt:3 = list.txt:1" in caplog.text


def test_other_parts_of_one_video_are_other_videos(listed):
    manifest = listed("path,label,start,end\na,run,0,1\na,jump,1,2\na,run,,3\n")
    assert len(manifest) == 3


def test_one_video_with_two_labels_is_an_error_that_names_both_lines(listed):
    with pytest.raises(ManifestError) as caught:
        listed("a.mp4 run\nb.mp4 jump\na.mp4 jump\n")
    assert caught.value.message == (
        'list.txt:3: "a.mp4" has two labels (got "jump", and "run" at list.txt:1)'
    )


def test_a_video_in_two_splits_is_said(listed, caplog):
    rows = "path,label,split\na.mp4,run,train\na.mp4,run,test\n"
    assert len(listed(rows)) == 1
    assert "1 videos are in more than one split" in caplog.text
    caplog.clear()
    assert len(listed(rows, split="test")) == 1
    assert caplog.text == ""


@pytest.mark.parametrize(("one", "other"), [("sit_down", "sit down"), ("SitDown", "Sit Down")])
def test_two_spellings_of_a_label_are_an_error_that_names_both(listed, one, other):
    with pytest.raises(ManifestError) as caught:
        listed(f"a.mp4\t{one}\nb.mp4\trun\nc.mp4\t{other}\n")
    assert f'list.txt:3: the label "{other}" reads the same as "{one}"' in caught.value.message
    assert "(list.txt:1)" in caught.value.message


def test_a_split_is_taken_by_any_usual_name(listed):
    rows = "path,label,split\na.mp4,run,train\nb.mp4,run,validate\n"
    assert pairs(listed(rows, split="val")) == [("b.mp4", "run")]
    with pytest.raises(UsageError, match=r'not in list.txt \(got "train", "validate"\)') as caught:
        listed(rows, split="trian")
    assert caught.value.hint == "did you mean train?"
    with pytest.raises(UsageError, match="names no splits"):
        listed("a.mp4 run", split="train")


@pytest.mark.parametrize(
    ("column", "said"),
    [("lable", "did you mean label?"), ("time_start", "named start and end"), ("seed", None)],
)
def test_a_column_that_looks_like_one_of_ours_gets_a_warning(listed, caplog, column, said):
    listed(f"path,label,{column}\na.mp4,run,1\n")
    listed(json.dumps({"path": "a.mp4", "label": "run", column: 1}))
    messages = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(messages) == (2 if said else 0)
    assert all(said in message for message in messages)


CLASSES = ("sit down/2.mp4", "sit down/10.mp4", "run/deep/er/a.webm", "jump10/b.avi", "jump9/c.avi")


def test_folders_are_labels_in_natural_order(tmp_path):
    make(tmp_path, *CLASSES, "run/notes.txt", "run/.b.mp4", ".git/x.mp4", "labels.txt")
    manifest = read_manifest(tmp_path)
    assert manifest.dialect == "folder"
    assert manifest.labels == ("jump9", "jump10", "run", "sit down")
    paths = [os.path.relpath(ref.path, tmp_path) for ref in manifest.refs]
    assert paths == ["jump9/c.avi", "jump10/b.avi", "run/deep/er/a.webm",
                     "sit down/2.mp4", "sit down/10.mp4"]  # fmt: skip
    assert [ref.label for ref in manifest.refs][-2:] == ["sit down", "sit down"]


def test_folders_are_named_as_the_user_would(tmp_path, monkeypatch):
    make(tmp_path, "examples/run/a.mp4")
    monkeypatch.chdir(tmp_path)
    assert read_manifest("examples/").refs[0].id == os.path.join("examples", "run", "a.mp4")


def test_folders_without_videos_are_told_to_the_caller(tmp_path):
    make(tmp_path, "run/a.mp4", "jump/notes.txt", ".hidden/x")
    (tmp_path / "wave").mkdir()
    manifest = read_manifest(tmp_path)
    assert (manifest.labels, manifest.empty) == (("run",), ("jump", "wave"))


def test_videos_outside_of_folders_are_an_error_that_names_them(tmp_path):
    make(tmp_path, "run/a.mp4", "stray.mp4", "notes.txt")
    with pytest.raises(ManifestError, match=r"1 videos lie in no folder: .*stray\.mp4"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("names", [[], ["run/notes.txt"]])
def test_folders_without_any_video_are_an_error(tmp_path, names):
    make(tmp_path, *names)
    with pytest.raises(InputError, match=f"no videos .got {len(names)} folders without"):
        read_manifest(tmp_path)


def test_a_glob_chooses_files_of_folders_only(tmp_path):
    make(tmp_path, "run/a.mp4", "run/a.bin", "list.csv")
    assert len(read_manifest(tmp_path, glob="*.bin")) == 1
    with pytest.raises(UsageError, match="--glob: is for folders"):
        read_manifest(tmp_path / "list.csv", glob="*.mp4")
    with pytest.raises(UsageError, match="--root: is for lists"):
        read_manifest(tmp_path, root=tmp_path)
    with pytest.raises(UsageError, match="without lists of hmdb51"):
        read_manifest(tmp_path, dialect="hmdb51")


def test_folders_that_are_splits_hold_the_labels(tmp_path):
    make(tmp_path, "train/run/a.mp4", "train/jump/b.mp4", "test/wave/c.mp4")
    (tmp_path / "test/jump").mkdir()
    manifest = read_manifest(tmp_path)
    assert manifest.labels == ("jump", "run", "wave")
    assert manifest.splits == ("test", "train")
    assert manifest.empty == ()
    assert read_manifest(tmp_path, split="train").labels == ("jump", "run")


def test_a_circular_link_beside_folders_changes_nothing(tmp_path):
    make(tmp_path, "train/run/a.mp4", "test/wave/c.mp4")
    (tmp_path / "loop").symlink_to("loop")
    assert read_manifest(tmp_path).labels == ("run", "wave")


def test_folders_called_as_splits_may_be_labels(tmp_path):
    make(tmp_path, "train/a.mp4", "test/b.mp4")
    assert read_manifest(tmp_path).labels == ("test", "train")


def test_spellings_of_one_label_as_folders_are_an_error(tmp_path):
    make(tmp_path, "sit_down/a.mp4", "sit down/b.mp4")
    with pytest.raises(ManifestError, match=r'"sit_down" reads the same as "sit down"'):
        read_manifest(tmp_path)


@given(content=st.text(max_size=60) | st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_any_content_is_a_list_or_one_of_our_errors(tmp_path, content):
    path = tmp_path / "any"
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    path.write_bytes(data)
    try:
        manifest = read_manifest(path)
    except InputError:
        return
    assert all(ref.path and ref.label for ref in manifest.refs)


def test_folders_that_sort_by_something_else_than_labels_are_said(tmp_path, caplog):
    make(tmp_path / "a", "day1/run/1.mp4", "day1/jump/1.mp4", "day2/run/1.mp4")
    assert read_manifest(tmp_path / "a").labels == ("day1", "day2")
    assert 'each has the same folders in it ("run")' in caplog.text
    caplog.clear()
    make(tmp_path / "b", "run/day1/1.mp4", "jump/1.mp4", "walk/day1/1.mp4")
    read_manifest(tmp_path / "b")
    assert caplog.text == ""
