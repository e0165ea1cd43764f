"""Airflow's API as far as the commands ask it of runs: a real server, and its runs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

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
    """Its port; `rows` may change while it serves.

    A row's `tasks` are its task instances; what is cleared of them stands in its `cleared`. Its
    `written_over` is the state that a scheduler gives it once after it was changed.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self._read()
            if self.path.endswith("/clearTaskInstances"):
                row = next(one for one in rows if one["dag_run_id"] == body["dag_run_id"])
                row |= {"state": "running", "cleared": body["task_ids"]}
                self._send(200, {"task_instances": []})
                return
            right = body == {"username": USER, "password": PASSWORD}
            self._send(201 if right else 401, {"access_token": "t0ken"})

        def do_PATCH(self) -> None:
            row = self._find_run()
            row |= self._read()
            self._send(200, row)
            if (written_over := row.pop("written_over", None)) is not None:
                row["state"] = written_over

        def do_GET(self) -> None:
            signed_in = self.headers["Authorization"] == "Bearer t0ken"
            parts = urlsplit(self.path)
            if not signed_in:
                self._send(404, {})
            elif parts.path == "/api/v2/dags/~/dagRuns":
                self._send(200, _choose(rows, parse_qs(parts.query)))
            elif parts.path.endswith("/taskInstances"):
                self._send(200, {"task_instances": self._find_run().get("tasks", [])})
            elif "/xcomEntries/" in parts.path:
                self._send(404, {})
            else:
                self._send(200, self._find_run())

        def _read(self) -> Row:
            found: Row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return found

        def _find_run(self) -> Row:
            path = unquote(urlsplit(self.path).path)
            return next(one for one in rows if f"/dagRuns/{one['dag_run_id']}" in path)

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
