"""The smoke test: a version answers beside the one in service before anything is sent to it."""

import fcntl
from collections.abc import Callable

from serving import environment
from serving.hosts import Served
from serving.job.errors import UserError
from serving.reconcile import choose_host, use_hosts
from serving.smoke import ServeError


def check_candidate(served: Served, check: Callable[[str], None]) -> None:
    """Start a server that takes no requests, and ask it; check raises ServeError.

    Raises UserError where it does not come up, or fails the check. One at a time in this
    installation: a host removes candidates that others have left.
    """
    path = environment.home() / "serve" / ".candidate.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("w") as file, use_hosts() as hosts:
            fcntl.flock(file, fcntl.LOCK_EX)
            host = choose_host(hosts, served.image_tag)
            if host.served_by == "process":
                print("No Docker engine: a local process will serve the model.", flush=True)
            with host.candidate(served) as address:
                check(address)
    except ServeError as error:
        raise UserError(
            f"Version {served.version} of {served.deployment} failed its smoke test and was "
            f"removed; what served before goes on. {error}"
        ) from None
