"""The report in a real Chromium, as the console serves it: keyboard, phone, dark, axe-core."""

from pathlib import Path
from typing import Any

import pytest

from spark_jobs.report.page import render_report
from tests.chromium import find_serious, needs_chromium
from tests.spark_jobs.report.example import make_example
from tests.spark_jobs.report.opening import MANY, ODD, RUN, SEVERAL, Opener
from tests.spark_jobs.report.pages import EVIL

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytestmark = needs_chromium


def read_shown(page: Any) -> list[tuple[str, str]]:
    """(true class, called class) of the bad cases in sight."""
    cards = page.locator("figure.case:visible")
    return [
        (card.locator(".truth").first.inner_text(), card.locator(".called").first.inner_text())
        for card in cards.all()
    ]


PHONE = {"viewport": {"width": 360, "height": 740}}


@pytest.mark.parametrize(
    ("run_id", "scheme"),
    [
        (RUN, "light"),
        (RUN, "dark"),
        (ODD, "light"),
        (MANY, "light"),
        (SEVERAL, "light"),
        (SEVERAL, "dark"),
    ],
)
def test_axe_finds_nothing_serious(opener: Opener, run_id: str, scheme: str) -> None:
    page = opener.open(run_id, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert find_serious(page) == []


@pytest.mark.parametrize("run_id", [RUN, ODD, MANY, SEVERAL])
def test_a_phone_scrolls_down_only(opener: Opener, run_id: str) -> None:
    page = opener.open(run_id, **PHONE)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_console_leads_on_to_the_review_page_and_a_file_does_not(
    opener: Opener, tmp_path: Path
) -> None:
    page = opener.open()
    link = page.get_by_role("link", name="Review them here")
    assert link.get_attribute("href") == "/datasets/boards/review"
    file = tmp_path / "report.html"
    file.write_text(render_report(*make_example()))
    page = page.context.new_page()
    page.goto(file.as_uri())
    playwright.expect(page.get_by_text("./modelmill review --dataset boards")).to_be_visible()
    playwright.expect(page.locator("#review")).to_be_hidden()


def test_a_number_of_the_matrix_leads_to_its_pictures(opener: Opener) -> None:
    page = opener.open()
    assert len(read_shown(page)) == 26
    page.get_by_role("link", name="fray taken for crack: 9 of 36 (25 %), show the pictures").click()
    assert read_shown(page) == [("fray", "crack")] * 9
    assert page.inner_text("#status") == "9 of 26 shown"
    assert page.evaluate("document.activeElement.id") == "cases-title"
    playwright.expect(page.locator("#cases-title")).to_be_in_viewport()
    page.get_by_role("button", name="Show all").click()
    playwright.expect(page.locator("#status")).to_have_text("26 shown")
    assert len(read_shown(page)) == 26


def test_filters(opener: Opener) -> None:
    page = opener.open()
    page.get_by_label("Is", exact=True).select_option("crack (3)")
    assert sorted(read_shown(page)) == [("crack", "fray"), ("crack", "sound"), ("crack", "sound")]
    page.get_by_label("Was called").select_option("fray (3)")
    assert read_shown(page) == [("crack", "fray")]
    page.get_by_label("Is", exact=True).select_option("any class")
    assert {called for _, called in read_shown(page)} == {"fray"}
    page.get_by_label("Was called").select_option("any class")
    page.get_by_label("Words").fill("MILL 1 label wrong")
    assert read_shown(page)
    for card in page.locator("figure.case:visible").all():
        assert "The label may be wrong" in card.inner_text()
        assert "mill 1/" in card.inner_text()
    page.get_by_label("Words").fill("nothing like it")
    assert read_shown(page) == []
    assert "none fits" in page.inner_text("#status")


def test_by_keyboard_alone(opener: Opener) -> None:
    """Tab to the matrix, which is one stop; arrows inside; Enter leads on to the pictures."""
    page = opener.open()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the report"
    stops = 0
    while not page.evaluate("document.activeElement.matches('#matrix a')"):
        page.keyboard.press("Tab")
        stops += 1
        assert stops < 20, "the matrix cannot be reached"
    label = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(label).startswith("sound taken for crack: 1")
    for key, starts in (
        ("ArrowRight", "sound taken for fray: 2"),
        ("ArrowDown", "crack taken for fray: 1"),
        ("ArrowUp", "sound taken for fray: 2"),
        ("ArrowLeft", "sound taken for crack: 1"),
        ("ArrowDown", "fray taken for crack: 9"),
    ):
        page.keyboard.press(key)
        assert page.evaluate(label).startswith(starts), key
    assert page.inner_text("#told").startswith("fray taken for crack: 9 of 36")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid", "nobody sees where the keyboard is"
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.matches('#matrix a')")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert read_shown(page) == [("fray", "crack")] * 9
    for stop in ("review", "true"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == stop, "the filters come next"


def test_hover_tells_the_square(opener: Opener) -> None:
    page = opener.open()
    page.locator("#matrix td.right").first.hover()
    assert page.inner_text("#told") == "sound named right: 88 of 92 (96 %)"


def test_without_scripts_all_is_there(opener: Opener) -> None:
    """As MLflow shows it: numbers still lead to the first of their pictures."""
    page = opener.open(java_script_enabled=False)
    assert page.locator("#filters").is_hidden()
    assert page.locator("figure.case").count() == 26
    page.locator("#matrix a").first.click()
    playwright.expect(page.locator("#pair-0-2")).to_be_in_viewport()


def test_dark(opener: Opener) -> None:
    shade = "getComputedStyle(document.body).backgroundColor"
    assert opener.open(color_scheme="dark").evaluate(shade) == "rgb(16, 19, 24)"
    opener.asked.clear()
    page = opener.open(color_scheme="light")
    assert page.evaluate(shade) == "rgb(246, 247, 249)"


def test_print(opener: Opener) -> None:
    """Light even where the screen is dark, without filters, and nothing is cut off or closed."""
    page = opener.open(color_scheme="dark", viewport={"width": 700, "height": 900})
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(21, 24, 30)"
    assert page.locator("#filters").is_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert len(page.pdf()) > 50_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_markup_in_names_is_text(opener: Opener) -> None:
    page = opener.open(ODD)
    assert page.locator("img[src=x]").count() == 0
    assert EVIL in page.inner_text("main")
