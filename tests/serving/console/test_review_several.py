"""The review page where a picture may have several labels, in a real Chromium."""

from typing import Any

import pytest

from serving.job.reviews import queue_reviews
from serving.job.samples import read_sample
from tests.chromium import needs_chromium
from tests.serving.reviewing import insert_sample, make_item, sha_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = needs_chromium
SCORES = (("dog", 0.8), ("owl", 0.6), ("cat", 0.2))


@pytest.fixture
def several(page: Any, pets: str, database: Any) -> Any:
    """First comes one that is cat|emu, and dog|emu for the model; then one without an answer."""
    insert_sample(database, pets, 20, "cat|emu")
    insert_sample(database, pets, 21, "cat|emu")
    change = {"task": "image_multilabel", "classes": ["cat", "dog", "emu", "owl"]}
    database["datasets"].update_one({"_id": pets}, {"$set": change})
    said = {20: "dog|emu", 21: ""}
    queue_reviews(
        database,
        [
            make_item(pets, n, "cat|emu", predicted=said[n], scores=SCORES, suspicion=2.0 - n / 100)
            for n in said
        ],
    )
    page.reload()
    playwright.expect(page.locator("#place")).to_have_text("1 of 6")
    return page


@pytest.fixture
def ask(page: Any, pets: str, database: Any) -> Any:
    """The page with one more item before all others, of these changes."""

    def show(label: str, **changes: Any) -> Any:
        insert_sample(database, pets, 20, label)
        change = {"task": "image_multilabel", "classes": ["dog", "knot"]}
        database["datasets"].update_one({"_id": pets}, {"$set": change})
        queue_reviews(database, [make_item(pets, 20, label, suspicion=2, **changes)])
        page.reload()
        playwright.expect(page.locator("#place")).to_have_text("1 of 5")
        return page

    return show


def read_chips(page: Any) -> list[tuple[str, bool]]:
    chips = page.locator("#chips button").all()
    return [
        (" ".join(chip.inner_text().split()), chip.get_attribute("aria-pressed") == "true")
        for chip in chips
    ]


def label_of(database: Any, pets: str, number: int) -> str:
    return str(read_sample(database, pets, sha_of(number)).label)


def test_chips_say_what_it_has_and_what_the_model_says(several: Any) -> None:
    asked = "Labelled cat, emu, but the model says dog, emu"
    assert several.inner_text("#question") == asked
    assert read_chips(several) == [
        ("1 cat the model says no", True),
        ("2 emu", True),
        ("3 dog the model says yes", False),
        ("4 owl", False),
    ]
    assert several.locator("#proposals button").count() == 0
    assert "cat (its label)" in several.inner_text("#scores")
    assert several.inner_text("#confirm").endswith("cat, emu is right")
    several.keyboard.press("ArrowRight")
    told = several.locator("#question")
    playwright.expect(told).to_have_text("Labelled cat, emu, but the model says none")


def test_numbers_switch_and_enter_takes_it(several: Any, pets: str, database: Any) -> None:
    several.keyboard.press("4")
    several.keyboard.press("2")
    several.keyboard.press("3")
    several.keyboard.press("3")
    assert [on for _, on in read_chips(several)] == [True, False, False, True]
    assert several.input_value("#label") == "cat|owl"
    several.keyboard.press("Enter")
    status = several.locator("#status")
    playwright.expect(status).to_contain_text("Relabelled cat, owl. U undoes it.")
    assert label_of(database, pets, 20) == "cat|owl"
    several.keyboard.press("u")
    playwright.expect(several.locator("#place")).to_have_text("1 of 6")
    assert label_of(database, pets, 20) == "cat|emu"
    several.keyboard.press("Enter")
    playwright.expect(status).to_contain_text("Confirmed as cat, emu.")


def test_what_the_model_says_is_one_key_away(several: Any, pets: str, database: Any) -> None:
    several.keyboard.press("m")
    assert several.input_value("#label") == "dog|emu"
    several.keyboard.press("Enter")
    playwright.expect(several.locator("#place")).to_have_text("2 of 6")
    assert label_of(database, pets, 20) == "dog|emu"
    # It said nothing of this one, and a sample has a label.
    assert several.is_hidden("#as-model")


def test_a_mouse_does_it_too_and_none_is_no_answer(several: Any, pets: str, database: Any) -> None:
    several.click("#chips button:nth-child(1)")
    several.click("#chips button:nth-child(2)")
    assert several.is_disabled("#confirm")
    several.keyboard.press("Enter")
    playwright.expect(several.locator("#place")).to_have_text("1 of 6")
    several.click("#chips button:nth-child(3)")
    several.keyboard.press("Enter")
    playwright.expect(several.locator("#place")).to_have_text("2 of 6")
    assert label_of(database, pets, 20) == "dog"


def test_it_can_be_written(several: Any, pets: str, database: Any) -> None:
    several.fill("#label", "dog|cat")
    several.press("#label", "Enter")
    playwright.expect(several.locator("#place")).to_have_text("2 of 6")
    assert label_of(database, pets, 20) == "cat|dog"


def test_a_suspect_with_no_label_at_all_is_doubted(ask: Any) -> None:
    """It was judged by others' scores, and has none of its own."""
    page = ask("dog|knot", predicted="", scores=(), source="label_suspect")
    assert page.inner_text("#question") == "Labelled dog, knot, but the model says none"
    told = ["1 dog the model says no", "2 knot the model says no"]
    assert [chip for chip, _ in read_chips(page)] == told


def test_nobody_has_answered_and_nothing_is_doubted(ask: Any) -> None:
    page = ask("dog|knot", predicted=None, scores=(), source="feedback")
    assert page.inner_text("#question") == "Labelled dog, knot"
    assert [chip for chip, _ in read_chips(page)] == ["1 dog", "2 knot"]


def test_a_label_that_is_no_class_can_be_switched_off(ask: Any, pets: str, database: Any) -> None:
    page = ask("knot|old", predicted="old", scores=(), source="bad_case")
    assert read_chips(page) == [
        ("1 knot the model says no", True),
        ("2 old", True),
        ("3 dog", False),
    ]
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#place")).to_have_text("2 of 5")
    assert label_of(database, pets, 20) == "knot"
