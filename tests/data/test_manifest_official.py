"""Lists as datasets come with them: each row finds its video, its label and its split."""

import json
import os

import pytest

from actcli.data.manifest import read_manifest
from actcli.errors import InputError, ManifestError, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Paths come out as a user would type them in this folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, content):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w", encoding="utf-8") as file:
        file.write(content)
    return name


def rows(manifest):
    """path, label, split of each video"""
    return [
        (ref.path, ref.label, split)
        for ref, split in zip(manifest.refs, manifest.ref_splits, strict=True)
    ]


HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"
KINETICS = HEADER + "riding a bike,-VtLx_mcPds,12,22,validate,0\n"


@pytest.mark.parametrize(
    "path",
    [
        "riding a bike/-VtLx_mcPds_000012_000022.mp4",
        "riding_a_bike/-VtLx_mcPds_000012_000022.mkv",
        "-VtLx_mcPds_000012_000022.webm",
        "validate/riding a bike/-VtLx_mcPds_000012_000022.mp4",
        "val/riding_a_bike/-VtLx_mcPds_000012_000022.MP4",
        "validate/-VtLx_mcPds_000012_000022.mp4",
    ],
)
def test_a_cut_video_of_kinetics_is_found_in_every_usual_place(path):
    write("lists/val.csv", KINETICS)
    write(f"videos/{path}", "x")
    manifest = read_manifest("lists/val.csv", root="videos")
    assert manifest.dialect == "kinetics"
    assert rows(manifest) == [(os.path.join("videos", path), "riding a bike", "validate")]
    assert (manifest.refs[0].start_s, manifest.refs[0].end_s) == (None, None)


@pytest.mark.parametrize("folder", ["", "riding_a_bike/", "validate/riding a bike/"])
def test_a_whole_video_of_kinetics_is_trimmed(folder):
    write("val.csv", KINETICS)
    write(f"{folder}-VtLx_mcPds.mp4", "x")
    (ref,) = read_manifest("val.csv").refs
    assert (ref.path, ref.start_s, ref.end_s) == (f"{folder}-VtLx_mcPds.mp4", 12.0, 22.0)


def test_a_cut_video_is_taken_before_a_whole_one_and_mp4_before_others():
    write("val.csv", KINETICS)
    for name in ("-VtLx_mcPds.mp4", *(f"-VtLx_mcPds_000012_000022.{s}" for s in ("avi", "mp4"))):
        write(name, "x")
    write("-VtLx_mcPds_000012_000022.part", "x")
    assert read_manifest("val.csv").refs[0].path == "-VtLx_mcPds_000012_000022.mp4"


def test_a_missing_video_of_kinetics_is_listed_in_the_first_usual_place():
    write("val.csv", KINETICS)
    path = os.path.join("riding a bike", "-VtLx_mcPds_000012_000022.mp4")
    assert rows(read_manifest("val.csv")) == [(path, "riding a bike", "validate")]


def test_kinetics_is_chosen_by_split_and_needs_no_copyright_column():
    write(
        "all.csv", "label,youtube_id,time_start,time_end,split\nrun,a,0,10,train\nsit,b,0,10,val\n"
    )
    manifest = read_manifest("all.csv", split="validation")
    assert manifest.labels == ("sit",)
    assert manifest.splits == ("train", "val")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("run,a,10,10,train,0", r'val.csv:2: bad "time_end" \(got 10.0, expected more than'),
        ("run,a,x,10,train,0", r'val.csv:2: bad "time_start" \(got "x"'),
        ("run,a,0.5,10,train,0", r'val.csv:2: bad "time_start" \(got 0.5, expected whole seconds'),
        ("run,a,0,,train,0", r'val.csv:2: bad "time_end" \(got null, expected whole seconds'),
        ("run,,0,10,train,0", r'val.csv:2: bad "youtube_id"'),
        (",a,0,10,train,0", r'val.csv:2: bad "label"'),
        ("run,a,0,10", "val.csv:2: wrong number of cells"),
    ],
)
def test_a_bad_row_of_kinetics_is_named_with_its_column(row, message):
    with pytest.raises(ManifestError, match=message):
        read_manifest(write("val.csv", f"{HEADER}{row}\n"))


def test_a_list_of_kinetics_that_has_paths_needs_no_search():
    write("val.csv", HEADER.replace("label", "label,path") + "run,x/y.mp4,a,0,10,val,0\n")
    assert rows(read_manifest("val.csv")) == [("x/y.mp4", "run", "val")]


def test_whole_seconds_may_be_written_with_a_point():
    write("val.csv", f"{HEADER}run,a,1.0,11.0,,0\n")
    assert read_manifest("val.csv").refs[0].path == os.path.join("run", "a_000001_000011.mp4")


def test_the_unlabelled_test_list_of_kinetics_lacks_its_label():
    with pytest.raises(ManifestError, match=r'no column for the label .*expected "label"'):
        read_manifest(write("test.csv", "youtube_id,time_start,time_end,split\na,0,10,test\n"))


UCF_TRAIN = (
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\n"
    "HandstandPushups/v_HandStandPushups_g08_c01.avi 37\n"
)
UCF_TEST = "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\n"
CLASS_IND = "1 ApplyEyeMakeup\n37 HandstandPushups\n"


def test_labels_of_ucf_are_the_folders_and_numbers_are_checked():
    write("lists/trainlist01.txt", UCF_TRAIN)
    expected = [
        (os.path.join("UCF-101", path), path.split("/")[0], "train")
        for path in ("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
                     "HandstandPushups/v_HandStandPushups_g08_c01.avi")
    ]  # fmt: skip
    assert rows(read_manifest("lists/trainlist01.txt", root="UCF-101")) == expected
    write("lists/classInd.txt", CLASS_IND)
    assert rows(read_manifest("lists/trainlist01.txt", root="UCF-101")) == expected
    write("lists/classInd.txt", CLASS_IND.replace("37", "38").replace("1 ", "37 "))
    with pytest.raises(ManifestError, match=r'trainlist01.txt:2: .*which is "ApplyEyeMakeup"'):
        read_manifest("lists/trainlist01.txt")


def test_the_test_list_of_ucf_has_no_numbers():
    manifest = read_manifest(write("testlist02.txt", UCF_TEST))
    assert manifest.dialect == "ucf101"
    assert [(label, split) for _, label, split in rows(manifest)] == [("ApplyEyeMakeup", "test")]


def test_a_line_that_is_not_of_ucf_is_an_error():
    with pytest.raises(ManifestError, match=r'trainlist01.txt:3: bad line \(got "x.avi 3"'):
        read_manifest(write("trainlist01.txt", UCF_TRAIN + "x.avi 3\n"))


def test_the_folder_of_ucf_lists_is_read_by_split_and_number(caplog):
    for number in (1, 2):
        write(f"lists/trainlist0{number}.txt", UCF_TRAIN)
        write(f"lists/testlist0{number}.txt", UCF_TEST.replace("_g01", f"_g0{number}"))
    write("lists/classInd.txt", CLASS_IND)
    os.mkdir("UCF-101")
    (row,) = rows(read_manifest("lists", root="UCF-101", split="test2"))
    assert row[0].endswith("v_ApplyEyeMakeup_g02_c01.avi")
    assert caplog.text == ""
    manifest = read_manifest("lists", root="UCF-101")
    assert (len(manifest), manifest.splits) == (3, ("test", "train"))
    assert "split 1 of 1, 2 (--split train2 chooses another)" in caplog.text
    with pytest.raises(UsageError, match=r"no split 3 \(got lists of 1, 2\)"):
        read_manifest("lists", split="train3")


def test_a_single_list_is_of_one_split():
    write("trainlist01.txt", UCF_TRAIN)
    assert len(read_manifest("trainlist01.txt", split="train1")) == 2
    with pytest.raises(UsageError, match=r"is of split 1 \(got --split …2\)"):
        read_manifest("trainlist01.txt", split="train2")
    with pytest.raises(UsageError, match=r'--split test: not in trainlist01.txt \(got "train"\)'):
        read_manifest("trainlist01.txt", split="test")


HMDB = {
    "brush_hair": "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \nb.avi 0 \nc.avi 2 \n",
    "wave": "jenny_~_wave(1)!.avi 2 \nd e.avi 1\n",
}


def write_hmdb():
    for number in (1, 3):
        for label, content in HMDB.items():
            text = content if number == 1 else content.replace(" 1", " 9").replace(" 2", " 1")
            write(f"splits/{label}_test_split{number}.txt", text.replace(" 9", " 2"))


def test_the_folder_of_hmdb_lists_is_read_by_split_and_number(caplog):
    write_hmdb()
    os.mkdir("videos")
    manifest = read_manifest("splits", root="videos", split="train1")
    assert manifest.dialect == "hmdb51"
    top = os.path.join("videos", "brush_hair", "April_09_brush_hair_u_nm_np1_ba_goo_0.avi")
    assert rows(manifest) == [
        (top, "brush_hair", "train"), (os.path.join("videos", "wave", "d e.avi"), "wave", "train")
    ]  # fmt: skip
    third = read_manifest("splits", root="videos", split="test3")
    assert {ref.path for ref in third.refs} == {ref.path for ref in manifest.refs}
    assert caplog.text == ""
    assert len(read_manifest("splits", split="test")) == 2
    assert "split 1 of 1, 3 (--split train3 chooses another)" in caplog.text


def test_a_single_list_of_hmdb_has_its_label_in_its_name():
    write_hmdb()
    manifest = read_manifest("splits/wave_test_split1.txt", root="videos")
    assert manifest.labels == ("wave",)
    assert manifest.splits == ("test", "train")
    with pytest.raises(ManifestError, match="which gives the label"):
        read_manifest(write("wave.txt", HMDB["wave"]), dialect="hmdb51")
    with pytest.raises(ManifestError, match=r'split1.txt:3: bad line \(got "x.avi 3"'):
        read_manifest(write("wave_test_split1.txt", HMDB["wave"] + "x.avi 3\n"))


def test_unused_videos_of_hmdb_are_left_out():
    write_hmdb()
    manifest = read_manifest("splits/brush_hair_test_split1.txt")
    assert [os.path.basename(ref.path)[0] for ref in manifest.refs] == ["A", "c"]


def test_a_list_of_hmdb_under_another_name_has_numbers_for_labels():
    with pytest.raises(ManifestError, match="labels are numbers"):
        read_manifest(write("wave.txt", "a.avi 1\nb.avi 2\n"))


SSV2 = [
    {"id": "78687", "label": "holding potato next to a bottle", "placeholders": ["potato"],
     "template": "Holding [something] next to [something]"},
    {"id": 42, "label": "pushing a cup", "template": "Pushing [something] from left to right"},
]  # fmt: skip


@pytest.mark.parametrize("indent", [None, 1])
def test_labels_of_ssv2_are_templates_without_brackets(indent):
    write("something-something-v2-validation.json", json.dumps(SSV2, indent=indent))
    write("videos/42.mp4", "x")
    manifest = read_manifest("something-something-v2-validation.json", root="videos", split="val")
    assert manifest.dialect == "ssv2"
    assert rows(manifest) == [
        (os.path.join("videos", "78687.webm"), "Holding something next to something", "validation"),
        (os.path.join("videos", "42.mp4"), "Pushing something from left to right", "validation"),
    ]


def test_a_list_of_ssv2_without_a_split_in_its_name_has_none():
    assert read_manifest(write("mine.json", json.dumps(SSV2))).splits == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[{"id": "1420"}, {"id": "2"}]',
            r'json: item 1: no "template".*test lists have none',
        ),
        ('[{"template": "Holding [something]"}]', r'test.json: item 1: no "id"'),
        ('["a.mp4"]', r'test.json: item 1: not an object \(got "a.mp4"'),
        ('[{"path": "a.mp4", "label": "run"}]', "a JSON list of paths"),
        ('[{"id": "1",', "test.json: not JSON"),
        ("[]", "test.json: no videos in it"),
        (json.dumps({"Holding something": "0"}), "a map of 1 names to numbers"),
    ],
)
def test_a_bad_list_of_ssv2_is_named_with_its_item(content, message):
    with pytest.raises(ManifestError, match=message):
        read_manifest(write("test.json", content))


FEW_SHOT = (
    "test0//videos/cartwheel/(Rad)Schlag_die_Bank!_cartwheel_f_cm_np1_le_med_0.avi\n"
    "test1//videos/eat/a b.avi\n"
)


def test_few_shot_lists_have_paths_and_numbers_that_need_names():
    write("lists/test_few_shot.txt", FEW_SHOT)
    manifest = read_manifest("lists/test_few_shot.txt", root="hmdb", names=["cartwheel", "eat"])
    assert manifest.dialect == "few-shot"
    assert [row[1:] for row in rows(manifest)] == [("cartwheel", "test"), ("eat", "test")]
    assert manifest.refs[1].path == os.path.join("hmdb", "videos/eat/a b.avi")
    with pytest.raises(ManifestError, match=r"lists/test_few_shot.txt:1: labels are numbers"):
        read_manifest("lists/test_few_shot.txt")
    with pytest.raises(ManifestError, match=r":2: bad label \(got 1, expected .* 0 to 0"):
        read_manifest("lists/test_few_shot.txt", names=["cartwheel"])


def test_few_shot_lists_of_ids_find_their_files():
    write("train.txt", "train12/78687\ntrain0/42\n")
    write("42.webm", "x")
    manifest = read_manifest("train.txt", names=[f"class {n}" for n in range(13)], split="train")
    assert rows(manifest) == [
        ("78687.mp4", "class 12", "train"), ("42.webm", "class 0", "train")
    ]  # fmt: skip


def test_a_line_that_is_not_of_a_few_shot_list_is_an_error():
    with pytest.raises(ManifestError, match=r'train.txt:2: bad line \(got "0/42"'):
        read_manifest(write("train.txt", "train12/78687\n0/42\n"))


def test_a_folder_named_as_a_few_shot_class_may_hold_labelled_videos():
    assert read_manifest(write("list.txt", "train0/a.mp4 run\n")).dialect == "text"


def test_a_list_in_a_folder_that_cannot_be_read_is_an_error():
    os.makedirs("splits/wave_test_split1.txt")
    with pytest.raises(InputError, match="is a folder"):
        read_manifest("splits")
