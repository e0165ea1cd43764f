"""Requests that the gateway takes in as a whole: sent again, or too slow. Real containers."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from urllib.parse import urlsplit

import pytest
import requests
from docker.client import DockerClient
from PIL import Image

from serving.containers import ContainerHost
from serving.environment import find_free_port
from serving.hosts import Served
from serving.image import build_model_image, name_image
from serving.sandbox import find_containers
from tests.serving.tiny import encode, plain

pytestmark = pytest.mark.integration

RAW = {"Content-Type": "application/octet-stream"}
SMALL_PICTURE = plain(255)
# As large as can be sent again, but for the header.
LARGE_PICTURE = encode(Image.new("RGB", (290, 290), "white"), compress_level=0)
CALLERS = 6


@pytest.fixture
def serve(
    docker_client: DockerClient, bundle: Path, deployment: str
) -> Iterator[Callable[[], str]]:
    """Puts two replicas behind a gateway, whose address it returns."""
    build_model_image(docker_client, bundle.as_uri(), deployment, 1)
    served = Served(
        deployment=deployment,
        version=1,
        image_tag=name_image(deployment, 1),
        bundle_uri=bundle.as_uri(),
        replicas=2,
    )
    host = ContainerHost(docker_client)

    def start() -> str:
        port = find_free_port()
        host.serve(served, port)
        return f"http://127.0.0.1:{port}/v1/predict"

    yield start
    host.stop(deployment)


@pytest.mark.parametrize("picture", [SMALL_PICTURE, LARGE_PICTURE], ids=["small", "large"])
def test_what_a_dead_server_had_not_read_another_one_answers(
    docker_client: DockerClient,
    deployment: str,
    serve: Callable[[], str],
    picture: bytes,
) -> None:
    """A stopped server reads nothing; when it is killed its kernel resets the connections.

    Every second caller has a connection to the gateway that was used before.
    """
    url, all_ready = serve(), Barrier(CALLERS + 1)
    replica = find_containers(docker_client, deployment=deployment, role="replica")[0]

    def ask(number: int) -> str:
        with requests.Session() as session:
            if number % 2:
                assert session.post(url, picture, headers=RAW, timeout=30).ok
            all_ready.wait(60)  # until the callers have connections
            all_ready.wait(60)  # until the server is stopped
            answer = session.post(url, picture, headers=RAW, timeout=30)
            return f"{answer.status_code} {answer.json()}"

    with ThreadPoolExecutor(CALLERS) as pool:
        asked = [pool.submit(ask, number) for number in range(CALLERS)]
        all_ready.wait(60)
        os.kill(replica.attrs["State"]["Pid"], signal.SIGSTOP)
        all_ready.wait(60)
        time.sleep(0.5)
        waiting = sum(not one.done() for one in asked)
        os.kill(replica.attrs["State"]["Pid"], signal.SIGKILL)
        answers = [one.result(60) for one in asked]
    # Its engine starts it again, and a server that is starting takes long to stop.
    replica.remove(force=True)
    # The gateway prefers who has less to do: of callers that come apart, one may be the only one.
    assert waiting >= 1
    assert [one for one in answers if not (one.startswith("200 ") and "bright" in one)] == []


def test_body_may_come_slowly_and_too_slow_is_said_as_servers_say_it(
    docker_client: DockerClient,
    deployment: str,
    serve: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELMILL_SERVE_HEADER_SECONDS", "1")
    monkeypatch.setenv("MODELMILL_SERVE_BODY_SECONDS", "4")
    url = serve()

    def send_slowly() -> Iterator[bytes]:
        yield SMALL_PICTURE[:10]
        time.sleep(2.5)  # longer than a header may take, at the gateway, too
        yield SMALL_PICTURE[10:]

    # Under the id that it has for the caller the request is in the server's log, too.
    given = {**RAW, "X-Request-ID": "it.came-slowly"}
    assert requests.post(url, send_slowly(), headers=given, timeout=30).ok
    replicas = find_containers(docker_client, deployment=deployment)
    # A line is written after its answer, and the engine takes it up when it likes.
    until = time.monotonic() + 10
    while not (logged := sum(b"it.came-slowly" in one.logs() for one in replicas)):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert logged == 1
    made = requests.post(url, SMALL_PICTURE, headers=RAW, timeout=30)
    assert made.json()["request_id"] == made.headers["X-Request-ID"]
    with socket.create_connection(("127.0.0.1", urlsplit(url).port), timeout=30) as half:
        half.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        received = b"".join(iter(lambda: half.recv(4096), b"")).decode()
    assert received.startswith("HTTP/1.1 408 ")
    assert '"code":"too_slow"' in received
    assert "The request took longer than 4 s to arrive." in received
