import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.errors import UsageError
from actcli.render.exports.folder import safe_parts
from actcli.render.files import choose_format, open_writer, sidecar_path


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")
                  if path.is_file())  # fmt: skip


def write(folder, results, format="srt"):
    writer = open_writer(format, path=f"{folder}/", run={"fingerprint": "f1"})
    for result in results:
        writer.write(result)
    writer.finish()
    writer.close()
    return files(folder)


@pytest.mark.parametrize("format", ["srt", "vtt", "eaf"])
def test_each_video_has_its_file(tmp_path, window, format):
    results = [window(0, 4), window(4, 8), window(0, 4, "jump", path="b.mp4")]
    assert write(tmp_path / "out", results, format) == [f"b.{format}", f"film.{format}"]
    assert "jump" not in (tmp_path / "out" / f"film.{format}").read_text()
    assert "jump" in (tmp_path / "out" / f"b.{format}").read_text()


def test_a_name_that_is_taken_goes_by_its_folder_then_by_number(tmp_path, window):
    names = ["a/x.mp4", "b/x.mp4", "x.avi", "b/x.avi", "B/X.mp4"]
    found = write(tmp_path, [window(0, 4, path=name) for name in names])
    assert found == sorted(["x.srt", "b/x.srt", "x-2.srt", "x-3.srt", "X-4.srt"])


def test_a_video_from_its_start_again_has_another_file(tmp_path, window):
    results = [window(0, 4, path="a/x.mp4"), window(4, 8, path="a/x.mp4")] * 2
    assert write(tmp_path, results) == ["x-2.srt", "x.srt"]


def test_a_video_that_failed_has_no_file(tmp_path, window, failure):
    assert write(tmp_path / "out", [failure(), window(0, 4), failure("c.mp4")]) == ["film.srt"]
    assert write(tmp_path / "none", [failure()]) == []
    assert (tmp_path / "none").is_dir()


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("./\\"), min_size=1))
def test_no_name_leads_out_of_the_folder(id):
    parts = safe_parts(id)
    path = os.path.normpath(os.path.join("/out", *parts) + ".srt")
    assert path.startswith("/out/")
    assert all(len(os.fsencode(part)) <= 200 and "\0" not in part for part in parts)


@pytest.mark.parametrize("id", ["../../x.mp4", "/etc/x.mp4", "C:\\films\\x.mp4", "..\\x.mp4",
                                "https://host/x.mp4?token=../..", "x"])  # fmt: skip
def test_files_are_named_after_the_video_alone(tmp_path, window, id):
    assert write(tmp_path / "out", [window(0, 4, id=id)]) == ["x.srt"]
    assert files(tmp_path) == ["out/x.srt"]


@pytest.mark.parametrize("id", ["...", "/", "..", "\n", "a" * 300 + ".mp4", "\udcff.mp4", ".mp4"])
def test_any_name_makes_a_file(tmp_path, window, id):
    assert len(write(tmp_path / "out", [window(0, 4, id=id)])) == 1


def test_a_link_does_not_lead_out_of_the_folder(tmp_path, window):
    (tmp_path / "precious.srt").write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / "film.srt").symlink_to(tmp_path / "precious.srt")
    (out / "b").symlink_to(tmp_path)
    results = [window(0, 4), window(0, 4, path="b/film.mp4")]
    write(out, results)
    assert (tmp_path / "precious.srt").read_text() == "precious"
    assert files(tmp_path) == sorted(
        ["precious.srt", "out/film.srt", "out/film-2.srt", "out/film-3.srt"]
    )


def test_a_file_in_the_way_of_a_folder_is_left_alone(tmp_path, window):
    (tmp_path / "b").write_text("precious")
    write(tmp_path, [window(0, 4, path="x.mp4"), window(0, 4, path="b/x.mp4")])
    assert files(tmp_path) == ["b", "x-2.srt", "x.srt"]
    assert (tmp_path / "b").read_text() == "precious"


def test_what_was_found_is_complete_after_an_interrupted_run(tmp_path, window):
    writer = open_writer("eaf", path=tmp_path)
    writer.write(window(0, 4))
    writer.close()
    assert (tmp_path / "film.eaf").read_text().endswith("</ANNOTATION_DOCUMENT>\n")


def test_suffixes_name_the_formats_of_one_video():
    for suffix in ("srt", "vtt", "eaf"):
        assert choose_format(path=f"film.{suffix.upper()}") == suffix
    assert choose_format("label-studio", path="tasks.json") == "label-studio"


def test_a_folder_needs_a_format_of_one_file_a_video(tmp_path):
    with pytest.raises(UsageError, match="folder") as caught:
        choose_format(path=tmp_path)
    assert caught.value.hint == f"-o {tmp_path} --format srt"
    with pytest.raises(UsageError, match="one file for all"):
        open_writer("fiftyone", path=tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        open_writer("srt", path=f"{tmp_path}/no/out/")


def test_a_single_file_has_the_record_of_its_run_beside_it(tmp_path, window):
    writer = open_writer("srt", path=tmp_path / "film.srt", run={"fingerprint": "f1"})
    writer.write(window(0, 4))
    writer.close()
    assert "f1" in sidecar_path(tmp_path / "film.srt").read_text()
