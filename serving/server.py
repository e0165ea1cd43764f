"""Serve one bundle: python -m serving.server --bundle DIR --deployment NAME --version N."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from serving.app import create_app
from serving.bundle.predictor import BadBundleError

GRACE_SECONDS = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; requests in work get GRACE_SECONDS to end."""
    parser = argparse.ArgumentParser(prog="serving.server", allow_abbrev=False)
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    for name, kind in (("deployment", str), ("version", int)):
        # An image's entry point cannot take arguments from its build: it sets variables.
        default = os.environ.get(f"MODELMILL_{name.upper()}")
        parser.add_argument(f"--{name}", type=kind, default=default, required=default is None)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args(argv)
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        app = create_app(arguments.bundle, arguments.deployment, arguments.version)
    except BadBundleError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
