"""A model server on a port of its own, in a thread of the test's process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from serving.environment import find_free_port
from serving.patience import make_protocol


@contextmanager
def run_server(app: FastAPI) -> Iterator[int]:
    """The port; the server, with all that it took, is finished at the end."""
    protocol = make_protocol(app.state.service.limits.header_seconds)
    with _run(app, http=protocol) as port:
        yield port


@contextmanager
def run_console(app: FastAPI) -> Iterator[int]:
    """The same for the console."""
    with _run(app) as port:
        yield port


@contextmanager
def _run(app: FastAPI, **options: Any) -> Iterator[int]:
    port = find_free_port()
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
