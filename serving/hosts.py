"""Where a model server can live: in a container, or as a process of supervisord."""

from contextlib import AbstractContextManager
from typing import Literal, Protocol

from serving.job.spec import Spec

ServedBy = Literal["container", "process"]


class Trial(Spec):
    """A second version that takes a share of the requests, where the host has a gateway."""

    version: int
    image_tag: str
    bundle_uri: str
    percent: int


class Served(Spec):
    """One version of one deployment. replicas: how many servers, where the host has several.

    trial: has as many, which take its share of the requests.
    """

    deployment: str
    version: int
    image_tag: str
    bundle_uri: str
    replicas: int = 1
    trial: Trial | None = None


def try_beside(served: Served, trial: Trial) -> Served:
    """The version on trial, served as the one beside it."""
    return Served(
        deployment=served.deployment,
        version=trial.version,
        image_tag=trial.image_tag,
        bundle_uri=trial.bundle_uri,
        replicas=served.replicas,
    )


class Running(Spec):
    """A model server that exists; state is the host's own word for it.

    port: where the deployment is asked, by whatever stands before the server.
    """

    deployment: str
    version: int
    served_by: ServedBy
    state: str
    name: str
    port: int | None


class Host(Protocol):
    """Starts, swaps and ends model servers. All raise serving.smoke.ServeError."""

    @property
    def served_by(self) -> ServedBy: ...

    def candidate(self, served: Served) -> AbstractContextManager[str]:
        """Start a server beside the one in service; gives its address, ends it on leaving."""
        ...

    def serve(self, served: Served, port: int) -> None:
        """Serve on the deployment's port, in place of what serves there.

        Nothing happens where this version answers there already. Where it does not come up, the
        old one serves on, or again, and ServeError is raised. In the end the deployment has this
        version's servers and no other.
        """
        ...

    def stop(self, deployment: str) -> None:
        """End and remove the deployment's servers."""
        ...

    def list_running(self) -> tuple[Running, ...]:
        """Servers of this installation."""
        ...


def address_of(host: str, port: int) -> str:
    """Root of an API."""
    return f"http://{host}:{port}"
