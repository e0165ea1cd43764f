"""What a job asks the keeper of the warm JVM for, and with which words; pure."""

import hashlib
import json
from collections.abc import Mapping

from pipelines.commands import Command
from pipelines.local.layout import Layout

# Jobs whose environment is the installation's alone: Python workers inherit the JVM's.
KINDS = ("etl", "evaluate")
# Seconds after which a JVM that does not answer is given up; collecting garbage takes a few.
PATIENCE_S = 30
_PREFIXES = ("MODELMILL_", "SPARK_", "PYSPARK_", "HADOOP_", "JAVA_", "PYTHON")


def make_fingerprint(command: Command, environment: Mapping[str, str]) -> str:
    """Hash of all that makes one JVM another than the next: code, options, settings."""
    settings = {key: value for key, value in environment.items() if key.startswith(_PREFIXES)}
    parts = json.dumps([command.argv, settings], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:20]


def borrow_command(layout: Layout, submit: Command, fingerprint: str) -> Command:
    """The same job in the warm JVM, or by this very spark-submit."""
    program = (str(layout.control / "bin" / "python"), "-m", "pipelines.warm_spark.borrow")
    words = (str(layout.warm_spark_socket), fingerprint, str(PATIENCE_S))
    return Command(argv=(*program, *words, *submit.argv), environment=submit.environment)
