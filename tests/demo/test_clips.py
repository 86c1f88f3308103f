"""The demo on disk: layout, manifest, seeds and decodable files."""

import csv
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from actcli.demo.clips import (
    MANIFEST_COLUMNS,
    SUPPORT_PER_CLASS,
    clip_seed,
    count_demo,
    draw_clip,
    write_clip,
    write_demo,
)
from actcli.demo.figures import SINGLES, demo_labels


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo") / "pairs"
    return directory, list(write_demo(directory, which="pairs", per_class=1, seed=3))


def rows_of(directory):
    with (directory / "manifest.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames) == MANIFEST_COLUMNS
        return list(reader)


def test_each_label_has_a_folder_in_both_splits(pairs):
    directory, paths = pairs
    assert len(paths) == count_demo("pairs", 1) == 10 * (SUPPORT_PER_CLASS + 1)
    for split, count in (("support", 5), ("query", 1)):
        folders = sorted((directory / split).iterdir())
        assert [folder.name for folder in folders] == sorted(demo_labels("pairs"))
        assert all(len(list(folder.glob("*.mp4"))) == count for folder in folders)


def test_the_label_list_names_the_labels_in_order(pairs):
    lines = (pairs[0] / "labels.txt").read_text().splitlines()
    assert tuple(lines) == demo_labels("pairs")


def test_the_manifest_lists_every_clip(pairs):
    directory, paths = pairs
    rows = rows_of(directory)
    assert [directory / row["path"] for row in rows] == paths
    assert all("\\" not in row["path"] for row in rows)
    for row in rows:
        split, label, _ = row["path"].split("/")
        assert (split, label) == (row["split"], row["label"])


def test_the_manifest_marks_the_reversed_member_of_a_pair(pairs):
    rows = rows_of(pairs[0])
    found = {(row["label"], row["pair"], row["reversed"]) for row in rows}
    assert ("sit down", "sit", "0") in found
    assert ("stand up", "sit", "1") in found
    assert len(found) == 10


def test_nothing_but_the_demo_is_left_in_the_folder(pairs):
    directory, paths = pairs
    files = {path for path in directory.rglob("*") if path.is_file()}
    assert files == {*paths, directory / "labels.txt", directory / "manifest.csv"}


def test_clips_decode_to_the_frames_that_were_drawn(pairs):
    directory, _ = pairs
    row = rows_of(directory)[-1]
    drawn = draw_clip(row["label"], int(row["seed"]))
    decoded = decode(directory / row["path"])
    assert decoded.shape == drawn.shape
    assert np.abs(decoded.astype(float) - drawn).mean() < 8.0


def test_clips_are_short_and_small(pairs):
    for path in pairs[1]:
        assert path.stat().st_size < 100_000
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height, stream.codec_context.name) == (320, 240, "h264")
            assert 1.6 <= float(stream.duration * stream.time_base) <= 3.0
            assert stream.average_rate == 15


def test_the_default_set_has_210_clips():
    assert count_demo() == 210
    assert count_demo("all") == 480
    assert count_demo(per_class=0) == 14 * SUPPORT_PER_CLASS


def test_writing_is_lazy_and_yields_complete_files(tmp_path):
    paths = write_demo(tmp_path / "demo", seed=1)
    assert not (tmp_path / "demo").exists()
    first = next(paths)
    assert first.parent == tmp_path / "demo" / "support" / SINGLES[0]
    assert len(decode(first)) >= 24
    paths.close()


def test_no_label_of_the_single_set_belongs_to_a_pair(tmp_path):
    paths = write_demo(tmp_path, per_class=0)
    next(paths)
    assert (tmp_path / "labels.txt").read_text() == "".join(f"{x}\n" for x in SINGLES)


def test_the_same_seed_writes_the_same_file(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, "jump", 12)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_failed_clip_leaves_no_file(tmp_path):
    with pytest.raises(KeyError):
        write_clip(tmp_path / "x.mp4", "no such action", 1)
    assert not list(tmp_path.iterdir())


def test_no_two_clips_share_a_seed():
    seeds = [
        clip_seed(seed, label, split, index)
        for seed in (0, 1, 7, 2**40)
        for label in demo_labels("all")
        for split in ("support", "query")
        for index in range(30)
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_clip_seeds_are_the_same_in_another_process():
    code = "from actcli.demo.clips import clip_seed; print(clip_seed(5, 'run', 'query', 2))"
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert int(run.stdout) == clip_seed(5, "run", "query", 2)


def test_drawing_needs_no_torch():
    code = "import sys, actcli.demo.clips; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=root).returncode == 0
