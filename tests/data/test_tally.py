from actcli.data.tally import Tally


def counted(**videos):
    """A tally of labels with so many found, missing and unreadable videos."""
    tally = Tally(videos)
    for label, (found, missing, unreadable) in videos.items():
        for kind, number in ((None, found), ("not_found", missing), ("truncated", unreadable)):
            for _ in range(number):
                tally.add(label, kind)
    return tally


def test_videos_are_counted_by_label_and_by_what_became_of_them():
    tally = counted(run=(3, 2, 1), jump=(1, 0, 0))
    run, jump = tally.counts
    assert (run.label, run.found, run.missing, run.unreadable) == ("run", 3, 2, 1)
    assert (run.num_videos, jump.num_videos, tally.total.num_videos) == (6, 1, 7)
    assert (tally.total.label, tally.total.missing) == (None, 2)


def test_imbalance_is_between_the_largest_and_the_smallest_label():
    tally = counted(run=(3, 0, 0), jump=(12, 0, 0), wave=(12, 9, 0))
    assert tally.imbalance == 4.0
    assert (tally.largest.label, tally.smallest.label) == ("jump", "run")


def test_a_label_without_videos_has_no_ratio():
    tally = counted(run=(3, 0, 0), jump=(0, 2, 0), wave=(1, 0, 0))
    assert tally.imbalance is None
    assert tally.labels_with(0) == ("jump",)
    assert tally.labels_with(1) == ("wave",)
