"""A dataset whose pictures are in a raw segment, its queue, and the console over both."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from PIL import Image

from serving.console.app import create_app
from serving.job.evaluation import Neighbour
from serving.job.reviews import queue_reviews
from serving.sessions import invite, locate_sessions
from tests.chromium import launch_chromium
from tests.serving.reviewing import insert_sample, make_item, sha_of
from tests.serving.running import run_console

COLOURS = ("crimson", "teal", "gold", "navy", "olive", "gray")


def draw(colour: str, *, width: int = 320, height: int = 240) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def segment(tmp_path: Path) -> str:
    """Six pictures in row groups of two; number 5 is none."""
    contents = [draw(colour) for colour in COLOURS[:5]] + [b"no picture"]
    rows = {
        "sha256": [sha_of(number) for number in range(6)],
        "name": [f"{number}.png" for number in range(6)],
        "content": contents,
    }
    path = tmp_path / "raw" / "one.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table(rows), path, row_group_size=2)
    return path.as_uri()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("MODELMILL_HOME", str(folder))
    return folder


@pytest.fixture
def pets(database: Any, dataset: str, segment: str) -> str:
    """Open: 3, 2, 1 and 0, in this order; 4 is a train picture of dogs."""
    for number in range(6):
        insert_sample(database, dataset, number, "dog" if number == 4 else "cat", segment=segment)
    near = Neighbour(sha256=sha_of(4), name="dog/4.png", label="dog", similarity=0.97)
    items = [make_item(dataset, n, suspicion=n / 10, neighbours=(near, near)) for n in range(4)]
    queue_reviews(database, items)
    return dataset


@pytest.fixture
def console(home: Path, tmp_path: Path, database: Any) -> Iterator[FastAPI]:
    (tmp_path / "runs").mkdir()
    yield create_app((tmp_path / "runs").as_uri())


@pytest.fixture
def token(home: Path, pets: str) -> str:
    return invite(locate_sessions(home), pets, "ann (review page)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launch_chromium() as launched:
        yield launched


@pytest.fixture
def closed(browser: Any, console: FastAPI, pets: str) -> Iterator[Any]:
    """The page without a session."""
    with run_console(console) as port:
        context = browser.new_context()
        page = context.new_page()
        page.problems, page.asked = [], []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.address = f"http://127.0.0.1:{port}/datasets/{pets}/review"
        yield page
        context.close()


@pytest.fixture
def page(closed: Any, token: str) -> Any:
    closed.goto(f"{closed.address}#{token}")
    closed.wait_for_selector("#work:not([hidden])")
    return closed
