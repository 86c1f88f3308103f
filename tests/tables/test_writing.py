"""Writers of tables: files whole or not at all, parts that outlive the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actcli.errors import ResourceError
from actcli.tables import parquet, tensor_file
from actcli.tables.reading import open_table
from actcli.tables.writing import FileWriter, FolderWriter
from tests.tables.conftest import INFO, failure, no_shape, row

pytest.importorskip("pyarrow")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_is_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("old")
    writer = FileWriter(tmp_path / "t.parquet", INFO, no_shape)
    writer.write(row("a.mp4"))
    writer._flush()
    writer.close()
    assert names_in(tmp_path) == ["t.parquet"]
    assert (tmp_path / "t.parquet").read_text() == "old"


def test_a_part_is_closed_when_it_is_large_enough(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "s", INFO, no_shape, part_bytes=1000)
    for number in range(6):
        writer.write(row(f"{number}.mp4"))
    assert names_in(tmp_path / "s") == ["part-00000.parquet", "part-00001.parquet"]
    assert open_table(str(tmp_path / "s")).num_rows == 6


def test_a_part_is_closed_when_it_is_old_enough(tmp_path: Path) -> None:
    times = iter([0.0, 0.0, 299.0, 300.0, 301.0, 302.0])
    writer = FolderWriter(tmp_path / "s", INFO, no_shape, clock=lambda: next(times))
    for number in range(3):
        assert not (tmp_path / "s").exists()
        writer.write(row(f"{number}.mp4"))
    assert open_table(str(tmp_path / "s")).num_rows == 3


def test_an_early_end_keeps_the_part_that_was_begun(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "s", INFO, no_shape)
    writer.write(row("a.mp4"))
    writer.close()
    assert open_table(str(tmp_path / "s")).num_rows == 1


def test_an_early_end_with_failures_alone_keeps_nothing(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "s", INFO, no_shape)
    writer.write(failure("a.mp4"))
    writer.close()
    assert not (tmp_path / "s").exists()


def test_parts_go_on_after_those_that_are_there(tmp_path: Path) -> None:
    for number in range(2):
        writer = FolderWriter(tmp_path, INFO, no_shape)
        writer.write(row(f"{number}.mp4"))
        writer.finish()
    assert names_in(tmp_path) == ["part-00000.parquet", "part-00001.parquet"]


def test_drafts_of_killed_runs_are_removed_once_they_are_old(tmp_path: Path) -> None:
    for name, age_s in ((".draft-1-1", 7200), (".draft-2-2", 60)):
        (tmp_path / name).write_text("half a part")
        then = (tmp_path / name).stat().st_mtime - age_s
        os.utime(tmp_path / name, (then, then))
    writer = FolderWriter(tmp_path, INFO, no_shape)
    writer.write(row("a.mp4"))
    writer.finish()
    assert names_in(tmp_path) == [".draft-2-2", "part-00000.parquet"]


KILLED = """
import os, signal, sys
from pathlib import Path
from actcli.tables.writing import FolderWriter
from tests.tables.conftest import INFO, no_shape, row
writer = FolderWriter(Path(sys.argv[1]), INFO, no_shape, part_bytes=1000)
for number in range(5):
    writer.write(row(f"{number}.mp4"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_costs_only_the_part_that_was_begun(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "s"], check=False)
    assert done.returncode == -9
    assert open_table(str(tmp_path / "s")).num_rows == 3


FULL = """
import resource, sys
from pathlib import Path
from actcli.errors import ResourceError
from actcli.tables.writing import FileWriter, FolderWriter
from tests.tables.conftest import INFO, no_shape, row
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
kind = FileWriter if sys.argv[1].endswith(".parquet") else FolderWriter
writer = kind(Path(sys.argv[1]), INFO, no_shape)
for number in range(400):
    writer.write(row(f"{number}.mp4", number))
try:
    writer.finish()
except ResourceError as error:
    writer.close()
    sys.exit(f"told: {error}")
"""


@pytest.mark.parametrize("name", ["t.parquet", "s"])
def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "s").mkdir()
    words = [sys.executable, "-c", FULL, tmp_path / name]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "told: " in done.stderr
    assert "cannot be written" in done.stderr
    assert (names_in(tmp_path), names_in(tmp_path / "s")) == (["s"], [])


def test_a_safetensors_table_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_file, "MAX_BYTES", 100)
    writer = tensor_file.TensorWriter(tmp_path / "t.safetensors", INFO, no_shape)
    writer.write(row("a.mp4"))
    writer.write(row("b.mp4"))
    with pytest.raises(ResourceError, match="no more than 2 videos") as caught:
        writer.write(row("c.mp4"))
    assert "/t/" in (caught.value.hint or "")


def test_without_pyarrow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ResourceError) as caught:
        parquet.load_pyarrow()
    assert caught.value.hint == 'pip install "actcli[parquet]"'
