"""Weight files from a web server: small enough, and nothing secret of their address is told."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from serving.job.errors import UserError
from training.backbones import fetch
from training.backbones.fetch import fetch_weights

CONTENT = bytes(range(256)) * 8


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path.startswith("/weights") else 404)
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Into no test's output."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_web_server_s_file_comes_whole(address: str) -> None:
    assert fetch_weights(f"{address}/weights") == CONTENT


@pytest.mark.parametrize("port", ["", "nobody"])
def test_what_is_secret_in_the_address_is_not_told(address: str, port: str) -> None:
    place = "http://127.0.0.1:9" if port else address
    with pytest.raises(UserError, match=r"cannot be read: .* of 127\.0\.0\.1\.") as raised:
        fetch_weights(f"{place}/gone?token=hidden")
    assert "hidden" not in str(raised.value)


def test_a_file_that_is_too_large_is_not_taken(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 1000)
    path = tmp_path / "weights"
    path.write_bytes(CONTENT)
    for uri in (f"{address}/weights", path.as_uri()):
        with pytest.raises(UserError, match=r"larger than 1,000 bytes"):
            fetch_weights(uri)
