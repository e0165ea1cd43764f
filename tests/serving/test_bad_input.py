"""Bad input against a real server: always a 4xx with a sentence, and the server lives on."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import unquote

import pytest

from serving.app import create_app
from serving.limits import Limits
from tests.serving.bad_input import DEPLOYMENT, Case, list_cases
from tests.serving.running import run_server
from tests.serving.tiny import plain, write_bundle

CASES = list_cases()
HEADER_SECONDS = 0.5
BODY_SECONDS = 1.0


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    limits = Limits(header_seconds=HEADER_SECONDS, body_seconds=BODY_SECONDS)
    bundle = write_bundle(tmp_path_factory.mktemp("bad") / "b")
    with run_server(create_app(bundle, DEPLOYMENT, 1, limits)) as made:
        yield made


def send(port: int, case: Case) -> tuple[int, bytes, str]:
    """Status, body and Content-Type."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with closing(connection):
        connection.putrequest(case.method, case.path, skip_accept_encoding=True)
        for name, value in case.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(case.body)))
        connection.endheaders()
        # It may have answered already, and hung up.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.send(case.body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["Content-Type"]


def find_sentence(case: Case, body: bytes) -> str:
    """The sentence, out of the error form of the API that the path belongs to."""
    answer = json.loads(body)
    path = unquote(case.path.split("?")[0])
    if path.startswith("/v2"):
        assert set(answer) == {"error"}
        return str(answer["error"])
    if (case.method, path) == ("POST", "/") or path.endswith("/ImageClassification"):
        assert answer["error_code"] != 0
        return str(answer["error_msg"])
    assert set(answer["error"]) == {"code", "message", "request_id"}
    return str(answer["error"]["message"])


def check_alive(port: int) -> None:
    good = Case("good", "/v1/predict", plain(255), {"Content-Type": "image/png"})
    status, body, _ = send(port, good)
    assert status == 200
    assert json.loads(body)["results"][0]["label"] == "bright"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.path[:24]} {case.name}")
def test_bad_input_is_answered_with_a_sentence(port: int, case: Case) -> None:
    status, body, kind = send(port, case)
    assert 400 <= status < 500, body[:300]
    assert kind == "application/json"
    sentence = find_sentence(case, body)
    assert len(sentence.split()) >= 3
    assert len(sentence) < 1000
    for leak in ("Traceback", "/site-packages/", "serving.", "0x"):
        assert leak not in sentence
    check_alive(port)


def listen(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    connection.settimeout(20)
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


@pytest.mark.parametrize("sent", [b"", b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_header_that_never_ends_is_given_up(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begin = time.monotonic()
        connection.sendall(sent)
        received = listen(connection)
        assert time.monotonic() - begin >= HEADER_SECONDS * 0.9
    assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"took longer than 0.5 s" in received
    check_alive(port)


def test_a_second_request_has_no_more_time_than_the_first(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(b"GET /livez HTTP/1.1\r\nX:")
        received = listen(connection)
    assert b"HTTP/1.1 408" in received


def test_a_header_of_any_length_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            connection.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"a" * (2**20))
            received = listen(connection)
        except (BrokenPipeError, ConnectionResetError):
            received = b"HTTP/1.1 400"
    assert received.startswith(b"HTTP/1.1 400")
    check_alive(port)


def test_an_offer_of_http_2_costs_no_body(port: int) -> None:
    # As Java's HttpClient makes it with every first request, unless told otherwise.
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAE"}
    headers = {**offer, "Content-Type": "image/png"}
    status, body, _ = send(port, Case("offer", "/v1/predict", plain(255), headers))
    assert status == 200
    assert json.loads(body)["results"][0]["label"] == "bright"


def test_many_slow_callers_keep_nobody_out(port: int) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    head += b"Content-Length: 900\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(head + b"\x89")
        check_alive(port)
        answers = [listen(connection) for connection in slow[:5]]
    finally:
        for connection in slow:
            connection.close()
    assert all(one.startswith(b"HTTP/1.1 408") for one in answers)
    check_alive(port)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /键盘 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_http_ends_the_connection_only(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = listen(connection)
    assert not received.startswith(b"HTTP/1.1 5")
    check_alive(port)
