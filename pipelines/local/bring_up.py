"""From nothing, or from whatever is left, to a stack that is ready."""

import fcntl
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.context import make_installation
from pipelines.local import jars, packages, prepare, supervision
from pipelines.local.configuration import prepare_home
from pipelines.local.docker_engine import NO_DOCKER, choose_engine, is_engine_wanted
from pipelines.local.layout import Layout, read_layout
from pipelines.local.report import say, step
from pipelines.local.services import (
    DOCKERD,
    SERVICES,
    Service,
    check_service,
    find_busy_ports,
    read_last_lines,
)
from pipelines.settings import Settings
from serving.job.errors import UserError

HDFS_SERVER = "org.apache.hadoop.hdfs.server"
READY_SECONDS = 240
PORT_SECONDS = 10
# Given up by supervisord: nothing will come of waiting.
HOPELESS = ("FATAL", "EXITED", "UNKNOWN")


@contextmanager
def hold_lock(layout: Layout) -> Iterator[None]:
    """One `up` or `down` at a time; the second waits."""
    layout.home.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another ./modelmill up or down to end …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def bring_up(settings: Settings) -> None:
    """Set up, start and wait until everything is ready; raises UserError."""
    installation = make_installation(settings)
    layout = installation.layout
    with hold_lock(layout):
        if supervision.is_current(settings, layout) and not _find_unready(settings, layout):
            prepare.prepare_jobs(installation)
            _start_optional(settings, layout)
            return
        _set_up(settings, layout)
        services = _choose_services(settings, layout)
        if not supervision.is_current(settings, layout):
            if supervision.read_states(layout) or supervision.find_owned_processes(layout):
                with step("Ending what an earlier start, or other settings, left running"):
                    supervision.stop_everything(layout)
            await_ports(services, settings)
            supervision.start_supervisor(settings, layout)
        for service in services:
            supervision.start_program(layout, service.name)
        _wait_until_ready(services, settings, layout)
        prepare.prepare_airflow(installation)
        prepare.prepare_jobs(installation)
        _start_optional(settings, layout)


def take_down(settings: Settings) -> None:
    """End every container and process of this installation, and nothing else."""
    layout = read_layout(settings)
    with hold_lock(layout):
        if layout.airflow_config.exists():
            prepare.stop_servers(settings, layout)
        supervision.stop_everything(layout)
        layout.docker_address.unlink(missing_ok=True)
        shutil.rmtree(layout.runtime, ignore_errors=True)


def _set_up(settings: Settings, layout: Layout) -> None:
    own_engine_runs = supervision.read_states(layout).get(DOCKERD)
    engine_is_wanted = is_engine_wanted(settings) and not (
        own_engine_runs and own_engine_runs.state == "RUNNING"
    )
    packages.provide_packages(
        packages.find_missing(
            jars_are_there=jars.are_jars_there(layout), engine_is_wanted=engine_is_wanted
        ),
        settings,
    )
    jars.fetch_jars(layout)
    prepare_home(settings, layout)
    layout.docker_address.write_text(choose_engine(settings, layout))
    if layout.docker_address.read_text() == NO_DOCKER:
        say("No Docker engine: models are served by local processes.")
    if not settings.hdfs_uri and not (layout.data / "hdfs" / "name" / "current").exists():
        _format_namenode(settings, layout)
    prepare.migrate_airflow(settings, layout)


def _format_namenode(settings: Settings, layout: Layout) -> None:
    with step("Formatting HDFS"):
        done = subprocess.run(
            [
                *("java", "-cp", f"{layout.hadoop_conf}:{layout.jars('hdfs')}/*"),
                *(f"{HDFS_SERVER}.namenode.NameNode", "-format", "-nonInteractive"),
            ],
            env=supervision.service_environment(settings, layout),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise UserError(f"HDFS could not be formatted:\n{done.stderr[-2000:]}")


def _choose_services(settings: Settings, layout: Layout) -> list[Service]:
    own_engine = layout.docker_address.read_text() == f"unix://{layout.docker_socket}"
    return [
        service
        for service in SERVICES
        if service.is_wanted(settings)
        and not service.optional
        and (service.name != DOCKERD or own_engine)
    ]


def _start_optional(settings: Settings, layout: Layout) -> None:
    """Last, for they use what was prepared; a failure of theirs is told and no more."""
    for service in SERVICES:
        if service.optional and service.is_wanted(settings):
            try:
                supervision.start_program(layout, service.name)
            except UserError as error:
                say(f"{error} All works without it, some seconds slower.")


def _find_unready(settings: Settings, layout: Layout) -> list[str]:
    return [
        service.name
        for service in _choose_services(settings, layout)
        if check_service(service, settings, layout) is not None
    ]


def await_ports(
    services: list[Service], settings: Settings, patience_s: float = PORT_SECONDS
) -> None:
    """Raise UserError, a sentence per port, where some are still taken after patience_s seconds.

    A server that was killed holds its ports until the last of its processes is gone.
    """
    end = time.monotonic() + patience_s
    busy = find_busy_ports(services, settings)
    if busy:
        ports = "A port is" if len(busy) == 1 else f"{len(busy)} ports are"
        say(f"{ports} still taken; waiting up to {patience_s:.0f} s …")
    while busy and time.monotonic() < end:
        time.sleep(0.2)
        busy = find_busy_ports(services, settings)
    if busy:
        raise UserError("\n".join(busy))


def _wait_until_ready(services: list[Service], settings: Settings, layout: Layout) -> None:
    begin = time.monotonic()
    waiting = {service.name: service for service in services}
    say(f"Starting {', '.join(waiting)} …")
    while waiting:
        states = supervision.read_states(layout)
        for name, service in list(waiting.items()):
            reason = check_service(service, settings, layout)
            elapsed = time.monotonic() - begin
            if reason is None:
                say(f"    {name} is ready ({elapsed:.0f} s)")
                del waiting[name]
                continue
            state = states.get(name)
            if elapsed > READY_SECONDS or (state and state.state in HOPELESS):
                log = layout.log / f"{name}.log"
                raise UserError(
                    f"{name} is not ready after {elapsed:.0f} s: it {reason}. "
                    f"The last lines of {log}:\n{read_last_lines(log)}"
                )
        time.sleep(0.5)
