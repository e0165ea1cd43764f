"""What serves in this installation: python -m serving.inventory list|stop.

Each prints one JSON line a model server (serving.hosts.Running); stop also ends and removes
them. The desired state stays: reconcile brings them back.
"""

import argparse
import sys
from collections.abc import Sequence

from serving.hosts import Running
from serving.reconcile import use_hosts


def list_servers() -> list[Running]:
    """Containers and processes of this installation."""
    with use_hosts() as hosts:
        return [running for host in hosts for running in host.list_running()]


def stop_servers() -> list[Running]:
    """End and remove them; returns what there was."""
    found: list[Running] = []
    with use_hosts() as hosts:
        for host in hosts:
            running = host.list_running()
            for deployment in sorted({server.deployment for server in running}):
                host.stop(deployment)
            found += running
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print what serves, or served."""
    parser = argparse.ArgumentParser(prog="serving.inventory", allow_abbrev=False)
    parser.add_argument("action", choices=["list", "stop"])
    action = parser.parse_args(argv).action
    for running in stop_servers() if action == "stop" else list_servers():
        print(running.model_dump_json(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
