"""A console with reports, and a real Chromium that opens them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.console.app import create_app
from spark_jobs.report.page import render_report
from tests.chromium import launch_chromium
from tests.serving.running import run_console
from tests.spark_jobs.report.example import make_example
from tests.spark_jobs.report.opening import MANY, ODD, RUN, SEVERAL, Opener
from tests.spark_jobs.report.pages import EVIL, make_data, render
from tests.spark_jobs.report.several import make_several_example


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launch_chromium() as launched:
        yield launched


def write_run(root: Path, run_id: str, page: str) -> None:
    attempt = root / run_id / "evaluate" / "attempt-1"
    attempt.mkdir(parents=True)
    (attempt / "report.html").write_text(page)
    (root / run_id / "evaluate" / "committed").write_text("1")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A console with reports: ordinary, of names that are markup, of 40 classes, of label sets."""
    root = tmp_path_factory.mktemp("runs")
    long = ("x" * 300, EVIL, "مفتاح", "键盘" * 40)
    write_run(root, RUN, render_report(*make_example()))
    write_run(root, SEVERAL, render_report(*make_several_example()))
    write_run(root, ODD, render(make_data(long, wrong=7)))
    write_run(root, MANY, render(make_data(tuple(f"class {i}" for i in range(40)), wrong=3)))
    with run_console(create_app(root.as_uri())) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def opener(browser: Any, address: str) -> Iterator[Opener]:
    made = Opener(browser, address)
    yield made
    for context in browser.contexts:
        context.close()
    assert made.problems == []
    assert all(url.startswith((address, "data:")) for url in made.asked)
    assert len([url for url in made.asked if url.startswith("http")]) == 1
