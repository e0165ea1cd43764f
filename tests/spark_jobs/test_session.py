"""What every session of a job has."""

from pyspark.sql import SparkSession


def test_plans_do_not_show_the_address_of_a_database(spark: SparkSession) -> None:
    view = (
        "EXPLAIN EXTENDED CREATE TEMPORARY VIEW photos USING mongodb "
        "OPTIONS (`connection.uri` 'mongodb://me:s3cret@db', database 'shop')"
    )
    ((shown,),) = spark.sql(view).collect()
    assert "database -> shop" in shown
    assert "s3cret" not in shown
