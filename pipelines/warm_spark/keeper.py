"""Keeps one JVM warm, and lends it to one job at a time.

A job asks over a unix socket that only this user can reach, is given the JVM's port and secret,
and holds the connection while it works. It gives the JVM back in good order, or the JVM is ended:
whatever a job that failed, hung or was cancelled has left in there goes with it.
"""

import json
import select
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.warm_spark.borrow import BUSY, DONE, FREE, STARTING, Asking, Loan
from pipelines.warm_spark.gateway import NoAnswerError, check_answers, is_spark_idle
from pipelines.warm_spark.jvm import WarmJvm

TICK_S = 1.0
ASKING_S = 2.0


class Limits(BaseModel):
    """When a JVM is replaced. memory: resident bytes between two jobs."""

    model_config = ConfigDict(frozen=True)

    jobs: int = 50
    memory: int = 1_500_000_000
    patience_s: float = 20.0
    start_s: float = 120.0


class OutdatedError(Exception):
    """A job of other code or settings has asked: this process ends, and a new one is started."""


class Keeper:
    """The JVM, and who has it."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        fingerprint: str,
        place: Path,
        limits: Limits,
    ) -> None:
        """place: of the socket, in a folder that only this user may enter."""
        self._argv, self._environment = argv, environment
        self._fingerprint, self._place, self._limits = fingerprint, place, limits
        self._jvm: WarmJvm | None = None
        self._client: socket.socket | None = None
        self._jobs = 0

    def serve(self) -> None:
        """Until OutdatedError, or a signal."""
        self._place.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._place))
            self._place.chmod(0o600)
            listener.listen()
            try:
                while True:
                    self._look_after_jvm()
                    waiting = [listener, *([self._client] if self._client else [])]
                    ready, _, _ = select.select(waiting, [], [], TICK_S)
                    if self._client in ready:
                        self._take_back()
                    if listener in ready:
                        self._answer(listener.accept()[0])
            finally:
                self._replace("this keeper ends")

    def _look_after_jvm(self) -> None:
        jvm = self._jvm
        if jvm is not None and not jvm.is_alive():
            self._replace("it has ended")
        elif jvm is not None and self._is_late(jvm):
            self._replace("it did not start")
        if self._jvm is None and self._client is None:
            self._jvm, self._jobs = WarmJvm(self._argv, self._environment, self._place.parent), 0
            _say(f"JVM {self._jvm.pid} starts")

    def _is_late(self, jvm: WarmJvm) -> bool:
        late = time.monotonic() - jvm.started > self._limits.start_s
        return late and jvm.find_gateway() is None

    def _replace(self, reason: str) -> None:
        if self._jvm is not None:
            _say(f"JVM {self._jvm.pid} is ended: {reason}")
            self._jvm.end()
            # One that dies young must not be started again and again at once.
            time.sleep(0 if time.monotonic() - self._jvm.started > TICK_S else TICK_S)
        self._jvm = None

    def _answer(self, client: socket.socket) -> None:
        client.settimeout(ASKING_S)
        with suppress(OSError, ValueError):
            asking = Asking(**json.loads(client.recv(4096)))
            found = self._lend(asking)
            if isinstance(found, str):
                client.sendall(json.dumps({"refused": found}).encode() + b"\n")
                client.close()
                return
            client.sendall(json.dumps(found._asdict()).encode() + b"\n")
            self._client = client
            return
        client.close()

    def _lend(self, asking: Asking) -> Loan | str:
        """The JVM, or why not."""
        if self._client is not None:
            return BUSY
        gateway = self._jvm.find_gateway() if self._jvm else None
        if asking.only_looking:
            return STARTING if gateway is None else FREE
        if asking.fingerprint != self._fingerprint:
            raise OutdatedError
        if gateway is None:
            return STARTING
        try:
            check_answers(gateway, self._limits.patience_s / 4)
        except NoAnswerError as error:
            self._replace(str(error))
            return str(error)
        self._jobs += 1
        return Loan(*gateway)

    def _take_back(self) -> None:
        client, self._client = self._client, None
        said = b""
        if client is not None:
            with client, suppress(OSError):
                said = client.recv(len(DONE))
        reason = self._find_fault(said)
        if reason:
            self._replace(reason)

    def _find_fault(self, said: bytes) -> str:
        """Why the JVM cannot be lent again; empty where it can."""
        gateway = self._jvm.find_gateway() if self._jvm else None
        if self._jvm is None or gateway is None:
            return "it has ended"
        if said != DONE:
            return "its job failed or was ended"
        try:
            if not is_spark_idle(gateway, self._limits.patience_s):
                return "its job left Spark running"
        except NoAnswerError as error:
            return str(error)
        memory = self._jvm.measure_memory()
        _say(f"JVM {self._jvm.pid} is back: {self._jobs} jobs, {memory >> 20} MB")
        if memory > self._limits.memory:
            return f"it holds {memory >> 20} MB"
        return "it has served enough jobs" if self._jobs >= self._limits.jobs else ""


def _say(line: str) -> None:
    print(line, flush=True)
