"""The page in a browser: it sorts, filters and follows the pointer, and asks for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actcli.render.report.page import render_page
from tests.render.report.making import failure, page_of, prediction, windows
from tests.render.report.test_evaluation import CLIPS, LABELS, evaluation_page, part_of, record_of

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (the extra dev has it)"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page in a tab, with all that it said and asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.tab = browser.new_context(**options).new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(path.as_uri())

    def names(self) -> list[str]:
        return list(self.tab.locator("#videos tbody th").all_inner_texts())

    def sort_by(self, name: str) -> None:
        self.tab.locator("#videos .sort", has_text=name).click()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Any:
    def open_page(text: str, **options: Any) -> Opened:
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        return Opened(browser, tmp_path / "page.html", **options)

    return open_page


def some() -> str:
    results = [
        prediction("b_10.mp4", "run", 0.5, "run"),
        prediction("b_9.mp4", "jump", 0.9, "run"),
        failure("<script>alert(1)</script>.mp4"),
        prediction("a.mp4", "jump", 0.7),
    ]
    return page_of([*results, *windows(["run"] * 5 + ["jump"] * 5)])


def test_it_says_nothing_and_asks_for_nothing(opened: Any) -> None:
    page = opened(some())
    page.tab.locator(".timeline").hover()
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [page.tab.url]


def test_columns_sort_both_ways_with_numbers_as_numbers(opened: Any) -> None:
    page = opened(some())
    page.sort_by("Video")
    up = page.names()
    page.sort_by("Video")
    assert up.index("b_9.mp4") < up.index("b_10.mp4")
    assert page.names() == up[::-1]
    page.sort_by("Score")
    assert page.tab.locator("#videos th[aria-sort=descending]").inner_text().startswith("Score")
    assert page.names()[0] == "b_9.mp4"
    assert page.names()[-1].startswith("<script>")  # what has no score comes last


def test_a_head_is_sorted_by_the_keyboard(opened: Any) -> None:
    page = opened(some())
    page.tab.locator("#videos .sort").first.focus()
    page.tab.keyboard.press("Enter")
    assert page.tab.locator("#videos th").first.get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize(
    ("control", "value", "expected"),
    [("#find", "B_", ["b_10.mp4", "b_9.mp4"]), ("#pick", "jump", ["b_9.mp4", "a.mp4"]),
     ("#state", "wrong", ["b_9.mp4"]), ("#state", "failed", ["<script>alert(1)</script>.mp4"])],
)  # fmt: skip
def test_filters_leave_what_they_name(
    opened: Any, control: str, value: str, expected: list[str]
) -> None:
    page = opened(some())
    if control == "#find":
        page.tab.fill(control, value)
    else:
        page.tab.select_option(control, value)
    assert page.names() == expected
    assert page.tab.locator("#shown").inner_text() == f"{len(expected)} of 5"


def test_the_pointer_shows_the_window_and_the_frame_below_it(opened: Any) -> None:
    page = opened(some())
    line = page.tab.locator(".timeline")
    line.scroll_into_view_if_needed()
    width = line.bounding_box()["width"]
    line.hover(position={"x": width - 3, "y": 10})
    assert page.tab.locator(".readout b").inner_text() == "jump"
    last = page.tab.locator("article.film .strip img").last.get_attribute("alt")
    assert page.tab.locator(".readout img").get_attribute("alt") == last


def test_between_segments_there_is_no_label(opened: Any) -> None:
    page = opened(page_of(windows(["run", "run"], length=1.0, stride=9.0, kind="segment")))
    page.tab.locator(".timeline").hover()
    assert page.tab.locator(".readout p").inner_text().split("\n") == [
        "no label here",
        "5.0\u202fs",
    ]


def test_the_keyboard_goes_through_the_windows_and_says_where_it_is(opened: Any) -> None:
    page = opened(some())
    line = page.tab.locator(".timeline")
    line.focus()
    page.tab.keyboard.press("ArrowRight")
    assert line.get_attribute("aria-valuenow") == "2"
    assert line.get_attribute("aria-valuetext") == "1.0\u202fs to 5.0\u202fs: run, 61.0\u202f%"
    page.tab.keyboard.press("End")
    assert line.get_attribute("aria-valuenow") == "10"


def test_many_rows_come_in_parts_and_open_their_other_labels(opened: Any) -> None:
    page = opened(page_of((prediction(f"{i}.mp4") for i in range(450)), most_strips=1))
    assert len(page.names()) == 200
    page.tab.locator("#more").click()
    page.tab.locator("#more").click()
    assert len(page.names()) == 450
    assert page.tab.locator("#more").is_hidden()
    button = page.tab.locator("#videos .expand").first
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    assert "20.0" in page.tab.locator("#videos .detail").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_switched(opened: Any, scheme: str) -> None:
    page = opened(some(), color_scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.tab.evaluate(ground)
    for _ in range(1 if scheme == "dark" else 2):
        page.tab.locator("#theme").click()
    assert page.tab.evaluate(ground) != before
    assert (before == "rgb(251, 251, 250)") == (scheme == "light")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(opened: Any, width: int) -> None:
    size = {"width": width, "height": 800}
    record = record_of(part_of(CLIPS, [*LABELS, *(f"label {i}" for i in range(50))]))
    for text in (some(), render_page(evaluation_page(record))):
        page = opened(text, viewport=size)
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= width


def test_tables_of_an_evaluation_sort_too(opened: Any) -> None:
    page = opened(render_page(evaluation_page(record_of(part_of(CLIPS, LABELS)))))
    classes = page.tab.get_by_role("region", name="Classes of all", exact=True)
    classes.locator(".sort", has_text="Right").click()
    assert classes.locator("tbody th").all_inner_texts() == ["jump", "run", "wave"]
    assert page.said == []
