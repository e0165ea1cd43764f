"""Our supervisord over its unix socket: programs that come and go with deployments."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from serving import environment
from serving.smoke import ServeError

SOCKET_VARIABLE = "MODELMILL_SUPERVISOR"


@contextmanager
def use_supervisor() -> Iterator[Any]:
    """Its XML-RPC interface; raises ServeError where none answers."""
    from supervisor.xmlrpc import SupervisorTransport

    path = environment.read_variable(SOCKET_VARIABLE, "the path of supervisord's unix socket")
    # supervisor's transport ignores the URL, but ServerProxy insists on one.
    transport = SupervisorTransport(None, None, f"unix://{path}")
    with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
        try:
            proxy.supervisor.getState()
        except OSError as error:
            raise ServeError(
                f"No supervisord answers at {path} ({error.strerror or error}), so no process "
                f"here can serve. Start the services of {environment.home()}, ./modelmill up, or "
                f"name the installation that serves by MODELMILL_HOME; then say it again."
            ) from None
        yield proxy.supervisor


def remove_program(supervisor: Any, program: str) -> None:
    """Stop it and forget it, if it is there."""
    from supervisor.xmlrpc import Faults

    try:
        supervisor.stopProcessGroup(program, True)
        supervisor.removeProcessGroup(program)
    except Fault as fault:
        if fault.faultCode != Faults.BAD_NAME:
            raise


def add_program(supervisor: Any, program: str) -> None:
    """Start what stands in its configuration by now; raises ServeError where nothing does."""
    from supervisor.xmlrpc import Faults

    supervisor.reloadConfig()
    try:
        supervisor.addProcessGroup(program)
    except Fault as fault:
        if fault.faultCode != Faults.BAD_NAME:
            raise
        raise ServeError(
            f"supervisord knows no {program}: its configuration must include "
            f"{environment.home() / 'serve'}/*.conf"
        ) from None
