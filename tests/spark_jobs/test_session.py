"""What every session of a job has."""

import subprocess
import sys

from pyspark.sql import SparkSession


def test_plans_do_not_show_the_address_of_a_database(spark: SparkSession) -> None:
    view = (
        "EXPLAIN EXTENDED CREATE TEMPORARY VIEW photos USING mongodb "
        "OPTIONS (`connection.uri` 'mongodb://me:s3cret@db', database 'shop')"
    )
    ((shown,),) = spark.sql(view).collect()
    assert "database -> shop" in shown
    assert "s3cret" not in shown


ENDING = """
from pyspark import SparkContext
from spark_jobs.session import end_session, open_session
end_session()
open_session("a test")
assert SparkContext._active_spark_context is not None
end_session()
assert SparkContext._active_spark_context is None
end_session()
"""


def test_a_job_leaves_no_session_behind() -> None:
    """In a process of its own: the tests' session goes on."""
    subprocess.run([sys.executable, "-c", ENDING], check=True, timeout=300)
