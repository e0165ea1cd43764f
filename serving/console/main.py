"""Run the console: python -m serving.console.main --port 8090."""

import argparse
import sys
from collections.abc import Sequence

import uvicorn

from serving import environment
from serving.console.app import create_app

# WebHDFS's address comes from the environment, so no NameNode is named here.
DEFAULT_RUNS = "hdfs:///modelmill/runs"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="serving.console.main", allow_abbrev=False)
    parser.add_argument("--host", default=environment.host())
    parser.add_argument("--port", type=int, default=environment.console_port())
    parser.add_argument("--runs-uri", default=DEFAULT_RUNS, help="folder of all runs")
    arguments = parser.parse_args(argv)
    uvicorn.run(
        create_app(arguments.runs_uri),
        host=arguments.host,
        port=arguments.port,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
