"""A real keeper with a real JVM, and jobs that borrow it as Airflow's tasks do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.code import write_archive
from pipelines.commands import Command, SparkMaster, spark_command, warm_command
from pipelines.context import make_installation
from pipelines.local.layout import REPO
from pipelines.settings import read_settings
from pipelines.warm_spark.borrow import FREE, Asking, RefusedError, ask
from spark_jobs.spec import WarmUpSpec

HERE = Path(__file__).parent
# Counts in Spark, writes down who did it, and ends as it is told; it runs in the jobs' environment.
JOB = """
import json
import os
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

spec = json.loads(sys.argv[-1])
folder = Path(spec["folder"])
session = SparkSession.builder.getOrCreate()
jvm = session.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
tries = folder / "tries"
with tries.open("a") as file:
    file.write(f"{jvm} {os.getpid()}\\n")
first = len(tries.read_text().splitlines()) == 1
if first and spec.get("wait"):
    (folder / "running").touch()
    # In the executors, where neither a lost driver nor a closed connection is noticed.
    session.range(0, 2, 1, 2).rdd.map(lambda _: time.sleep(spec["wait"])).count()
rows = session.range(1000).mapInArrow(lambda batches: batches, "id long").collect()
(folder / "result").write_text(f"{sum(row.id for row in rows)}")
if not spec.get("leave"):
    session.stop()
sys.exit(spec.get("exit", 0))
"""
LOCAL = SparkMaster(master="local[2]")
PATIENCE_S = 8
WAIT_S = 120.0


def wait_for(check: Callable[[], object], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@dataclass(frozen=True)
class Job:
    """A job that was started; its output goes to a file."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    def finish(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        code = self.process.wait(WAIT_S)
        return code, (self.folder / "log").read_text()

    @property
    def tries(self) -> list[tuple[int, int]]:
        """Process ids of the JVM and of the driver of each try."""
        file = self.folder / "tries"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]

    @property
    def result(self) -> str:
        return (self.folder / "result").read_text()

    def wait_until_running(self) -> int:
        """The JVM that it runs in."""
        wait_for((self.folder / "running").exists, "the job does not run")
        return self.tries[0][0]


@dataclass
class Kept:
    """A keeper's process, where it listens, and its folder."""

    process: "subprocess.Popen[bytes]"
    place: Path
    environment: dict[str, str]
    submit: Command
    folder: Path

    def look(self) -> str:
        try:
            ask(str(self.place), Asking(only_looking=True), 2)[0].close()
        except RefusedError as error:
            return str(error)
        raise AssertionError("a JVM was lent to one who only looked")

    def wait_until_free(self) -> None:
        wait_for(lambda: self.look() == FREE, "the JVM is not free")

    def borrow(self, fingerprint: str = "same", **spec: Any) -> Job:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        words = ["-m", "pipelines.warm_spark.borrow", str(self.place), fingerprint]
        (folder / "job.py").write_text(JOB)
        job = [str(folder / "job.py"), "--spec", json.dumps({"folder": str(folder), **spec})]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words, str(PATIENCE_S), *self.submit.argv[:-3], *job],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Job(process, folder)


Keep = Callable[..., Kept]


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Keep]:
    """Start a keeper and wait until its JVM is free."""
    installation = make_installation(read_settings())
    layout = installation.layout
    if not layout.spark_home.is_dir():
        pytest.skip("set MODELMILL_HOME to an installation: Spark is there")
    environment = {**installation.job_environment(), "PYTHONPATH": str(REPO)}
    archive = write_archive(tmp_path / "code")
    spec = WarmUpSpec(output_uri=tmp_path.as_uri())
    # A socket's path is short.
    runtime = Path(tempfile.mkdtemp(prefix="mm-"))
    started: list[Kept] = []

    def begin(**limits: Any) -> Kept:
        given = {
            "argv": warm_command(layout, master=LOCAL, archive=archive).argv,
            "environment": environment,
            "fingerprint": "same",
            "place": str(runtime / "spark.sock"),
            "limits": {"patience_s": PATIENCE_S, **limits},
        }
        process = subprocess.Popen(
            [sys.executable, str(HERE / "run_keeper.py"), json.dumps(given)],
            env=environment,
            start_new_session=True,
        )
        submit = spark_command(layout, spec, master=LOCAL, archive=archive, name="test")
        kept = Kept(process, runtime / "spark.sock", environment, submit, tmp_path)
        started.append(kept)
        kept.wait_until_free()
        return kept

    yield begin
    for kept in started:
        with suppress(ProcessLookupError):
            os.killpg(kept.process.pid, signal.SIGKILL)
        kept.process.wait()
    shutil.rmtree(runtime)
