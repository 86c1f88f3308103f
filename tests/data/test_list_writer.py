"""What is written is read back the same, or refused."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.data.list_writer import LIST_FORMATS, list_lines, write_manifest
from actcli.data.manifest import Manifest, read_manifest
from actcli.errors import ResourceError, UsageError
from actcli.types import VideoRef
from actcli.wording import same_label_key

PRINTABLE = st.characters(exclude_categories=["Cs", "Cc"])
NAMES = st.text(PRINTABLE, min_size=1, max_size=8).map(lambda name: name.replace("/", "-"))
NAMES |= st.sampled_from([" a", "a ", '"', '"a"', "{a}", "[a]", "#", "train0", "a,b;c", "path"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + ".mp4")
ODD_PATHS = st.builds("{}{}.mp4".format, PATHS, st.sampled_from(["\n", "\t", '"', "\r\n", "'"]))
LABELS = st.text(PRINTABLE, min_size=1, max_size=8).map(lambda name: " ".join(name.split()) or "x")
SECONDS = st.floats(0, 1e6, allow_subnormal=False)


@st.composite
def manifests(draw, paths=PATHS, trims=True, splits=True):
    """A manifest as `read_manifest` gives it: no path twice, labels spelled one way."""
    names = draw(st.lists(LABELS, min_size=1, max_size=4, unique_by=same_label_key))
    names = [name for name in names if not name.isdecimal()] or ["run"]
    refs = []
    for path in draw(st.lists(paths, min_size=1, max_size=5, unique_by=os.path.normpath)):
        start = draw(st.none() | SECONDS) if trims else None
        length = draw(st.none() | st.floats(0.01, 1e3)) if trims else None
        end = None if length is None else (start or 0.0) + length
        refs.append(VideoRef(path, start, end, label=draw(st.sampled_from(names))))
    chosen = st.sampled_from([None, "train", "test, hard"]) if splits else st.none()
    found = tuple(draw(chosen) for _ in refs)
    labels = tuple(dict.fromkeys(str(ref.label) for ref in refs))
    kinds = tuple(dict.fromkeys(split for split in found if split))
    return Manifest("list", "csv", tuple(refs), labels, kinds, found)


def there_and_back(manifest, format):
    """The manifest after it was written to a list and read from there; paths as they stand."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list")
        text = "".join(list_lines(manifest, format, ""))
        path.write_text(text, encoding="utf-8", newline="")
        back = read_manifest(path, root="")
    return back, text


def same(one, other):
    facts = (one.refs, one.labels, one.splits, one.ref_splits)
    return facts == (other.refs, other.labels, other.splits, other.ref_splits)


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
@given(manifest=manifests(paths=PATHS | ODD_PATHS))
def test_any_manifest_survives_tables_and_json_lines(manifest, format):
    def normal(refs):  # a path like a formula gets "./" in front
        return tuple(VideoRef(os.path.normpath(r.path), r.start_s, r.end_s, label=r.label)
                     for r in refs)  # fmt: skip

    back, _ = there_and_back(manifest, format)
    assert same(
        replace(back, refs=normal(back.refs)), replace(manifest, refs=normal(manifest.refs))
    )


@pytest.mark.parametrize("format", ["csv", "tsv"])
@pytest.mark.parametrize("name", ["=1+1.mp4", "-a.mp4", "@x.mp4", "+1.mp4"])
def test_a_path_is_no_formula_to_a_spreadsheet(name, format, caplog):
    refs = (VideoRef(name, label="=run"),)
    lines = list(list_lines(Manifest("", "csv", refs, ("=run",), (), (None,)), format, ""))
    assert lines[1].startswith(f"./{name}")
    assert 'take for formulas: "=run"' in caplog.text


@given(manifest=manifests(trims=False, splits=False))
def test_paths_and_labels_survive_lines_of_text(manifest):
    back, _ = there_and_back(manifest, "txt")
    assert [(os.path.normpath(ref.path), ref.label) for ref in back.refs] == [
        (os.path.normpath(ref.path), ref.label) for ref in manifest.refs
    ]


@given(manifest=manifests())
def test_from_csv_to_json_lines_and_back_is_the_same_file(manifest):
    _, first = there_and_back(manifest, "csv")
    json_lines, _ = there_and_back(manifest, "jsonl")
    assert "".join(list_lines(json_lines, "csv", "")) == first


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(content, name="list.csv"):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(content)
    return read_manifest(name)


def test_a_list_of_kinetics_survives_its_own_format(here, caplog):
    rows = ("label,youtube_id,time_start,time_end,split\nride bike,a,1,11,train\n"
            "sit,b_c,2,12,\nwave,d,0,10,val\n")  # fmt: skip
    for name in ("train/ride_bike/a_000001_000011.mp4", "d.mp4"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    manifest = listed(rows)
    assert [ref.end_s for ref in manifest.refs] == [None, None, 10.0]
    write_manifest(manifest, "again.csv", format="kinetics")
    assert Path("again.csv").read_text() == rows
    assert same(read_manifest("again.csv"), manifest)
    assert "--root" not in caplog.text


def test_whole_seconds_are_written_without_a_point(here):
    manifest = listed("path,label,start,end\na.mp4,run,1.0,2.5\n")
    assert list(list_lines(manifest, "csv", ""))[1] == "a.mp4,run,1,2.5\n"


def test_where_a_list_of_kinetics_finds_its_videos_is_said(here, caplog):
    rows = "path,label\ndata/run/a_000001_000011.mp4,run\n"
    write_manifest(listed(rows), "k.csv", format="kinetics")
    assert "read the new list with --root data" in caplog.text
    write_manifest(listed(rows + "other/b_000001_000011.mp4,run\n"), "l.csv", format="kinetics")
    assert 'the videos are in 2 places: "data", "other"' in caplog.text


@pytest.mark.parametrize("row", ["a.mp4,run,,", "a.mp4,run,0.5,2", "a_000001_000011.mp4,run,1,"])
def test_kinetics_cannot_hold_videos_without_times(here, row):
    with pytest.raises(UsageError, match=r"--to kinetics: a.*\.mp4 has no times"):
        write_manifest(listed(f"path,label,start,end\n{row}\n"), "k.csv", format="kinetics")
    assert not Path("k.csv").exists()


def test_lines_of_text_cannot_hold_trims(here):
    manifest = listed("path,label,end\na.mp4,run,2\n")
    with pytest.raises(UsageError, match=r"no place for trims \(got 1, first a.mp4\)") as caught:
        write_manifest(manifest, "list.txt")
    assert caught.value.hint == "--to csv"


@pytest.mark.parametrize("format", ["csv", "tsv", "txt", "kinetics"])
def test_names_that_are_not_utf8_need_json_lines(here, format):
    ref = VideoRef("a\udcff_000001_000011.mp4", label="run")
    manifest = Manifest("list", "folder", (ref,), ("run",), (), (None,))
    with pytest.raises(UsageError, match="is not UTF-8"):
        list_lines(manifest, format, "")
    assert there_and_back(manifest, "jsonl")[0].refs == (ref,)


def test_lines_of_text_cannot_hold_a_tab_in_a_path(here):
    manifest = Manifest("list", "csv", (VideoRef("a\tb.mp4", label="run"),), ("run",), (), (None,))
    with pytest.raises(UsageError, match="has a tab or a line break"):
        list_lines(manifest, "txt", "")


@pytest.mark.parametrize(
    ("content", "format", "said"),
    [
        ("path,label,seed\na,run,7\n", "csv", "not in the new list: the column seed"),
        ("path,label,split\na,run,x\nb,run,y\n", "txt", "the splits (--split NAME takes one)"),
        ('{"path": "a", "label": "run", "id": "x"}', "csv", "the ids"),
        ("path,label,split\na,run,x\n", "txt", ""),
        ('{"path": "a", "label": "run", "id": "x"}', "jsonl", ""),
    ],
)
def test_what_is_left_out_is_said(here, caplog, content, format, said):
    list(list_lines(listed(content), format, ""))
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)


def test_folders_named_by_numbers_are_said_to_need_names(here, caplog):
    for name in ("1/a.mp4", "2/b.mp4", "3/notes.txt"):
        Path("digits", name).parent.mkdir(parents=True)
        Path("digits", name).touch()
    write_manifest(read_manifest("digits"), "digits.csv")
    assert 'the labels without videos: "3"' in caplog.text
    assert 'labels such as "1" will read as numbers' in caplog.text


def test_paths_are_seen_from_the_folder_of_the_new_list(here):
    rows = f"path,label\na.mp4,run\nsub/b.mp4,run\n{here}/lists/c.mp4,run\ns3://d/e.mp4,run\n"
    manifest = listed(rows, "lists/list.csv")
    for name in ("lists/new.csv", "out/new.csv", "new.csv"):
        Path(name).parent.mkdir(exist_ok=True)
        write_manifest(manifest, name)
        back = read_manifest(name)
        assert [os.path.realpath(ref.path) for ref in back.refs[:3]] == [
            os.path.realpath(ref.path) for ref in manifest.refs[:3]
        ]
        assert back.refs[3].path == "s3://d/e.mp4"
    assert "../lists/sub/b.mp4,run" in Path("out/new.csv").read_text()
    assert "\na.mp4,run\nsub/b.mp4,run\nc.mp4,run\n" in Path("lists/new.csv").read_text()


def test_paths_lead_through_linked_folders(here):
    manifest = listed("path,label\na.mp4,run\n", "lists/list.csv")
    Path("deep/er").mkdir(parents=True)
    Path("short").symlink_to("deep/er", target_is_directory=True)
    Path("lists/a.mp4").write_text("found")
    write_manifest(manifest, "short/new.csv")
    assert Path(read_manifest("short/new.csv").refs[0].path).read_text() == "found"


def test_a_file_that_is_there_is_replaced_only_by_force(here):
    manifest = listed("path,label\na.mp4,run\n")
    Path("out.txt").write_text("precious")
    with pytest.raises(UsageError, match="exists already") as caught:
        write_manifest(manifest, "out.txt")
    assert caught.value.hint == "--force replaces it"
    assert Path("out.txt").read_text() == "precious"
    write_manifest(manifest, "out.txt", force=True)
    assert Path("out.txt").read_text() == "a.mp4\trun\n"
    assert sorted(os.listdir()) == ["list.csv", "out.txt"]


def test_a_link_that_is_replaced_stays_a_link(here):
    manifest = listed("path,label\na.mp4,run\n")
    Path("real.txt").touch()
    Path("link.txt").symlink_to("real.txt")
    write_manifest(manifest, "link.txt", force=True)
    assert Path("link.txt").is_symlink()
    assert Path("real.txt").read_text() == "a.mp4\trun\n"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.json", r'-o out.json: the suffix ".json" names no format'),
        ("nowhere/out.csv", "-o nowhere/out.csv: no folder nowhere"),
        ("folder.csv", "-o folder.csv: is no regular file"),
    ],
)
def test_an_output_that_cannot_be_is_a_usage_error(here, output, message):
    Path("folder.csv").mkdir()
    with pytest.raises(UsageError, match=message):
        write_manifest(listed("a.mp4 run"), output, force=True)


def test_an_unknown_format_names_the_close_one(here):
    with pytest.raises(UsageError, match='--to: "josnl" is unknown') as caught:
        write_manifest(listed("a.mp4 run"), "out", format="josnl")
    assert caught.value.hint == "did you mean jsonl?"
    assert LIST_FORMATS == ("csv", "tsv", "jsonl", "txt", "kinetics")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder to write nothing in")
def test_a_failed_write_is_a_resource_error(here):
    with pytest.raises(ResourceError, match=r"cannot be written"):
        write_manifest(listed("a.mp4 run"), "/proc/self/out.csv")
