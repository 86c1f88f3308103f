"""Official lists: found where people have them, refused where they are not what was published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actcli.data.class_lists import read_classes, read_draws
from actcli.data.datasets import DATASETS, find_dataset, read_dataset
from actcli.data.few_shot_lists import read_few_shot_split
from actcli.data.labels import LabelSet
from actcli.data.splits import read_split
from actcli.data.whole_dataset import read_whole
from actcli.errors import ActcliError, InputError, ManifestError, UsageError


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def ucf(root: Path, count: int = 3783, *, end: str = "\n") -> Path:
    """A test list of the right number of classes and as many rows as asked for."""
    names = [name.title().replace(" ", "") for name in LabelSet.bundled("ucf101")]
    rows = [f"{names[i % 101]}/v_{names[i % 101]}_g{i // 101:02d}_c01.avi" for i in range(count)]
    write(root / "ucfTrainTestlist/testlist01.txt", end.join(rows) + end)
    (root / "UCF-101").mkdir()
    return root


@pytest.mark.parametrize("name", ["UCF101", "ucf-101", "ucf", "HMDB_51", "k400", "SSv2"])
def test_datasets_are_found_in_any_usual_spelling(name: str) -> None:
    assert find_dataset(name) is not None
    assert find_dataset("ucf102") is None


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_as_published_is_taken(tmp_path: Path, end: str) -> None:
    found = read_dataset(DATASETS["ucf101"], str(ucf(tmp_path, end=end)), "test1")
    assert (len(found.refs), len(found.labels)) == (3783, 101)
    assert found.refs[0].label == "apply eye makeup"
    assert found.refs[0].path.endswith("UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g00_c01.avi")


def test_a_list_of_another_length_is_refused_with_both_numbers(tmp_path: Path) -> None:
    root = str(ucf(tmp_path, 3782))
    with pytest.raises(ManifestError, match=r"test1 \(got 3,782 videos, expected 3,783\)"):
        read_dataset(DATASETS["ucf101"], root, "test1")
    assert len(read_dataset(DATASETS["ucf101"], root, "test1", exact=False).refs) == 3782


def test_the_published_few_shot_lists_are_taken_in_their_form(tmp_path: Path) -> None:
    classes = read_split("kinetics100").test
    rows = [f"test{c}//val_256/{one.folder}/{i}.mp4" for c, one in enumerate(classes)
            for i in range(100)]  # fmt: skip
    path = write(tmp_path / "lists/test_few_shot.txt", "\n".join(rows))
    given = {"lists": str(path.parent)}
    found = read_few_shot_split("kinetics100", str(tmp_path), "test", **given)
    assert (len(found.refs), found.labels.names) == (2400, tuple(one.name for one in classes))
    assert found.refs[0].label == classes[0].name
    path.write_text("\n".join(rows[:-3]))
    with pytest.raises(ManifestError, match=r"got 2,397 videos, expected 2,400"):
        read_few_shot_split("kinetics100", str(tmp_path), "test", **given)
    path.unlink()
    with pytest.raises(InputError, match=r"no list of test \(expected test_few_shot\.txt\)"):
        read_few_shot_split("kinetics100", str(tmp_path), "test", **given)


def test_classes_of_a_folder_that_are_none_of_the_dataset_are_named(tmp_path: Path) -> None:
    write(tmp_path / "val/absailing/a.mp4")
    with pytest.raises(ManifestError, match="1 labels are no classes of kinetics400") as caught:
        read_dataset(DATASETS["kinetics400"], str(tmp_path), "val")
    assert caught.value.hint == "did you mean abseiling?"


def test_ssv2_without_its_list_is_refused_and_labels_json_must_be_a_map(tmp_path: Path) -> None:
    write(tmp_path / "videos/1.webm")
    with pytest.raises(InputError, match=r"ssv2: the official list of val is not in"):
        read_dataset(DATASETS["ssv2"], str(tmp_path), "val")
    write(
        tmp_path / "validation.json", json.dumps([{"id": "1", "template": "Holding [something]"}])
    )
    write(tmp_path / "labels.json", "[1, 2]")
    with pytest.raises(ManifestError, match="not a map of names to numbers"):
        read_dataset(DATASETS["ssv2"], str(tmp_path), "val")


KNOWN = LabelSet(("ride bike", "run", "shoot ball"), source="hmdb51")


@pytest.mark.parametrize(
    "text", ["run\nride_bike\n", "id,name\n0,run\n1,ride_bike\n", "1 run\n2 RideBike\n",
             "# a comment\r\nrun\r\nride bike\r\n"],
)  # fmt: skip
def test_class_lists_are_read_in_their_usual_forms(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "base.txt", text)
    assert read_classes(str(path), KNOWN).names == ("run", "ride bike")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run\nswim\n", r'base\.txt:2: "swim" is no class of hmdb51'),
        ("run\nRun\n", r'base\.txt:2: "Run" stands there twice \(line 1\)'),
        ("id,name\n", "names no class"),
        ("", "names no class"),
    ],
)
def test_bad_class_lists_are_named_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "base.txt", text)
    with pytest.raises(ManifestError, match=said):
        read_classes(str(path), KNOWN)


def test_draws_come_in_the_natural_order_of_their_names(tmp_path: Path) -> None:
    for name in ("draw10.txt", "draw2.txt", "README.txt"):
        write(tmp_path / name, "run\n")
    assert list(read_draws(str(tmp_path), KNOWN)) == ["draw2.txt", "draw10.txt"]
    with pytest.raises(InputError, match="no lists"):
        read_draws(str(write(tmp_path / "empty/x.md").parent), KNOWN)


def test_a_whole_dataset_is_its_splits_together(tmp_path: Path) -> None:
    root = ucf(tmp_path, 202)
    with pytest.raises(InputError, match="official list of train1"):
        read_whole("ucf101", str(root))
    (root / "ucfTrainTestlist/trainlist01.txt").write_text("YoYo/v_YoYo_g99_c01.avi 101\n")
    (root / "ucfTrainTestlist/classInd.txt").write_text("101 YoYo\n")
    found = read_whole("ucf101", str(root))
    assert (len(found.refs), len(found.labels), set(found.splits)) == (203, 101, {"train", "test"})


@pytest.mark.parametrize(
    ("name", "error"), [("nothing", UsageError), ("kinetics100", InputError)]
)  # fmt: skip
def test_whole_datasets_that_are_none_are_refused(
    tmp_path: Path, name: str, error: type[ActcliError]
) -> None:
    with pytest.raises(error):
        read_whole(name, str(tmp_path / "nowhere"))
