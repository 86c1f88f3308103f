"""What examples are worth, in words: too few, mislabelled, the same twice, a better matcher."""

from __future__ import annotations

from typing import Any

from actcli.checkpoint_info import SupportClip
from actcli.errors import VideoError
from actcli.eval.report import SupportReport, Twins
from actcli.eval.support import Estimate, Suspect
from actcli.metrics import Share
from actcli.render.support import support_lines, support_record
from actcli.types import Failure, VideoRef

CLIPS = tuple(
    SupportClip(input=f"s/{label}/{i}.mp4", label=label, sha256=f"{label}{i}")
    for label in ("run", "jump")
    for i in range(3)
)


def report(estimate: Estimate | None = None, **more: Any) -> SupportReport:
    return SupportReport(
        model="demo", method="clip", labels=("run", "jump"), clips=CLIPS, failures=(),
        matcher="otam", text_weight=0.25, estimate=estimate,
    ) if not more else SupportReport(**{
        "model": "demo", "method": "clip", "labels": ("run", "jump"), "clips": CLIPS,
        "failures": (), "matcher": "otam", "text_weight": 0.25, "estimate": estimate,
    } | more)  # fmt: skip


def lines(estimate: Estimate | None = None, **more: Any) -> str:
    return "\n".join(support_lines(report(estimate, **more)))


def test_the_examples_are_counted_with_what_decides_the_scores() -> None:
    assert lines() == (
        "examples: 6 clips of 2 classes (3 each); clip, otam, words 25% of the score"
    )
    assert "(2 to 3 each)" in lines(clips=CLIPS[1:])


def test_the_estimate_has_its_interval_and_says_when_it_is_too_wide() -> None:
    few = lines(Estimate(Share(5, 6), ((0, 1, 1),), (), {}))
    assert "leave-one-out: 0.83 right (5 of 6; 95 % interval 0.44 to 0.97): too few examples" in few
    assert "confused: run as jump (1)" in few
    assert "too few" not in lines(Estimate(Share(95, 100), (), (), {}))


def test_one_example_a_class_is_said_to_tell_nothing() -> None:
    assert "can't tell from one example a class" in lines(Estimate(Share(0, 0), (), (), {}))


def test_odd_examples_are_named_with_what_they_look_like() -> None:
    told = lines(Estimate(Share(5, 6), (), (Suspect(1, 1, 0.81, 0.1),), {}))
    assert 'mislabelled? s/run/1.mp4 is "run", looks like "jump" (81% against 10%)' in told


def test_the_same_clip_under_two_labels_is_said() -> None:
    twins = (Twins(CLIPS[0], CLIPS[3], True), Twins(CLIPS[0], CLIPS[1], False))
    told = lines(None, twins=twins)
    assert "the same file twice, under two labels: s/run/0.mp4 (run), s/jump/0.mp4 (jump)" in told
    assert "almost the same clip twice: s/run/0.mp4 (run)" in told


def test_long_lists_are_cut_with_a_count() -> None:
    twins = (Twins(CLIPS[0], CLIPS[1], True),) * 8
    assert "and 3 more such pairs (--report FILE has all)" in lines(None, twins=twins)


def test_another_matcher_is_named_only_if_it_is_clearly_better() -> None:
    def told(count: int) -> str:
        return lines(Estimate(Share(80, 100), (), (), {"diag": Share(count, 100)}))

    assert "--matcher diag is right more often on these examples (0.90)" in told(90)
    assert "--matcher" not in told(84)


def test_what_was_left_out_and_changed_comes_first() -> None:
    failure = Failure(VideoRef("s/run/9.mp4", label="run"), VideoError("not_video", "no video"))
    told = lines(None, failures=(failure,), changed={"added": ("jump",)}, saved="m.safetensors")
    assert told.splitlines()[0] == "left out: s/run/9.mp4: no video"
    assert told.splitlines()[1] == "added: jump"
    assert told.splitlines()[-1] == "saved: m.safetensors"


def test_the_record_has_all_of_it() -> None:
    estimate = Estimate(Share(5, 6), ((0, 1, 1),), (Suspect(1, 1, 0.8, 0.1),),
                        {"mean": Share(4, 6)})  # fmt: skip
    record = support_record(report(estimate), {"seed": 0})
    told = record["leave_one_out"]
    assert (told["right"], told["tried"], told["enough_to_tell"]) == (5, 6, False)
    assert told["confused"] == [{"label": "run", "as": "jump", "count": 1}]
    assert told["mislabelled"][0]["looks_like"] == "jump"
    assert told["other_matchers"]["mean"]["right"] == 4
    assert record["run"] == {"seed": 0}
    assert record["clips"][0]["sha256"] == "run0"
