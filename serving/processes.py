"""Model servers as local processes: where no Docker engine answers.

The server in service is a program of our supervisord, one HOME/serve/<deployment>.conf each,
which its configuration includes. A candidate is a child of the job and ends with it.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving import environment
from serving.bundle_files import drop_fetched, fetch_bundle
from serving.hosts import Running, Served, ServedBy, address_of
from serving.last_words import read_last_words
from serving.smoke import ServeError, read_health, wait_ready
from serving.supervising import add_program, remove_program, use_supervisor
from serving.tokens import locate_tokens

STOP_SECONDS = 12
LAST_BYTES = 2000
_COMMAND = re.compile(r"--version (\d+) .*--port (\d+)")


def _conf_path(deployment: str) -> Path:
    return environment.home() / "serve" / f"{deployment}.conf"


def _program(deployment: str) -> str:
    return f"serve-{deployment}"


def _make_argv(served: Served, bundle: Path, port: int) -> list[str]:
    argv = [sys.executable, "-m", "serving.server", "--bundle", str(bundle)]
    argv += ["--deployment", served.deployment, "--version", str(served.version)]
    # In this order: _COMMAND finds the version and the port.
    return [*argv, "--host", environment.host(), "--port", str(port)]


def _make_environment() -> dict[str, str]:
    """What the server needs and no more: the job's own environment may hold passwords."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    kept |= environment.server_settings()
    return {**kept, "PYTHONPATH": str(environment.REPO), "PYTHONUNBUFFERED": "1"}


def render_program(served: Served, bundle: Path, port: int, log: Path) -> str:
    """The deployment's section of supervisord's configuration."""

    def escape(value: str) -> str:
        return value.replace("%", "%%")  # supervisord expands %(name)s

    command = escape(shlex.join(_make_argv(served, bundle, port)))
    tokens = str(locate_tokens(environment.home(), served.deployment))
    kept = environment.keep_settings(served.deployment)
    made = {**_make_environment(), **kept, "MODELMILL_TOKENS": tokens}
    variables = ",".join(f'{k}="{escape(v)}"' for k, v in made.items())
    return "\n".join(
        [
            f"[program:{_program(served.deployment)}]",
            f"command={command}",
            f"environment={variables}",
            f"directory={escape(str(environment.home()))}",
            "autostart=true",
            "autorestart=true",
            "startsecs=2",
            "startretries=5",
            f"stopwaitsecs={STOP_SECONDS}",
            "redirect_stderr=true",
            f"stdout_logfile={escape(str(log))}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=2",
            "",
        ]
    )


def _tail(path: Path) -> str:
    if not path.is_file():
        return "it said nothing"
    log = path.read_bytes()[-LAST_BYTES:].decode(errors="replace")
    return read_last_words(log) or "it said nothing"


class ProcessHost:
    """One program of supervisord a deployment."""

    @property
    def served_by(self) -> ServedBy:
        return "process"

    @contextmanager
    def candidate(self, served: Served) -> Iterator[str]:
        bundle = fetch_bundle(served.bundle_uri, served.deployment, served.version)
        port = environment.find_free_port()
        with tempfile.NamedTemporaryFile(prefix="modelmill-candidate-") as log:
            process = subprocess.Popen(
                _make_argv(served, bundle, port),
                env=_make_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                address = address_of(environment.host(), port)
                wait_ready(
                    address,
                    served.deployment,
                    served.version,
                    lambda: None if process.poll() is None else _tail(Path(log.name)),
                )
                yield address
            finally:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def serve(self, served: Served, port: int) -> None:
        bundle = fetch_bundle(served.bundle_uri, served.deployment, served.version)
        log = environment.home() / "log" / f"serve-{served.deployment}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment.make_kept_folder(served.deployment)
        path = _conf_path(served.deployment)
        before = path.read_text() if path.is_file() else None
        wanted = render_program(served, bundle, port, log)
        if before != wanted or not _answers(served, port):
            with use_supervisor():
                _write(path, wanted)
            try:
                self._restart(served, port, log)
            except ServeError:
                self._restore(served.deployment, before)
                raise
            known = _COMMAND.search(before or "")
            if known is None or int(known[1]) != served.version:
                print(f"{served.deployment} version {served.version} serves now.", flush=True)
        drop_fetched(served.deployment, keep=served.version)

    def _restart(self, served: Served, port: int, log: Path) -> None:
        program = _program(served.deployment)
        with use_supervisor() as supervisor:
            remove_program(supervisor, program)
            if not environment.is_port_free(port):
                raise ServeError(
                    f"Port {port} of {served.deployment} is taken by another program. Free it "
                    f"(ss -ltnp 'sport = :{port}' names it) and try again."
                )
            add_program(supervisor, program)

            def find_death() -> str | None:
                state = supervisor.getProcessInfo(program)["statename"]
                return _tail(log) if state in ("FATAL", "EXITED", "STOPPED") else None

            address = address_of(environment.host(), port)
            wait_ready(address, served.deployment, served.version, find_death)

    def _restore(self, deployment: str, before: str | None) -> None:
        with use_supervisor() as supervisor:
            remove_program(supervisor, _program(deployment))
            if before is None:
                _conf_path(deployment).unlink(missing_ok=True)
                supervisor.reloadConfig()
            else:
                _write(_conf_path(deployment), before)
                add_program(supervisor, _program(deployment))

    def stop(self, deployment: str) -> None:
        path = _conf_path(deployment)
        if not path.is_file():
            return
        path.unlink()
        with use_supervisor() as supervisor:
            remove_program(supervisor, _program(deployment))
            supervisor.reloadConfig()
        drop_fetched(deployment, keep=None)

    def list_running(self) -> tuple[Running, ...]:
        return tuple(
            self._describe(path)
            for path in sorted((environment.home() / "serve").glob("*.conf"))
            if _COMMAND.search(path.read_text())
        )

    def _describe(self, path: Path) -> Running:
        found = _COMMAND.search(path.read_text())
        if found is None:
            raise RuntimeError(f"{path} was changed by hand: remove it and reconcile")
        version, port = int(found[1]), int(found[2])
        health = read_health(address_of(environment.host(), port))
        alive = health is not None and health.deployment == path.stem
        return Running(
            deployment=path.stem,
            version=version,
            served_by=self.served_by,
            state="running" if alive else "not answering",
            name=_program(path.stem),
            port=port,
        )


def _answers(served: Served, port: int) -> bool:
    health = read_health(address_of(environment.host(), port))
    return health is not None and (health.deployment, health.version) == (
        served.deployment,
        served.version,
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".conf.new")
    fresh.write_text(text)
    fresh.replace(path)
