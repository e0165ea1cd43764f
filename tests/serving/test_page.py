"""The try-it page in a real Chromium, which may reach nothing but the server."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from serving import tokens
from serving.app import create_app
from serving.tokens import add_token
from tests.serving.running import run_server
from tests.serving.test_app import LABELS
from tests.serving.tiny import add_operating_point, plain, write_bundle, write_several_bundle

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: apt-get install chromium shows the page to a test"
)
ARGUMENTS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Its parameter: below which score it declines; or two thresholds, for several labels."""
    monkeypatch.setattr(tokens, "FRESH_SECONDS", 0.0)
    given = getattr(request, "param", None)
    if isinstance(given, tuple):
        bundle = write_several_bundle(tmp_path / "b", given, classes=LABELS)
    else:
        bundle = write_bundle(tmp_path / "b", classes=LABELS)
    if isinstance(given, float):
        add_operating_point(bundle, given)
    return create_app(bundle, "brightness", 3, tokens=tmp_path / "tokens.json")


@pytest.fixture
def page(browser: Any, app: FastAPI) -> Iterator[Any]:
    with run_server(app) as port:
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write", "camera"])
        opened = context.new_page()
        opened.asked, opened.problems = [], []
        opened.on("request", lambda request: opened.asked.append(request.url))
        opened.on("console", lambda message: opened.problems.append(message.text))
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        opened.address = f"http://127.0.0.1:{port}"
        opened.goto(opened.address)
        opened.wait_for_load_state("networkidle")
        yield opened
        context.close()


def choose(page: Any, picture: bytes) -> None:
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": picture}
    page.set_input_files("#file", [file])


def check_bright(page: Any) -> None:
    page.wait_for_selector("#results tr")
    assert page.inner_text("#verdict") == LABELS[0]
    rows = page.locator("#results tr").all_inner_texts()
    assert [row.split("\t")[0].strip() for row in rows] == list(LABELS)
    values = page.eval_on_selector_all("#results progress", "bars => bars.map(b => b.value)")
    assert values[0] > 0.9
    assert values[1] < 0.1
    assert "ms, there and back" in page.inner_text("#latency")


def transfer(page: Any, kind: str, picture: bytes) -> None:
    """Drop or paste a file, as a browser hands it over."""
    page.evaluate(
        """([kind, encoded]) => {
            const bytes = Uint8Array.from(atob(encoded), c => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "photo.png", {type: "image/png"}));
            const event = kind === "paste" ? new ClipboardEvent(kind, {clipboardData: data})
                : new DragEvent(kind, {dataTransfer: data, cancelable: true});
            document.dispatchEvent(event);
        }""",
        [kind, base64.b64encode(picture).decode()],
    )


def test_a_chosen_picture_gets_bars(page: Any) -> None:
    assert page.inner_text("#name") == "brightness, version 3"
    assert "accuracy 90.0 %" in page.inner_text("#facts")
    choose(page, plain(255))
    check_bright(page)
    assert page.locator("#results b").count() == 0, "a class name became markup"
    assert {url.split("/")[2] for url in page.asked if url.startswith("http")} == {
        page.address.split("/")[2]
    }
    assert page.problems == []


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_dropped_and_pasted(page: Any, kind: str) -> None:
    transfer(page, kind, plain(255))
    check_bright(page)
    assert page.problems == []


def test_camera(page: Any) -> None:
    page.click("#camera")
    while not page.eval_on_selector("#video", "video => video.videoWidth"):
        page.wait_for_timeout(20)
    page.click("#shoot")
    page.wait_for_selector("#results tr")
    assert page.is_hidden("#video")
    assert page.eval_on_selector("#picture", "image => image.naturalWidth") > 0
    assert page.problems == []


def test_what_is_no_picture_is_said(page: Any) -> None:
    choose(page, b"no picture")
    playwright.expect(page.locator("#problem")).to_contain_text("not an image (allowed: JPEG")
    choose(page, plain(255))
    check_bright(page)
    assert page.inner_text("#problem") == ""


@pytest.mark.parametrize("app", [0.9], indirect=True)
def test_none_of_these(page: Any) -> None:
    assert "“none of these” below 90.0 %" in page.inner_text("#facts")
    choose(page, plain(140))
    page.wait_for_selector("#results tr")
    assert page.inner_text("#verdict") == "None of these"
    choose(page, plain(255))
    check_bright(page)
    assert page.problems == []


@pytest.mark.parametrize("app", [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7)], indirect=True)
def test_several_labels(page: Any, app: FastAPI) -> None:
    wanted = app.state.service.predictor.manifest.thresholds
    assert "several labels a picture" in page.inner_text("#facts")
    assert page.inner_text("#facts").startswith("all labels right 90.0 % · ")
    # 0.6 and 0.4, by the classes.
    choose(page, plain(140))
    page.wait_for_selector("#results tr")
    said = [score >= threshold for score, threshold in zip((0.6, 0.4), wanted, strict=True)]
    chips = [f"✓ {label}" for label, named in zip(LABELS, said, strict=True) if named]
    assert page.locator("#verdict .chip").all_inner_texts() == chips
    assert page.inner_text("#verdict").strip() == (" ".join(chips) or "None of these")
    rows = [row.split("\t") for row in page.locator("#results tr").all_inner_texts()]
    assert [row[0].strip() for row in rows] == [
        f"{'✓' if named else '–'} {label}" for label, named in zip(LABELS, said, strict=True)
    ]
    assert [row[-1].split(" % ")[1] for row in rows] == [
        f"{'≥' if named else '<'} {100 * one:.1f} %"
        for one, named in zip(wanted, said, strict=True)
    ]
    places = page.eval_on_selector_all(
        "#results .needs",
        """marks => marks.map(one => {
            const [whole, mark] = [one, one.querySelector("i")].map(e => e.getBoundingClientRect());
            return (mark.left + mark.width / 2 - whole.left) / whole.width;
        })""",
    )
    assert places == pytest.approx(wanted, abs=0.01)
    assert page.locator("#results b, #verdict b").count() == 0, "a class name became markup"
    assert page.problems == []


@pytest.mark.parametrize("app", [(0.3, 0.3)], indirect=True)
def test_another_version_that_answers_has_thresholds_of_its_own(page: Any) -> None:
    """As after a rollout: what the page read at first is of a version with other classes."""
    stale = {"version": 2, "thresholds": {"moss": 0.9}, "classes": ["moss"]}

    def answer_stale(route: Any) -> None:
        told = route.fetch().json()
        route.fulfill(json=told | stale)

    page.route("**/v1/model", answer_stale, times=1)
    page.reload()
    playwright.expect(page.locator("#name")).to_have_text("brightness, version 2")
    choose(page, plain(140))
    page.wait_for_selector("#results tr")
    assert page.inner_text("#name") == "brightness, version 3"
    rows = page.locator("#results tr").all_inner_texts()
    assert rows
    assert all(row.endswith("≥ 30.0 %") for row in rows)
    # Between the two: one that answers is not the one that tells of itself.
    page.route("**/v1/model", answer_stale)
    page.reload()
    playwright.expect(page.locator("#name")).to_have_text("brightness, version 2")
    choose(page, plain(140))
    page.wait_for_selector("#results tr")
    assert "NaN" not in page.inner_text("#results")
    assert page.problems == []


def test_curl_is_copied_and_works(page: Any, tmp_path: Path) -> None:
    import subprocess

    page.click("#copy")
    playwright.expect(page.locator("#copy")).to_have_text("Copied")
    line = page.evaluate("navigator.clipboard.readText()")
    (tmp_path / "photo.jpg").write_bytes(plain(255))
    done = subprocess.run(
        ["sh", "-c", f"{line} -s"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert LABELS[0] in done.stdout


def test_a_token_is_asked_for(page: Any, tmp_path: Path) -> None:
    text, _ = add_token(tmp_path / "tokens.json", "")
    page.reload()
    page.wait_for_selector("#ask")
    page.fill("#token", text)
    page.click("#ask button")
    playwright.expect(page).to_have_title("brightness")
    choose(page, plain(255))
    check_bright(page)
    assert "$TOKEN" in page.inner_text("#curl")
    assert text not in page.content()
