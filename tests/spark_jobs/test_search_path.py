"""Where the jobs' processes find their modules."""

import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from spark_jobs.search_path import prefer_bytecode

HOME = Path(pyspark.__file__).parent
ZIPS = [str(HOME / "python" / "lib" / "pyspark.zip"), str(HOME / "jars" / "spark-core.jar")]


def test_spark_in_the_environment_goes_before_its_zip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", str(HOME))
    monkeypatch.setattr(sys, "path", ["/code.zip", *ZIPS, str(HOME.parent)])
    prefer_bytecode()
    assert sys.path == ["/code.zip", str(HOME.parent)]


@pytest.mark.parametrize("home", [None, "/opt/spark"])
def test_a_spark_elsewhere_keeps_its_zip(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("SPARK_HOME", home)
    given = ["/opt/spark/python/lib/pyspark.zip", str(HOME.parent)]
    monkeypatch.setattr(sys, "path", list(given))
    prefer_bytecode()
    assert sys.path == given


def test_workers_are_forked_before_any_thread_starts() -> None:
    code = (
        "import os, sys, spark_jobs.worker_daemon; "
        "print(len(os.listdir('/proc/self/task')), 'pyarrow' in sys.modules)"
    )
    command = ["env", "OMP_NUM_THREADS=1", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
