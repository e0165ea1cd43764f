"""The process that Spark's Python workers are forked from, where they share the driver's machine.

What each of them needs is imported here, once and before the fork; but nothing that starts a
thread, as pyarrow does. And pyspark comes from the environment, which holds its bytecode, not from
Spark's own zip, which every process would compile anew.
"""

from spark_jobs.search_path import prefer_bytecode

if __name__ == "__main__":
    prefer_bytecode()

import pyspark.worker
from pyspark.daemon import manager

import serving.bundle.predictor
import spark_jobs.spec

PRELOADED = (pyspark.worker, serving.bundle.predictor, spark_jobs.spec)

if __name__ == "__main__":
    manager()
