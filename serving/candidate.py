"""The smoke test: a version answers beside the one in service before anything is sent to it."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from serving import environment
from serving.desired import DesiredState, PastVersion
from serving.hosts import Host, Served
from serving.job.errors import UserError
from serving.reconcile import FAILURES, choose_host, use_hosts
from serving.slowness import find_slowness
from serving.smoke import ServeError


def check_candidate(
    served: Served,
    check: Callable[[str], None],
    pictures: Sequence[bytes],
    current: DesiredState | None,
    *,
    allow_slow: bool = False,
) -> str:
    """Start a server that takes no requests, ask it, and time it; check raises ServeError.

    pictures: what is timed. current: what is in service, and timed beside it; None: nothing is.
    allow_slow: being slow is told, in the sentence that comes back, and keeps it out no more.
    Raises UserError where it does not come up, or fails. One at a time in this installation: a host
    removes candidates that others have left.
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
                with _start_beside(hosts, current) as beside:
                    slow = find_slowness(address, beside, pictures)
                    if slow and not allow_slow:
                        raise ServeError(f"{slow} {say_way_in(served, current)}")
                    return slow
    except ServeError as error:
        raise UserError(
            f"Version {served.version} of {served.deployment} failed its smoke test and was "
            f"removed; what served before goes on. {error}"
        ) from None


def say_way_in(served: Served, current: DesiredState | None) -> str:
    """What to do with a version that is too slow."""
    train = "Train with a smaller backbone or input (max_latency_ms in the form)"
    if current is None:
        # Only a deployment that is there can be promoted to.
        return f"{train}."
    name = served.deployment
    commands = [f"./modelmill promote {name} {served.version} --allow-slow"]
    if current.wants_canary(PastVersion(**served.model_dump(exclude={"deployment"}))):
        # A canary would be sent away as slow.
        commands.insert(0, f"./modelmill deploy {name} --set canary_percent=0")
    return f"{train}, or let it in all the same: {' and then '.join(commands)}."


@contextmanager
def _start_beside(hosts: tuple[Host, ...], current: DesiredState | None) -> Iterator[str | None]:
    """One more server of the version in service, which nobody else keeps busy.

    The one in service would answer the callers meanwhile, and may ask for a token.
    """
    with ExitStack() as stack:
        address = None
        if current is not None:
            served = Served(deployment=current.deployment, **current.past.model_dump())
            host = choose_host(hosts, served.image_tag)
            try:
                address = stack.enter_context(host.candidate(served))
            except FAILURES as error:
                print(f"Version {served.version} cannot be timed beside it: {error}", flush=True)
        yield address
