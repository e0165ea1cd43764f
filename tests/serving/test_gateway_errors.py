"""What the gateway says by itself is what a server would say. A real container, no live server."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import pytest
import requests
from docker.client import DockerClient
from fastapi import Request
from requests.structures import CaseInsensitiveDict

from serving.app import render_error
from serving.containers import ContainerHost
from serving.environment import find_free_port
from serving.gateway_container import Gateway
from serving.gateway_errors import list_errors
from serving.request_errors import RequestError
from serving.request_ids import REQUEST_ID_HEADER

pytestmark = pytest.mark.integration

BODY_SECONDS = 1.5
ERRORS = {error.status: error for error in list_errors(BODY_SECONDS)}
# One of each API, and the paths where their rules meet.
ASKED = [
    ("POST", "/v1/predict"),
    ("POST", "/boards/ImageClassification"),
    ("POST", "/?threshold=0.1"),
    ("POST", "/v2/models/boards/infer"),
]
BORDERS = [
    ("GET", "/"),
    ("GET", "/metrics"),
    ("GET", "/v2"),
    ("GET", "/v2x"),
    ("POST", "/v2/ImageClassification"),
    ("POST", "/ImageClassifications"),
]


@dataclass
class Said:
    """An answer as it came."""

    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes

    @property
    def request_id(self) -> str:
        return self.headers[REQUEST_ID_HEADER]


@pytest.fixture
def port(
    docker_client: DockerClient, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """Of a gateway whose only replica is a name that nobody has."""
    monkeypatch.setenv("MODELMILL_SERVE_HEADER_SECONDS", "1")
    monkeypatch.setenv("MODELMILL_SERVE_BODY_SECONDS", str(BODY_SECONDS))
    free = find_free_port()
    Gateway(docker_client, deployment, free).direct([f"{deployment}-nobody"], [])
    yield free
    ContainerHost(docker_client).stop(deployment)


def send_half(port: int, *parts: str) -> Said:
    """A request by hand; each part but the first waits until the gateway asks for more."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as half:
        first, *others = parts
        half.sendall(first.encode())
        for part in others:
            assert half.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
            half.sendall(part.encode())
        received = b"".join(iter(lambda: half.recv(4096), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    pairs = [one.partition(": ") for one in lines]
    headers = CaseInsensitiveDict([(name, value) for name, _, value in pairs])
    return Said(int(line.split()[1]), headers, body)


def check_as_server(said: Said, error: RequestError, method: str, path: str) -> None:
    """Whether the server's own answer to this would be the same, byte by byte."""
    scope = {
        "type": "http",
        "method": method,
        # As a server decodes it.
        "path": unquote(path.partition("?")[0]),
        "query_string": b"",
        "headers": [(b"host", b"a")],
        "state": {"request_id": said.request_id},
    }
    wanted = render_error(error, Request(scope))
    assert said.body == wanted.body, (method, path)
    assert said.status == wanted.status_code
    for name in ("Content-Type", "Retry-After"):
        assert said.headers.get(name) == wanted.headers.get(name)
    assert said.headers["X-Content-Type-Options"] == "nosniff"


def test_that_no_server_answers_is_said_in_the_form_of_each_api(port: int) -> None:
    forms = set()
    for method, path in [*ASKED, *BORDERS]:
        answer = requests.request(method, f"http://127.0.0.1:{port}{path}", timeout=30)
        said = Said(answer.status_code, answer.headers, answer.content)
        check_as_server(said, ERRORS[503], method, path)
        forms.add(tuple(json.loads(said.body)))
    # By hand, for a client would send what it stands for.
    head = "POST /%762/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    check_as_server(send_half(port, head), ERRORS[503], "POST", "/%762/x")
    assert forms == {
        ("error",),
        ("log_id", "error_code", "error_msg"),
        ("cost_ms", "error_code", "error_msg"),
    }


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_half_a_request_is_refused_in_the_form_of_its_api(
    port: int, method: str, path: str
) -> None:
    begin = f"{method} {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
    slow = send_half(port, begin + "Content-Length: 9\r\n\r\n", "abc")
    check_as_server(slow, ERRORS[408], method, path)
    chunked = begin + "Transfer-Encoding: chunked\r\n\r\n"
    broken = send_half(port, chunked, "3\r\nabc\r\nno number\r\n")
    check_as_server(broken, ERRORS[400], method, path)


@pytest.mark.parametrize(
    ("sent", "status"), [("POST /v1/predict HTTP/1.1\r\nHo", 408), ("Hello!\r\n\r\n", 400)]
)
def test_what_is_no_request_gets_a_page_of_haproxys_own(port: int, sent: str, status: int) -> None:
    said = send_half(port, sent)
    assert (said.status, said.headers["Content-Type"]) == (status, "text/html")


def test_request_has_the_id_that_its_caller_gave_or_a_new_one(port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1/predict"

    def ask(given: str | None = None) -> str:
        headers = {REQUEST_ID_HEADER: given}
        answer = requests.post(url, b"x", headers=headers, timeout=30)
        assert answer.json()["error"]["request_id"] == answer.headers[REQUEST_ID_HEADER]
        return answer.headers[REQUEST_ID_HEADER]

    assert ask("my.own-id_1") == "my.own-id_1"
    made = [ask(), ask(), ask('"quoted"'), ask('fine, "quoted"'), ask("a, b"), ask("x" * 65)]
    assert len(set(made)) == 6
    assert all(len(one) == 36 for one in made)
