"""Sorting: which clip goes where, by what a classifier says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actcli.data.labels import LabelSet
from actcli.data.placing import Action, Placer, SortedClip
from actcli.data.sort_journal import Journal
from actcli.errors import UsageError, VideoError
from actcli.paths import TarMember
from actcli.tasks.sorting import Sorting, SortRules, sortable
from actcli.types import Failure, Prediction, ScoredLabel, VideoRef


class ByName:
    """Says what the name of a file says: "run-0.9.mp4"; others can't be read."""

    labels = LabelSet(("run", "pick up/drop"))

    def stream(self, refs: Iterable[VideoRef]) -> Iterator[Prediction | Failure]:
        for ref in refs:
            label, _, score = Path(ref.path).stem.partition("-")
            if label not in ("run", "pick"):
                yield Failure(ref, VideoError("not_video", "not a video"))
                continue
            name = "run" if label == "run" else "pick up/drop"
            ranked = (ScoredLabel(name, float(score)),)
            yield Prediction(ref, ranked, "softmax", "clip", "fake", 0.0, 1.0, (0.5,))


def sort(
    folder: Path, refs: Iterable[VideoRef], rules: SortRules, action: Action = "copy"
) -> list[SortedClip]:
    with Journal(str(folder / "out")) as journal:
        placer = Placer(str(folder / "out"), action, journal)
        return list(Sorting(ByName(), placer, rules).stream(refs))


def make(folder: Path, *names: str) -> list[VideoRef]:
    (folder / "in").mkdir(exist_ok=True)
    for name in names:
        (folder / "in" / name).write_text(name)
    return [VideoRef(str(folder / "in" / name)) for name in names]


def test_clips_go_to_the_folders_of_their_labels(tmp_path: Path) -> None:
    done = sort(tmp_path, make(tmp_path, "run-0.9.mp4", "pick-0.8.mp4"), SortRules())
    assert [clip.state for clip in done] == ["placed", "placed"]
    assert (tmp_path / "out/run/run-0.9.mp4").read_text() == "run-0.9.mp4"
    assert (tmp_path / "out/pick up-drop/pick-0.8.mp4").exists()


def test_unsure_clips_stay_or_go_to_a_folder_of_their_own(tmp_path: Path) -> None:
    refs = make(tmp_path, "run-0.4.mp4")
    stay = sort(tmp_path, refs, SortRules(0.5))
    assert [(clip.state, clip.to) for clip in stay] == [("unsure", None)]
    sort(tmp_path, refs, SortRules(0.5, "unsure"), "move")
    assert (tmp_path / "out/unsure/run-0.4.mp4").exists()


def test_a_clip_that_shows_none_of_the_labels_is_unsure_whatever_its_score(tmp_path: Path) -> None:
    class Abstaining(ByName):
        def stream(self, refs: Iterable[VideoRef]) -> Iterator[Prediction | Failure]:
            for result in super().stream(refs):
                assert isinstance(result, Prediction)
                yield replace(result, abstained=True)

    sorting = Sorting(Abstaining(), Placer(str(tmp_path / "out"), "copy"), SortRules())
    assert [clip.state for clip in sorting.stream(make(tmp_path, "run-0.9.mp4"))] == ["unsure"]


def test_a_label_called_as_the_folder_of_unsure_clips_gets_another_one(tmp_path: Path) -> None:
    sorting = Sorting(ByName(), Placer(str(tmp_path), "copy"), SortRules(0.5, "run"))
    assert sorting.folders["run"].startswith("run ~")
    assert sorting.all_folders[-1] == "run"


def test_what_cannot_be_sorted_stays_and_says_why(tmp_path: Path) -> None:
    refs = [
        *make(tmp_path, "bad.mp4"),
        VideoRef(TarMember("a.tar", "run-0.9.mp4", 0, 1)),
        VideoRef("run-0.9.mp4", start_s=1.0),
        VideoRef(str(tmp_path / "run-0.9.mp4")),
    ]
    done = sort(tmp_path, refs, SortRules())
    assert {clip.state for clip in done} == {"failed"}
    assert [str(clip.problem)[:9] for clip in done] == [
        "not a vid", "is not a ", "is a part", "No such f"
    ]  # fmt: skip


def test_a_file_behind_a_link_is_not_moved(tmp_path: Path) -> None:
    [ref] = make(tmp_path, "run-0.9.mp4")
    (tmp_path / "given").mkdir()
    link = tmp_path / "given/run-0.9.mp4"
    link.symlink_to(ref.path)
    rules = SortRules(sources=(str(link.parent),))
    [done] = sort(tmp_path, [VideoRef(str(link))], rules, "move")
    assert (done.state, link.is_symlink(), Path(ref.path).exists()) == ("failed", True, True)


def test_what_is_below_the_output_folder_is_not_sorted_again(tmp_path: Path) -> None:
    refs = make(tmp_path, "run-0.9.mp4", "run-0.9.mp4")
    inside = VideoRef(str(tmp_path / "in/out/run/x.mp4"))
    given = [str(tmp_path / "in")]
    left = list(sortable([*refs, inside], str(tmp_path / "in/out"), given, ["run"]))
    assert left == refs[:1]


def test_a_folder_can_be_sorted_into_itself(tmp_path: Path) -> None:
    refs = make(tmp_path, "run-0.9.mp4")
    done = VideoRef(str(tmp_path / "in/run/x.mp4"))
    other = VideoRef(str(tmp_path / "in/other/x.mp4"))
    home = str(tmp_path / "in")
    assert list(sortable([*refs, done, other], home, [home], ["run"])) == [refs[0], other]


@pytest.mark.parametrize("given", [{"min_score": 1.5}, {"unsure": "a/b"}, {"unsure": ".."}])
def test_rules_that_make_no_sense_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        SortRules(**given)  # type: ignore[arg-type]
