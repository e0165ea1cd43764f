"""A server that says it is well, and answers every picture with 200 and the same bytes.

nonsense.py FILE. It runs in a model's image in the server's place; it knows the standard library.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8000


class Handler(BaseHTTPRequestHandler):
    """Health as the model server tells it, and the file."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        health = {
            "status": "ok",
            "deployment": os.environ["MODELMILL_DEPLOYMENT"],
            "version": int(os.environ["MODELMILL_VERSION"]),
        }
        self._answer(json.dumps(health).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(Path(sys.argv[1]).read_bytes())

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()  # noqa: S104 - in a container
