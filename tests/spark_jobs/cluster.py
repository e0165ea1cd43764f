"""A standalone Spark cluster in a folder of its own: nothing there leads to the repository."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyspark

from pipelines.code import write_archive
from serving.job.spec import Spec
from tests.mongo_server import find_jars, free_port, wait_for_port

REPO = Path(__file__).parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
DEPLOY = "org.apache.spark.deploy"
# For jobs of seconds: what the better compiler makes faster is less than what it takes itself.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def clean_environment() -> dict[str, str]:
    """Nothing that could lead to the repository."""
    dropped = ("PYTHONPATH", "PYSPARK_SUBMIT_ARGS", "PWD", "OLDPWD")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith("MODELMILL_")
    }
    spark = {"SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1"}
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    daemons = {"SPARK_NO_DAEMONIZE": "1", "SPARK_DAEMON_JAVA_OPTS": JAVA_OPTIONS}
    return kept | spark | python | daemons


@dataclass(frozen=True)
class Cluster:
    """A master's address, its folder, and the workers' processes, each with what it started."""

    address: str
    folder: Path
    workers: tuple["subprocess.Popen[bytes]", ...]

    def submit(
        self,
        spec: Spec,
        variables: Mapping[str, str],
        conf: Mapping[str, str] = MappingProxyType({}),
    ) -> "subprocess.Popen[str]":
        """Start the job as pipelines do; what it logs, and its driver too, is on stdout."""
        archive = write_archive(self.folder / "code")
        jars = [str(path) for path in find_jars("spark")]
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", self.address]
        command += ["--jars", ",".join(jars), "--driver-class-path", ":".join(jars)]
        command += ["--py-files", str(archive), "--executor-memory", "512m"]
        command += ["--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.ui.enabled=false"]
        command += ["--conf", f"spark.local.dir={self.folder / 'local'}"]
        for side in ("driver", "executor"):
            command += ["--conf", f"spark.{side}.extraJavaOptions={JAVA_OPTIONS}"]
        for key, value in conf.items():
            command += ["--conf", f"{key}={value}"]
        command += [str(REPO / "spark_jobs" / "main.py"), "--spec", spec.model_dump_json()]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=clean_environment() | dict(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def kill(process: "subprocess.Popen[bytes]") -> None:
    """At once, with all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


@contextmanager
def run_cluster(folder: Path, workers: int, cores: int) -> Iterator[Cluster]:
    """A master and so many workers of so many cores each, 1 GB of memory for each of them."""
    folder.mkdir()
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    spark_class = [str(SPARK_HOME / "bin" / "spark-class")]
    host = ["--host", "127.0.0.1", "--webui-port", "0"]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "log").open("wb") as log:

            def start(role: str, at: int, *more: str) -> None:
                process = subprocess.Popen(
                    [*spark_class, f"{DEPLOY}.{role}", *host, "--port", str(at), *more],
                    cwd=folder,
                    env=clean_environment(),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                processes.append(process)
                wait_for_port(at, process)

            start("master.Master", port)
            for number in range(workers):
                limits = ["-c", str(cores), "-m", "1g", "--work-dir", str(folder / f"work{number}")]
                start("worker.Worker", free_port(), *limits, address)
        yield Cluster(address, folder, tuple(processes[1:]))
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)
