import os

import pytest

from actcli.data.walk import find_videos, natural_key


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(root, **options):
    return [os.path.relpath(path, root) for path in find_videos(str(root), **options)]


def test_files_come_before_folders_and_numbers_in_their_order(tmp_path):
    make(tmp_path, "b/1.mp4", "a/2.mp4", "clip10.mp4", "Clip2.mp4", "z.mp4")
    expected = ["Clip2.mp4", "clip10.mp4", "z.mp4", "a/2.mp4", "b/1.mp4"]
    assert found(tmp_path) == [os.path.normpath(name) for name in expected]


def test_natural_order_is_total_for_names_that_differ_in_case_only():
    assert natural_key("A1") != natural_key("a1")
    assert natural_key("a2") < natural_key("a10")


def test_only_videos_are_taken_whatever_the_case_of_the_suffix(tmp_path):
    make(tmp_path, "a.MP4", "b.txt", "c.mkv", "d", "e.json", "f.GIF")
    assert found(tmp_path) == ["a.MP4", "c.mkv", "f.GIF"]


def test_typescript_is_not_mistaken_for_a_transport_stream(tmp_path):
    (tmp_path / "app.ts").write_bytes(b"import x from 'y'")
    (tmp_path / "tv.ts").write_bytes(b"\x47" * 188)
    (tmp_path / "camera.MTS").write_bytes(b"\0\0\0\0\x47rest")
    assert found(tmp_path) == ["camera.MTS", "tv.ts"]


def test_a_glob_replaces_the_suffixes(tmp_path):
    make(tmp_path, "a.mp4", "b.bin", "c/d.bin")
    assert found(tmp_path, glob="*.bin") == ["b.bin", os.path.join("c", "d.bin")]
    assert found(tmp_path, glob="c/*") == [os.path.join("c", "d.bin")]


def test_hidden_files_and_folders_are_skipped(tmp_path):
    make(tmp_path, ".a.mp4", "._b.mp4", ".git/c.mp4", "d.mp4")
    assert found(tmp_path) == ["d.mp4"]


def test_links_are_followed_once(tmp_path):
    make(tmp_path, "a/1.mp4")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(tmp_path / "a", target_is_directory=True)
    assert found(tmp_path) == [os.path.join("a", "1.mp4")]


def test_a_dangling_link_is_kept_so_that_it_fails_by_name(tmp_path):
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert found(tmp_path) == ["gone.mp4"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_named_pipes_are_skipped(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    assert found(tmp_path) == []


def test_a_folder_that_cannot_be_read_is_yielded_itself(tmp_path, caplog):
    missing = str(tmp_path / "missing")
    assert list(find_videos(missing)) == [missing]
    assert "cannot read the folder" in caplog.text


def test_a_very_deep_folder_is_walked(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "a.mp4").touch()
    assert len(list(find_videos(str(tmp_path)))) == 1
