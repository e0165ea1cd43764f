"""supervisord of one installation: started, asked, ended."""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from pydantic import BaseModel, ConfigDict

from pipelines.code import hash_sources
from pipelines.local.environment import OWNER_VARIABLE, child_environment
from pipelines.local.layout import LOCAL_CONF, REPO, Layout
from pipelines.settings import Settings
from serving.job.errors import UserError

STOP_SECONDS = 40
START_SECONDS = 15


class ProgramState(BaseModel):
    """What supervisord says of one program."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    pid: int
    reason: str


def service_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    """Environment of supervisord: every %(ENV_…)s of its configuration."""
    return {
        **child_environment(settings),
        "MM_RUNTIME": str(layout.runtime),
        "MM_LOG": str(layout.log),
        "MM_DATA": str(layout.data),
        "MM_JARS": str(layout.home / "jars"),
        "MM_LOCAL": str(LOCAL_CONF),
        "MM_JOBS": str(layout.jobs),
        "MM_CONTROL": str(layout.control),
        "AIRFLOW_HOME": str(layout.airflow_home),
        "AIRFLOW_CONFIG": str(layout.airflow_config),
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(
            {"conn_type": "spark", "host": settings.spark_master}
        ),
    }


@contextmanager
def _use_proxy(layout: Layout) -> Iterator[Any]:
    from supervisor.xmlrpc import SupervisorTransport

    # supervisor's transport ignores the URL, but ServerProxy insists on one.
    transport = SupervisorTransport(None, None, f"unix://{layout.supervisor_socket}")
    with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
        yield proxy.supervisor


def read_states(layout: Layout) -> dict[str, ProgramState]:
    """State of every program by name; empty where supervisord does not run."""
    if not layout.supervisor_socket.exists():
        return {}
    try:
        with _use_proxy(layout) as supervisor:
            rows = supervisor.getAllProcessInfo()
    except (OSError, Fault):
        return {}  # nobody listens, or it is on its way out
    return {
        row["name"]: ProgramState(
            name=row["name"], state=row["statename"], pid=row["pid"], reason=row["spawnerr"]
        )
        for row in rows
    }


def _fingerprint(environment: Mapping[str, str]) -> str:
    conf = (LOCAL_CONF / "supervisord.conf").read_text()
    # What the servers have loaded; the jobs read their code anew each time.
    code = hash_sources(REPO, ("pipelines", "serving"))
    parts = json.dumps([environment, conf, code], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def is_current(settings: Settings, layout: Layout) -> bool:
    """True where supervisord runs with these settings and this code."""
    stamp = layout.runtime / "fingerprint"
    wanted = _fingerprint(service_environment(settings, layout))
    return bool(read_states(layout)) and stamp.exists() and stamp.read_text() == wanted


def start_supervisor(settings: Settings, layout: Layout) -> None:
    """Start supervisord in the background; raises UserError if it does not answer."""
    environment = service_environment(settings, layout)
    layout.supervisor_socket.unlink(missing_ok=True)
    log = layout.log / "supervisord.log"
    done = subprocess.run(
        [str(layout.control / "bin" / "supervisord"), "-c", str(layout.supervisor_conf)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    end = time.monotonic() + START_SECONDS
    while done.returncode == 0 and time.monotonic() < end:
        if read_states(layout):
            (layout.runtime / "fingerprint").write_text(_fingerprint(environment))
            return
        time.sleep(0.1)
    raise UserError(f"supervisord did not start: {done.stderr.strip() or f'see {log}'}")


def start_program(layout: Layout, name: str) -> None:
    """Ask for a program; one that runs already is left alone."""
    with _use_proxy(layout) as supervisor:
        if supervisor.getProcessInfo(name)["statename"] in ("RUNNING", "STARTING"):
            return
        try:
            supervisor.startProcess(name, False)
        except Fault as fault:
            raise UserError(f"{name} cannot be started: {fault.faultString}") from None


def stop_everything(layout: Layout) -> None:
    """End supervisord and all that it, or an earlier one, started for this installation."""
    if read_states(layout):
        with _use_proxy(layout) as supervisor, suppress(psutil.Error):
            itself = psutil.Process(supervisor.getPID())
            supervisor.shutdown()
            itself.wait(timeout=STOP_SECONDS)
    end_owned_processes(layout)
    sockets = ("supervisor.sock", "docker.sock", "spark.sock")
    for name in (*sockets, "supervisord.pid", "dockerd.pid", "fingerprint"):
        (layout.runtime / name).unlink(missing_ok=True)


def find_owned_processes(layout: Layout) -> list[psutil.Process]:
    """Processes that carry this installation's mark in their environment, but this one."""
    owned = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.environ().get(OWNER_VARIABLE) == layout.home_label:
                owned.append(process)
        except (psutil.Error, OSError):
            continue
    return owned


def end_owned_processes(layout: Layout) -> None:
    """SIGTERM, and SIGKILL for those that are still there ten seconds later."""
    owned = find_owned_processes(layout)
    for process in owned:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(owned, timeout=10)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=10)


def measure_memory(pid: int) -> int:
    """Resident bytes of a process and its descendants."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += _own_memory(process)
    except psutil.Error:
        return total
    return total


def _own_memory(process: psutil.Process) -> int:
    try:
        # Forked workers share most of their pages: the proportional share counts each page once.
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0
