"""The servers of one installation: where each listens, and how one tells that it is ready."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipelines.local.layout import Layout
from pipelines.settings import PREFIX, Settings
from pipelines.warm_spark.borrow import BUSY, FREE, Asking, RefusedError, ask

# A check returns None when the service is ready, else what is still missing.
Check = Callable[[Settings, Layout], str | None]


@dataclass(frozen=True)
class Service:
    """One program of docker/local/supervisord.conf.

    `ports` are the Settings fields it listens on, the first being its address; `replaced_by` is
    the Settings field that, when given, takes its place. `optional`: nothing waits for it, and
    all works without it.
    """

    name: str
    ports: tuple[str, ...]
    check: Check
    replaced_by: str = ""
    optional: bool = False

    def is_wanted(self, settings: Settings) -> bool:
        """False where an existing service is used instead, or the settings want none."""
        if self.name == SPARK:
            return settings.keeps_spark
        return not (self.replaced_by and getattr(settings, self.replaced_by))

    def address(self, settings: Settings, layout: Layout) -> str:
        """HOST:PORT, or the socket's path."""
        if self.name == DOCKERD:
            return str(layout.docker_socket)
        return f"{settings.host}:{getattr(settings, self.ports[0])}" if self.ports else "-"


def _get(url: str, path: str) -> httpx.Response:
    return httpx.get(url + path, timeout=5, trust_env=False)


def _check_namenode(settings: Settings, _: Layout) -> str | None:
    url = f"http://{settings.host}:{settings.port_webhdfs}"
    answer = _get(url, "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo")
    beans = answer.json()["beans"]
    if not beans:
        return "is starting"
    return beans[0]["Safemode"] or None


def _check_datanode(settings: Settings, _: Layout) -> str | None:
    url = f"http://{settings.host}:{settings.port_webhdfs}"
    answer = _get(url, "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState")
    beans = answer.json()["beans"]
    alive = beans[0]["NumLiveDataNodes"] if beans else 0
    return None if alive else "has not registered with the NameNode"


def _check_mongo(settings: Settings, _: Layout) -> str | None:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    try:
        with MongoClient[dict[str, object]](
            settings.mongo_address, serverSelectionTimeoutMS=2000
        ) as client:
            client.admin.command("ping")
    except PyMongoError:
        return "does not answer"
    return None


def _check_mlflow(settings: Settings, _: Layout) -> str | None:
    answer = _get(settings.mlflow_address, "/health")
    return None if answer.status_code == 200 else f"answers {answer.status_code}"


def _check_console(settings: Settings, _: Layout) -> str | None:
    answer = _get(settings.console_address, "/healthz")
    return None if answer.status_code == 200 else f"answers {answer.status_code}"


def _airflow_health(settings: Settings, part: str) -> str | None:
    health = _get(settings.airflow_address, "/api/v2/monitor/health").json()
    status = health[part]["status"]
    return None if status == "healthy" else f"is {status or 'not there yet'}"


def _check_dockerd(_: Settings, layout: Layout) -> str | None:
    transport = httpx.HTTPTransport(uds=str(layout.docker_socket))
    with httpx.Client(transport=transport, timeout=5) as client:
        answer = client.get("http://docker/_ping")
    return None if answer.status_code == 200 else f"answers {answer.status_code}"


def _check_spark(_: Settings, layout: Layout) -> str | None:
    try:
        ask(str(layout.warm_spark_socket), Asking(only_looking=True), patience_s=5)[0].close()
    except RefusedError as refused:
        return None if str(refused) in (FREE, BUSY) else str(refused)
    return None


DOCKERD, SPARK = "dockerd", "spark"
SERVICES = (
    Service(DOCKERD, (), _check_dockerd),
    Service("namenode", ("port_webhdfs", "port_hdfs"), _check_namenode, "hdfs_uri"),
    Service(
        "datanode",
        ("port_datanode", "port_datanode_http", "port_datanode_ipc"),
        _check_datanode,
        "hdfs_uri",
    ),
    Service("mongo", ("port_mongo",), _check_mongo, "mongo_uri"),
    Service("mlflow", ("port_mlflow",), _check_mlflow, "mlflow_uri"),
    Service(
        "airflow-api-server",
        ("port_airflow",),
        lambda settings, _: _airflow_health(settings, "metadatabase"),
    ),
    Service("airflow-scheduler", (), lambda settings, _: _airflow_health(settings, "scheduler")),
    Service(
        "airflow-dag-processor", (), lambda settings, _: _airflow_health(settings, "dag_processor")
    ),
    Service("console", ("port_console",), _check_console),
    Service(SPARK, (), _check_spark, optional=True),
)


def check_service(service: Service, settings: Settings, layout: Layout) -> str | None:
    """Ask a service; None when it is ready, else why not."""
    try:
        return service.check(settings, layout)
    except (httpx.HTTPError, ValueError, KeyError):
        return "does not answer"


def find_busy_ports(services: list[Service], settings: Settings) -> list[str]:
    """One sentence per port that another program holds, naming the setting to change."""
    sentences = []
    for service in services:
        for field in service.ports:
            port = getattr(settings, field)
            with socket.socket() as probe:
                # As the servers do: a port in TIME_WAIT counts as free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((settings.host, port))
                except OSError as error:
                    sentences.append(
                        f"Port {port} of {settings.host}, for {service.name}, cannot be had "
                        f"({error.strerror}): set {PREFIX}{field.upper()} to a free one."
                    )
    return sentences


def read_last_lines(log: Path, count: int = 15) -> str:
    """End of a log; a sentence where there is none."""
    if not log.exists():
        return f"(no {log} was written)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-count:])
