"""The report of several labels a picture in a real Chromium: filters, and what leads to them."""

from typing import Any

import pytest

from tests.chromium import needs_chromium
from tests.spark_jobs.report.opening import SEVERAL, Opener

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = needs_chromium


def read_sets(page: Any) -> list[tuple[list[str], list[str]]]:
    """(labels it has, labels it was said to have) of the bad cases in sight."""
    cards = page.locator("figure.case:visible").all()
    halves = [card.locator(".sets dd").all() for card in cards]
    told = [[half.locator("bdi").all_inner_texts() for half in pair] for pair in halves]
    return [(is_, said) for is_, said in told]


def test_where_there_are_several_labels_filters_ask_for_members(opener: Opener) -> None:
    page = opener.open(SEVERAL)
    page.get_by_label("Has label", exact=True).select_option("knot (5)")
    assert len(read_sets(page)) == 5
    assert all("knot" in labels for labels, _ in read_sets(page))
    page.get_by_label("Wrongly said", exact=True).select_option("crack (5)")
    assert read_sets(page) == [(["fray", "knot"], ["crack", "knot"])]
    page.get_by_role("button", name="Show all").click()
    playwright.expect(page.locator("#status")).to_have_text("15 shown")
    page.get_by_label("Missed", exact=True).select_option("nothing (4)")
    assert {tuple(labels) for labels, _ in read_sets(page)} == {("knot",), ("crack", "fray")}


def test_numbers_of_labels_and_of_mix_ups_lead_to_their_pictures(opener: Opener) -> None:
    page = opener.open(SEVERAL)
    page.get_by_role("link", name="fray missed in 9 of 21, show the pictures").click()
    assert page.inner_text("#status") == "9 of 15 shown"
    assert page.evaluate("document.activeElement.id") == "cases-title"
    rows = page.locator("#mix-ups tbody").last.locator("tr")
    row = rows.filter(has_text="fray").filter(has_text="nothing")
    row.get_by_role("link").click()
    said = [said for labels, said in read_sets(page) if "fray" in labels]
    assert sorted(said) == [[], ["stain"], ["stain"], ["stain"]]
