"""What few-shot examples are worth, from the record of schema `actcli.support/1`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actcli.errors import shorten_list
from actcli.render.report.model import Bar, Confused, Failed, Support, Tile
from actcli.render.report.numbers import THIN, count, is_of, percent


def make_support(record: Mapping[str, Any]) -> Support:
    """The section on examples."""
    found, counts = record["leave_one_out"], record["classes"]
    tiles = [
        Tile("examples", f"{len(record['clips']):,}",
             f"of {count(len(counts), 'class', 'classes')}"),
        Tile("matcher", str(record["matcher"]), str(record["method"])),
        Tile("words", percent(record["text_weight"], 0), "of the score"),
    ]  # fmt: skip
    notes = [f"{what}: {shorten_list(labels)}" for what, labels in record["changed"].items()]
    if record["saved"]:
        notes.append(f"saved: {record['saved']}")
    if found is not None and found["tried"]:
        low, high = found["interval"]
        told = f"95{THIN}% interval {percent(low)} to {percent(high)}"
        few = "" if found["enough_to_tell"] else "; too few examples to tell"
        right = is_of(found["right"], found["tried"])
        note = f"{right} right, {told}{few}"
        tiles.insert(0, Tile("leave-one-out", percent(found["accuracy"]), note))
    elif found is not None:
        notes.append("Leave-one-out can't tell from one example a class.")
    most = max(counts.values(), default=0) or 1
    return Support(
        tuple(tiles),
        tuple(Bar(label, 100 * n / most, f"{n:,}", key=n) for label, n in counts.items()),
        tuple(Confused(one["label"], one["as"], one["count"])
              for one in (found or {}).get("confused", ())),
        tuple(_suspect(one) for one in (found or {}).get("mislabelled", ())),
        tuple(_twin(one) for one in record["same"]),
        _matchers(record, found), tuple(notes),
        tuple(Failed(one["input"], one["message"]) for one in record["failed"]),
    )  # fmt: skip


def _suspect(one: Mapping[str, Any]) -> dict[str, str]:
    texts = {"name": one["input"], "label": one["label"], "looks_like": one["looks_like"]}
    return texts | {name: percent(one[name], 0) for name in ("score", "own_score")}


def _twin(one: Mapping[str, Any]) -> dict[str, str]:
    what = "the same file" if one["same_file"] else "almost the same clip"
    labels = one["labels"]
    return {"one": one["one"], "other": one["other"], "what": what,
            "labels": labels[0] if labels[0] == labels[1] else " / ".join(labels)}  # fmt: skip


def _matchers(record: Mapping[str, Any], found: Mapping[str, Any] | None) -> tuple[Bar, ...]:
    if found is None or not found["other_matchers"]:
        return ()
    own = Bar(str(record["matcher"]), 100 * (found["accuracy"] or 0.0), percent(found["accuracy"]),
              is_of(found["right"], found["tried"]), is_chosen=True)  # fmt: skip
    others = [
        Bar(name, 100 * (one["accuracy"] or 0.0), percent(one["accuracy"]),
            is_of(one["right"], one["tried"]))
        for name, one in found["other_matchers"].items()
    ]  # fmt: skip
    return (own, *others)
