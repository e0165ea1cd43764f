"""What runs, where, and how much memory it takes."""

from pydantic import BaseModel, ConfigDict

from pipelines.local.inventory import call_inventory
from pipelines.local.layout import Layout, read_layout
from pipelines.local.services import SERVICES, Service, check_service
from pipelines.local.supervision import measure_memory, read_states
from pipelines.settings import Settings


class ServiceStatus(BaseModel):
    """One line of `status`; memory in bytes, shared pages counted once."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    address: str
    memory: int = 0


class ModelServer(BaseModel):
    """A model that is served, and by what: a container or a process."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deployment: str
    version: int
    served_by: str
    state: str
    name: str
    port: int | None


class Status(BaseModel):
    """Everything that `status` shows."""

    model_config = ConfigDict(frozen=True)

    home: str
    services: tuple[ServiceStatus, ...]
    servers: tuple[ModelServer, ...]

    @property
    def memory(self) -> int:
        """Bytes of all services together."""
        return sum(service.memory for service in self.services)


def read_status(settings: Settings) -> Status:
    """Ask supervisord and each service."""
    layout = read_layout(settings)
    states = read_states(layout)
    rows = []
    for service in SERVICES:
        state = states.get(service.name)
        if not service.is_wanted(settings):
            rows.append(_describe_unwanted(service, settings))
            continue
        running = state is not None and state.pid > 0
        rows.append(
            ServiceStatus(
                name=service.name,
                state=_describe(service, settings, layout) if running else "stopped",
                address=service.address(settings, layout),
                memory=measure_memory(state.pid) if state is not None and running else 0,
            )
        )
    servers = _read_servers(settings, layout) if states else ()
    return Status(home=str(settings.home), services=tuple(rows), servers=servers)


def _describe_unwanted(service: Service, settings: Settings) -> ServiceStatus:
    if not service.replaced_by:
        return ServiceStatus(name=service.name, state="not wanted", address="-")
    address = str(getattr(settings, service.replaced_by)).rpartition("@")[2]
    return ServiceStatus(name=service.name, state="external", address=address)


def _describe(service: Service, settings: Settings, layout: Layout) -> str:
    reason = check_service(service, settings, layout)
    return "ready" if reason is None else f"running, but {reason}"


def _read_servers(settings: Settings, layout: Layout) -> tuple[ModelServer, ...]:
    done = call_inventory(settings, layout, "list")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return tuple(ModelServer.model_validate_json(line) for line in lines)
