"""The Spark session of a job, and a task's own resources."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

SETTINGS = {
    # Photos are large: the defaults would hold thousands of them in memory at once.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
    # What is kept goes to disk and back in such pieces, and what reads them holds one at a time:
    # Java's stream of objects remembers all that it has read until it is told to forget.
    "spark.sql.inMemoryColumnarStorage.batchSize": "256",
    "spark.serializer.objectStreamReset": "1",
    "spark.sql.files.maxPartitionBytes": "16m",
    # Files count by their bytes, so that small data, too, spreads over the cores.
    "spark.sql.files.openCostInBytes": "65536",
    "spark.sql.session.timeZone": "UTC",
    # Spark's own texts about a plan show its options, and a database's URI may hold a password.
    "spark.sql.redaction.options.regex": "(?i)ur[il]|password|secret|token",
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
TASKS_PER_CORE = 4


def open_session(name: str) -> "SparkSession":
    """The session that spark-submit prepared, or a local one; set up for pictures."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        # Not started by spark-submit: this process is driver and executor.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master("local[*]")
        builder = builder.config("spark.driver.host", "127.0.0.1")
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    tasks = TASKS_PER_CORE * spark.sparkContext.defaultParallelism
    spark.conf.set("spark.sql.files.minPartitionNum", str(tasks))
    spark.conf.set("spark.sql.shuffle.partitions", str(max(8, tasks)))
    return spark


def end_session() -> None:
    """Stop what this process has opened, if anything: its JVM may be one that goes on."""
    if "pyspark.sql" not in sys.modules:
        return
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()


def make_frame(spark: "SparkSession", table: "pa.Table") -> "DataFrame":
    """The same as createDataFrame, which imports pandas even where there is none."""
    from pyspark.sql import SparkSession

    return super(SparkSession, spark).createDataFrame(table)


def place_file(name: str, content: bytes) -> Path:
    """Put a file where it lives as long as Spark does: executors may fetch it at any time.

    Equal names must mean equal contents: a session that has sent a file does not send it again.
    """
    from pyspark import SparkFiles

    folder = Path(SparkFiles.getRootDirectory()) / "sent"
    folder.mkdir(exist_ok=True)
    path = folder / name
    if not path.exists():
        path.write_bytes(content)
    return path
