"""The file: whole, closed to the network, and safe whatever videos and labels are called."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from actcli.errors import ResourceError
from actcli.render.report.page import _environment, asset, island, videos_page, write_report
from tests.render.report.making import (
    Read,
    collected,
    data_of,
    failure,
    page_of,
    prediction,
    run_of,
    windows,
)

NASTY = ["<script>alert(1)</script>.mp4", "</script><b>x", '" onload="alert(1)', "<!--", "a&amp;b",
         "{{ 7 * 7 }}", "' + 1 + '", "]]>"]  # fmt: skip


def everything() -> str:
    results = [prediction(f"dir/{i}.mp4", target="run", warnings=("odd",)) for i in range(3)]
    return page_of([*results, failure(), *windows(["run", "jump"] * 20), *windows(["run"])])


@pytest.mark.parametrize("name", NASTY)
def test_a_name_is_text_wherever_it_stands(name: str) -> None:
    ordinary = Read(page_of([prediction("n", "l"), failure("n", "l"), *windows(["l"], "n")]))
    read = Read(page_of([prediction(name, name), failure(name, name), *windows([name], name)]))
    tags = [tag for tag, _ in read.elements if tag != "wbr"]
    assert tags == [tag for tag, _ in ordinary.elements]
    assert name in read.text
    assert not any(key.startswith("on") for _, found in read.elements for key in found)


@pytest.mark.parametrize("name", NASTY)
def test_the_script_gets_the_name_as_it_is(name: str) -> None:
    text = page_of([prediction(name, name), prediction("b.mp4")])
    assert data_of(text)["rows"][0][:2] == [name, name]


def test_nothing_in_the_data_can_end_or_open_a_script() -> None:
    assert not re.search(r"[<>&']", island({"</script>": "<!--<script>&'"}))


def test_control_characters_and_broken_bytes_are_spelled_out() -> None:
    text = page_of([prediction("a\x1b[2J\x00\udcff\u202e.mp4"), failure("b\udcfe", "\ud800")])
    assert "a\\x1b[2J\\x00\\xff\\u202e.mp4" in Read(text).text.replace("\\\\", "\\")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", text)
    text.encode("utf-8")


def test_every_element_is_closed_in_its_place() -> None:
    read = Read(everything())
    assert read.crossed == []
    assert read.open == []


def test_ids_are_unique_and_references_lead_to_one() -> None:
    read = Read(everything())
    ids = [found["id"] for _, found in read.elements if "id" in found]
    assert len(ids) == len(set(ids))
    links = [str(found["href"]) for found in read.of("a")]
    named = [str(found[key]) for _, found in read.elements
             for key in ("aria-labelledby", "aria-describedby") if key in found]  # fmt: skip
    assert {link.removeprefix("#") for link in links} | set(named) <= set(map(str, ids))


def test_nothing_is_loaded_from_anywhere() -> None:
    text = everything()
    read = Read(text)
    addresses = [str(found[key]) for _, found in read.elements
                 for key in ("src", "href", "srcset", "action") if key in found]  # fmt: skip
    assert all(one.startswith(("#", "data:image/")) for one in addresses)
    assert not re.search(r"https?:|url\((?!#)|@import|//cdn", text)


def test_the_policy_forbids_all_but_the_one_script() -> None:
    read = Read(everything())
    (policy,) = [str(found["content"]) for found in read.of("meta")
                 if found.get("http-equiv") == "Content-Security-Policy"]  # fmt: skip
    digest = base64.b64encode(hashlib.sha256(asset("report.js").encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"script-src 'sha256-{digest}';" in policy
    assert [found.get("type") for found in read.of("script")] == [None, "application/json"]


def test_pictures_and_charts_have_words() -> None:
    read = Read(everything())
    assert all("alt" in found for found in read.of("img"))
    assert "dir/0.mp4 at 0.5\u202fs" in [found["alt"] for found in read.of("img")]
    charts = [found for found in read.of("svg") if found.get("aria-hidden") != "true"]
    assert all(found.get("role") == "img" and found.get("aria-label") for found in charts)


def test_headings_leave_out_no_level() -> None:
    levels = [int(tag[1]) for tag, _ in Read(everything()).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_the_conditions_of_the_run_are_there() -> None:
    text = Read(everything()).text
    for expected in ("f4653fd2de3c", "fp32", "2026-01-01 00:00:00 UTC", "“a {}”", '"seed": 0'):
        assert expected in text


def test_a_template_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        _environment().from_string("{{ missing }}").render()


def test_an_older_page_stays_whole_if_the_new_one_can_not_be_written(tmp_path: Path) -> None:
    page = videos_page(collected([prediction()]), run_of())
    with pytest.raises(ResourceError, match="cannot write"):
        write_report(tmp_path / "none" / "a.html", page)
    write_report(tmp_path / "a.html", page)
    assert (tmp_path / "a.html").read_text().endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_two_thousand_videos_make_a_page_of_few_megabytes() -> None:
    text = page_of(prediction(f"dir/video_{i:05d}.mp4") for i in range(2000))
    assert len(text) < 2_000_000
    assert len(data_of(text)["rows"]) == 2000
    assert len(Read(text).of("article")) == 200
