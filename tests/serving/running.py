"""A model server, or the console, on a port of its own, in a thread of the test's process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from serving.environment import find_free_port
from serving.patience import make_protocol


@contextmanager
def run_server(app: FastAPI) -> Iterator[int]:
    """The port; the server, with all that it took, is finished at the end."""
    port = find_free_port()
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False)
    if hasattr(app.state, "service"):
        config.http = make_protocol(app.state.service.limits.header_seconds)
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
