"""One JVM with Spark loaded and no session yet: what spark-submit starts, kept."""

import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from pipelines.warm_spark.gateway import Gateway

# pyspark's own names: where the JVM writes its port and secret, and that it is no remote one.
INFO_VARIABLE = "_PYSPARK_DRIVER_CONN_INFO_PATH"
_LENGTH = struct.Struct("!i")


class WarmJvm:
    """A running spark-submit of pyspark-shell; it ends with this process, whatever ends that."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        """Start it; folder: only this user may read it."""
        self._info = folder / f"gateway-{os.getpid()}-{time.monotonic_ns()}"
        self.started = time.monotonic()
        setpriv = shutil.which("setpriv")
        # Closing its standard input ends it, unless it hangs: then only the kernel can.
        tied = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        self._process = subprocess.Popen(
            [*tied, *argv],
            env={**environment, INFO_VARIABLE: str(self._info), "SPARK_CONNECT_MODE": "0"},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._gateway: Gateway | None = None

    @property
    def pid(self) -> int:
        """Its process, and the group that it leads."""
        return self._process.pid

    def find_gateway(self) -> Gateway | None:
        """None while it is starting."""
        if self._gateway is None and self._info.exists():
            content = self._info.read_bytes()
            (port,) = _LENGTH.unpack_from(content)
            (length,) = _LENGTH.unpack_from(content, _LENGTH.size)
            start = 2 * _LENGTH.size
            self._gateway = Gateway(port, content[start : start + length].decode())
            self._info.unlink()
        return self._gateway

    def is_alive(self) -> bool:
        """False once it has ended."""
        return self._process.poll() is None

    def measure_memory(self) -> int:
        """Resident bytes."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def end(self) -> None:
        """At once, with the Python workers that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._info.unlink(missing_ok=True)
