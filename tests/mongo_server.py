"""The MongoDB-wire server of the tests, real, on a port of its own."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).parents[1]


def find_jars(name: str) -> list[Path]:
    """Jars that the installation fetched; none where it has not yet."""
    home = os.environ.get("MODELMILL_HOME", "")
    return sorted((Path(home) / "jars" / name / "lib").glob("*.jar")) if home else []


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: int = 60) -> None:
    for _ in range(seconds * 10):
        assert process.poll() is None, f"ended with {process.returncode}"
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}")


@contextmanager
def run_mongo(jars: list[Path], folder: Path) -> Iterator[str]:
    """mongodb://HOST:PORT of a server that keeps its data below `folder`."""
    port = free_port()
    source = REPO / "docker" / "local" / "mongo" / "MongoWireServer.java"
    command = ["java", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", ":".join(map(str, jars)), str(source)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "127.0.0.1", str(port), str(folder / "data")], stdout=log, stderr=log
        )
    try:
        wait_for_port(port, process)
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
