"""axe-core finds nothing serious on the console's own pages, in a real Chromium."""

from pathlib import Path
from typing import Any

import pytest

from serving.job.reviews import queue_reviews
from tests.chromium import find_serious, needs_chromium
from tests.serving.console.conftest import draw
from tests.serving.reviewing import make_item

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytestmark = needs_chromium
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@SCHEMES
def test_review(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    assert find_serious(page) == []
    page.keyboard.press("1")
    playwright.expect(page.locator("#place")).to_have_text("2 of 4")
    page.keyboard.press("ArrowLeft")
    playwright.expect(page.locator("#verdict")).to_be_visible()
    assert find_serious(page) == []


@SCHEMES
def test_review_of_several_labels(page: Any, pets: str, database: Any, scheme: str) -> None:
    database["datasets"].update_one({"_id": pets}, {"$set": {"task": "image_multilabel"}})
    many = make_item(pets, 3, "cat", predicted="cat|dog", suspicion=2.0)
    queue_reviews(database, [many])
    page.emulate_media(color_scheme=scheme)
    page.reload()
    playwright.expect(page.locator("#chips button")).to_have_count(2)
    assert find_serious(page) == []


@SCHEMES
def test_review_that_asks_and_that_is_done(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.fill("#label", "hud")
    page.press("#label", "Enter")
    playwright.expect(page.locator("#ask")).to_be_visible()
    assert find_serious(page) == []
    page.click("#ask-no")
    for _ in range(4):
        page.locator("body").press("Escape")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#done")).to_be_visible()
    assert find_serious(page) == []


@SCHEMES
def test_upload(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    (tmp_path / "import").mkdir()
    monkeypatch.setenv("MODELMILL_IMPORT_ROOTS", str(tmp_path / "import"))
    page.emulate_media(color_scheme=scheme)
    page.goto(page.address.replace("/review", "/upload"))
    page.wait_for_selector("#work:not([hidden])")
    assert find_serious(page) == []
    picture = {"name": "1.png", "mimeType": "image/png", "buffer": draw("gold")}
    page.set_input_files("#files", [picture])
    playwright.expect(page.locator("#problem")).not_to_be_empty()
    assert find_serious(page) == []
    page.fill("#class", "bees")
    text = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"none"}
    page.set_input_files("#files", [picture, text])
    playwright.expect(page.locator("#classes")).to_contain_text("bees")
    playwright.expect(page.locator("#import")).to_be_enabled()
    assert find_serious(page) == []


@SCHEMES
def test_closed_pages_and_the_first_one(closed: Any, scheme: str) -> None:
    closed.emulate_media(color_scheme=scheme)
    for address in (closed.address, closed.address.replace("/review", "/upload")):
        closed.goto(address)
        closed.wait_for_selector("#closed:not([hidden])")
        assert find_serious(closed) == []
    closed.goto(closed.address.partition("/datasets")[0])
    assert find_serious(closed) == []
