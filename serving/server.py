"""Serve one bundle: python -m serving.server --bundle DIR --deployment NAME --version N."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from serving.app import create_app
from serving.bundle.predictor import BadBundleError
from serving.limits import LimitsError, read_limits
from serving.patience import make_protocol
from serving.service import Service
from serving.telemetry import set_up_logging

LOGGER = logging.getLogger("serving.server")
GRACE_SECONDS = 8
KEEP_ALIVE_SECONDS = 75


class DrainingServer(uvicorn.Server):
    """At the first signal it says "not ready", and closes the door only after a while.

    Whoever sends it work hears of it meanwhile, and nothing is lost that already stands at the
    door.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called in the main thread, between any two of its steps."""
        if self._service.draining:
            super().handle_exit(sig, frame)
            return
        self._service.draining = True
        end = threading.Timer(self._service.limits.drain_seconds, super().handle_exit, (sig, frame))
        end.daemon = True
        end.start()


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Bundle, deployment, version, host, port."""
    parser = argparse.ArgumentParser(prog="serving.server", allow_abbrev=False)
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    for name, kind in (("deployment", str), ("version", int)):
        # An image's entry point cannot take arguments from its build: it sets variables.
        default = os.environ.get(f"MODELMILL_{name.upper()}")
        parser.add_argument(f"--{name}", type=kind, default=default, required=default is None)
    parser.add_argument(
        "--tokens",
        type=Path,
        default=os.environ.get("MODELMILL_TOKENS") or None,
        help="the file of the deployment's tokens; may be missing",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; requests in work get GRACE_SECONDS to end.

    Whatever it says, from here on, is one JSON object a line; 1: it could not start, and said why.
    """
    arguments = parse_arguments(argv)
    set_up_logging()
    try:
        limits = read_limits(os.environ)
        app = create_app(
            arguments.bundle,
            arguments.deployment,
            arguments.version,
            limits,
            tokens=arguments.tokens,
        )
    except (BadBundleError, LimitsError, OSError) as error:
        LOGGER.error("The server cannot start: %s", error)
        return 1
    config = uvicorn.Config(
        app,
        host=arguments.host,
        port=arguments.port,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        http=make_protocol(limits.header_seconds),
        proxy_headers=False,
        ws="none",
        loop="asyncio",
        # Longer than a gateway or a client keeps an idle connection: whoever closes first must
        # not be the one that cannot send again.
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    DrainingServer(config, app.state.service).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
