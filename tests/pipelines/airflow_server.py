"""Airflow's API as far as it tells which runs have not ended: a real server, and its runs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

USER, PASSWORD = "admin", "right"
Row = dict[str, Any]


def make_row(
    dag_id: str = "modelmill_train", *, at: str = "2026-01-03T00:00:00Z", state: str = "running"
) -> Row:
    """A run as Airflow tells it."""
    return {
        "dag_id": dag_id,
        "dag_run_id": f"manual__{at}",
        "state": state,
        "run_type": "manual",
        "run_after": at,
    }


def _choose(rows: list[Row], query: dict[str, list[str]]) -> Row:
    fit = [
        row
        for row in rows
        if row["state"] in query.get("state", [row["state"]])
        and row["dag_id"].startswith(query["dag_id_prefix_pattern"][0])
    ]
    start = int(query.get("offset", ["0"])[0])
    page = fit[start : start + int(query["limit"][0])]
    return {"dag_runs": page, "total_entries": len(fit)}


@contextmanager
def serve_airflow(rows: list[Row]) -> Iterator[int]:
    """Its port; `rows` may change while it serves."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            right = body == {"username": USER, "password": PASSWORD}
            self._send(201 if right else 401, {"access_token": "t0ken"})

        def do_GET(self) -> None:
            signed_in = self.headers["Authorization"] == "Bearer t0ken"
            parts = urlsplit(self.path)
            known = parts.path == "/api/v2/dags/~/dagRuns"
            status = 200 if signed_in and known else 404
            self._send(status, _choose(rows, parse_qs(parts.query)))

        def _send(self, status: int, body: Row) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
