"""Five hundred broken videos end as frames or as a named error; twenty thousand with -m slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from actcli.errors import VIDEO_ERROR_KINDS
from actcli.types import Clip, Failure, VideoRef
from actcli.video.bounds import Bounds
from actcli.video.loader import IDLE, Loader
from tests.hostile.mutants import Whole, drawn_files, found_files, mutant
from tests.hostile.reading import ADDRESS, LIMITS, AnyReader, local_path, way_of

ODD = Path(__file__).resolve().parents[3] / "shared" / "data" / "odd"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Whole]:
    """Drawn files, and the odd ones where they are."""
    drawn = list(drawn_files(tmp_path_factory.mktemp("drawn")))
    return drawn + (list(found_files(ODD, 120_000)) if ODD.is_dir() else [])


def written(seeds: range, corpus: list[Whole], folder: Path) -> Iterator[VideoRef]:
    for seed in seeds:
        made = mutant(seed, corpus)
        path = folder / str(seed)
        path.write_bytes(made.content)
        way = way_of(seed)
        yield VideoRef(ADDRESS * (way == "remote") + str(path), id=f"{way}:{made.name}")


def read_all(seeds: range, corpus: list[Whole], folder: Path) -> Counter[str]:
    """How the mutants of some seeds end; fails where one ends as none should."""
    ended = Counter[str]()
    bounds = Bounds.of(LIMITS, 1 << 20)
    with Loader(AnyReader(), workers=2, bounds=bounds, window=16) as loader:
        for item in loader.load(written(seeds, corpus, folder)):
            if item is IDLE:
                continue
            assert isinstance(item, Clip | Failure)
            local_path(item.ref).unlink()
            if isinstance(item, Failure):
                error = item.error
                assert error.kind in VIDEO_ERROR_KINDS
                assert error.kind not in ("crashed", "timeout"), (item.ref.id, error.message)
                assert str(folder) not in error.message
                ended[error.kind] += 1
            else:
                ended["frames"] += 1
    return ended


def test_a_mutant_is_made_by_its_seed_alone(corpus: list[Whole]) -> None:
    made = [mutant(seed, corpus) for seed in range(60)]
    assert made == [mutant(seed, corpus) for seed in range(60)]
    by_name = {whole.name: whole.content for whole in corpus}
    changed = sum(m.content != by_name[m.name.split("-")[1]] for m in made)
    assert changed > 50


def test_every_mutant_ends_as_frames_or_a_named_error(corpus: list[Whole], tmp_path: Path) -> None:
    ended = read_all(range(500), corpus, tmp_path)
    assert ended.total() == 500
    assert min(ended["frames"], ended["unreadable"], ended["not_video"]) > 5, ended


@pytest.mark.slow
def test_twenty_thousand_mutants(corpus: list[Whole], tmp_path: Path) -> None:
    assert read_all(range(500, 20_500), corpus, tmp_path).total() == 20_000
