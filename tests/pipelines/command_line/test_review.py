"""./modelmill review: an address that lets its reader in once."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from serving.sessions import locate_sessions, redeem
from tests.pipelines.conftest import Run, insert_sample


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def console(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("MODELMILL_PORT_CONSOLE", str(server.server_port))
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_address_opens_the_datasets_page(
    run: Run, console: str, home: Path, database: Any, dataset: str
) -> None:
    insert_sample(database, dataset, "a" * 64, "cat")
    done = run("review", "--dataset", dataset, "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["dataset"], answer["open"]) == (dataset, 0)
    url = urlsplit(answer["url"])
    assert (url.netloc, url.path, url.query) == (console, f"/datasets/{dataset}/review", "")
    opened = redeem(locate_sessions(home), url.fragment, dataset)
    assert opened is not None
    assert opened[1].by.endswith("(review page)")
    assert redeem(locate_sessions(home), url.fragment, dataset) is None


def test_people_get_a_line(run: Run, console: str, database: Any, dataset: str) -> None:
    insert_sample(database, dataset, "a" * 64, "cat")
    done = run("review", "--dataset", dataset, "--no-browser")
    assert f"{dataset}: 0 to review" in done.out
    assert f"http://{console}/datasets/{dataset}/review#" in done.out
    assert "works once" in done.err


def test_an_upload_may_be_for_a_new_dataset(
    run: Run, console: str, home: Path, dataset: str
) -> None:
    done = run("upload", "--dataset", dataset, "--json")
    assert done.code == 0, done.err
    url = urlsplit(json.loads(done.out)["url"])
    assert url.path == f"/datasets/{dataset}/upload"
    assert redeem(locate_sessions(home), url.fragment, dataset) is not None
    assert f"{url.path}#" in run("upload", "--dataset", dataset).out


def test_an_upload_checks_the_name(run: Run, console: str) -> None:
    done = run("upload", "--dataset", "../x")
    assert done.code == 2
    assert "--dataset was '../x'" in done.err


def test_no_such_dataset(run: Run, console: str, dataset: str) -> None:
    done = run("review", "--dataset", dataset)
    assert done.code == 1
    assert f"dataset was '{dataset}'" in done.err


def test_a_console_that_is_down(
    run: Run, home: Path, database: Any, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_sample(database, dataset, "a" * 64, "cat")
    monkeypatch.setenv("MODELMILL_PORT_CONSOLE", "1")
    done = run("review", "--dataset", dataset)
    assert done.code == 1
    assert "The console at 127.0.0.1:1 does not answer. Start it: ./modelmill up" in done.err


@pytest.mark.parametrize("given", [(), ("--dataset", "a", "--deployment", "b")])
def test_a_dataset_or_a_deployment(run: Run, given: tuple[str, ...]) -> None:
    done = run("review", *given)
    assert done.code == 2
    assert "Give either --dataset NAME or --deployment NAME." in done.err


def test_a_deployments_name_is_checked(run: Run, console: str) -> None:
    done = run("review", "--deployment", "../x")
    assert done.code == 2
    assert "--deployment was '../x'" in done.err
