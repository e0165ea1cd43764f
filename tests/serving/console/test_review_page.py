"""The review page in a real Chromium, mostly by its keys."""

import re
from typing import Any

import pytest

from serving.job.reviews import queue_reviews
from serving.job.samples import delete_sample, read_sample
from tests.chromium import needs_chromium
from tests.serving.reviewing import insert_sample, make_item, sha_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = needs_chromium
STRANGE = "<b>'\"& 键盘"


def expect_place(page: Any, text: str) -> None:
    playwright.expect(page.locator("#place")).to_have_text(text)


def label_of(database: Any, pets: str, number: int) -> tuple[str, str]:
    sample = read_sample(database, pets, sha_of(number))
    return sample.label, sample.state


def test_without_a_session_it_says_how(closed: Any, pets: str) -> None:
    closed.goto(closed.address)
    closed.wait_for_selector("#closed:not([hidden])")
    assert f"./modelmill review --dataset {pets}" in closed.inner_text("#closed")
    assert closed.is_hidden("#work")


def test_a_used_address_says_so(page: Any, token: str) -> None:
    page.context.clear_cookies()
    page.goto("about:blank")
    page.goto(f"{page.address}#{token}")
    playwright.expect(page.locator("#closed-title")).to_contain_text("used before")


def test_the_most_suspicious_is_shown_with_all_that_is_known(page: Any) -> None:
    expect_place(page, "1 of 4")
    assert page.inner_text("#question") == "Labelled cat, but the model says dog"
    playwright.expect(page.locator("#status")).to_contain_text("1 of 4, labelled cat")
    rows = [re.sub(r"\s+", " ", row) for row in page.locator("#scores tr").all_inner_texts()]
    assert rows == ["dog 80 %", "cat (its label) 20 %"]
    assert page.eval_on_selector_all("#scores progress", "all => all.map(b => b.value)")[0] == 0.8
    assert page.inner_text("#reasons") == "Its nearest train pictures are dogs."
    assert "97 % alike" in page.inner_text("#neighbours")
    playwright.expect(page.locator("#picture")).to_have_js_property("naturalWidth", 320)
    near = page.locator("#neighbours img").first
    playwright.expect(near).to_have_js_property("naturalWidth", 200)
    assert "#" not in page.url, "the token stands in the address still"
    assert page.evaluate("document.cookie") == ""
    assert {url.split("/")[2] for url in page.asked} == {page.address.split("/")[2]}
    assert page.problems == []


def test_a_reload_keeps_the_session(page: Any) -> None:
    page.reload()
    expect_place(page, "1 of 4")


def test_a_whole_queue_by_keys(page: Any, pets: str, database: Any) -> None:
    page.keyboard.press("Enter")
    expect_place(page, "2 of 4")
    playwright.expect(page.locator("#status")).to_contain_text("Confirmed as cat. U undoes it.")
    page.keyboard.press("1")
    expect_place(page, "3 of 4")
    page.keyboard.press("d")
    expect_place(page, "4 of 4")
    page.keyboard.press("h")
    playwright.expect(page.locator("#done-text")).to_contain_text("4 decided in this visit")
    assert page.inner_text("#done-title") == "Nothing is left to review"
    assert label_of(database, pets, 3) == ("cat", "active")
    assert label_of(database, pets, 2) == ("dog", "active")
    assert label_of(database, pets, 1) == ("cat", "deleted")
    page.keyboard.press("u")
    expect_place(page, "4 of 4")
    page.keyboard.press("u")
    expect_place(page, "3 of 4")
    assert label_of(database, pets, 1) == ("cat", "active")
    assert page.problems == []


def test_arrows_skip_and_go_back(page: Any) -> None:
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect_place(page, "3 of 4")
    page.keyboard.press("ArrowLeft")
    expect_place(page, "2 of 4")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#done-title")).to_have_text("4 skipped, the rest is done")
    page.keyboard.press("ArrowLeft")
    expect_place(page, "4 of 4")


def test_a_decided_one_shows_what_was_decided(page: Any) -> None:
    page.keyboard.press("1")
    expect_place(page, "2 of 4")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#verdict") == "Relabelled dog."
    assert page.is_disabled("#confirm")
    page.keyboard.press("Enter")
    expect_place(page, "1 of 4")
    page.keyboard.press("u")
    playwright.expect(page.locator("#verdict")).to_be_hidden()


def test_another_class_is_typed_and_asked_about(page: Any, pets: str, database: Any) -> None:
    page.keyboard.press("/")
    page.keyboard.type("hud")
    assert page.input_value("#label") == "hud"
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#ask")).to_be_visible()
    assert "'hud'" in page.inner_text("#ask-text")
    page.keyboard.press("Escape")
    assert label_of(database, pets, 3) == ("cat", "active")
    page.fill("#label", STRANGE)
    page.click("#other button")
    page.click("#ask-yes")
    expect_place(page, "2 of 4")
    assert label_of(database, pets, 3) == (STRANGE, "active")
    assert page.locator("b", has_text="'").count() == 0, "a class name became markup"
    names = page.locator("#proposals button").all_inner_texts()
    assert [name.strip() for name in names] == ["1\ndog", f"2\n{STRANGE}"] or STRANGE in names[-1]


def test_keys_can_be_put_to_sleep(page: Any, pets: str, database: Any) -> None:
    page.uncheck("#keys")
    for key in ("d", "Enter", "1"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowRight")
    expect_place(page, "2 of 4")
    assert label_of(database, pets, 3) == ("cat", "active")


def test_a_held_key_decides_once(page: Any) -> None:
    page.keyboard.down("Enter")
    expect_place(page, "2 of 4")
    page.keyboard.down("Enter")
    page.wait_for_load_state("networkidle")
    expect_place(page, "2 of 4")


def test_what_somebody_else_did_is_said(page: Any, pets: str, database: Any) -> None:
    delete_sample(database, read_sample(database, pets, sha_of(3)), "bob")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#problem")).to_contain_text("was deleted by bob meanwhile")
    expect_place(page, "1 of 4")
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#problem")).to_have_text("")


def test_pictures_that_cannot_be_shown_say_why(page: Any, pets: str, database: Any) -> None:
    queue_reviews(database, [make_item(pets, 5, suspicion=0.9)])
    page.reload()
    playwright.expect(page.locator("#no-picture")).to_contain_text("not an image")
    page.keyboard.press("d")
    expect_place(page, "2 of 5")
    playwright.expect(page.locator("#picture")).to_be_visible()


def test_more_are_fetched_on_the_way(page: Any, pets: str, database: Any) -> None:
    for number in range(100, 150):
        insert_sample(database, pets, number, "cat")
    queue_reviews(database, [make_item(pets, n, suspicion=0.01) for n in range(100, 150)])
    page.reload()
    for number in range(1, 55):
        expect_place(page, f"{number} of 54")
        page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#done-title")).to_be_visible()


def test_a_phone_shows_it_without_scrolling_sideways(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box = page.locator("#confirm").bounding_box()
    assert box["y"] + box["height"] <= 740
    assert box["height"] >= 44


def test_every_control_has_a_name(page: Any) -> None:
    names = page.eval_on_selector_all(
        "button, input, progress, img",
        """all => all.filter(one => one.offsetParent && !(one.ariaLabel || one.innerText || one.alt
            || (one.labels && one.labels.length))).map(one => one.outerHTML)""",
    )
    assert names == []
