"""An MLflow that knows some runs, and nothing else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.pipelines.literals import TRAIN


@contextmanager
def serve_mlflow() -> Iterator[tuple[str, set[str]]]:
    """Its address, and the ids of the runs that it knows."""
    known = {TRAIN.mlflow_run_id}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)["run_id"][0]
            self.send_response(200 if asked in known else 404)
            self.end_headers()
            info = b'{"lifecycle_stage": "active", "experiment_id": "1"}'
            self.wfile.write(b'{"run": {"info": ' + info + b"}}")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", known
    finally:
        server.shutdown()
        server.server_close()
