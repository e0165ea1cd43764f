"""Airflow's connections, as the jobs need them."""

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError
from airflow.sdk.log import mask_secret

from pipelines.commands import SparkMaster, read_spark_master
from pipelines.connections import MongoConnection
from pipelines.context import Installation
from serving.job.errors import UserError

SPARK_CONNECTION = "spark_default"


def read_master(installation: Installation) -> SparkMaster:
    """Spark's master from Airflow's connection, or from the settings where there is none."""
    try:
        connection = BaseHook.get_connection(SPARK_CONNECTION)
    except (AirflowNotFoundException, AirflowRuntimeError):
        return SparkMaster(master=installation.settings.spark_master)
    return read_spark_master(connection.host or installation.settings.spark_master, connection.port)


def read_mongo_uri(name: str) -> str:
    """Address of the MongoDB that a connection stands for, masked in this task's log."""
    try:
        found = BaseHook.get_connection(name)
    except (AirflowNotFoundException, AirflowRuntimeError):
        raise UserError(
            f"mongo_connection was {name!r}, but Airflow has no such connection. Add it under "
            "Admin → Connections, or as the environment variable AIRFLOW_CONN_"
            f"{name.upper()}."
        ) from None
    if not found.host:
        raise UserError(f"Airflow's connection {name!r} has no host.")
    extra = {k: v for k, v in found.extra_dejson.items() if isinstance(v, str | int | float | bool)}
    uri = MongoConnection(
        host=found.host,
        port=found.port,
        login=found.login or "",
        password=found.password or "",
        database=found.schema or "",
        options=extra,
    ).compose_uri()
    mask_secret(uri)
    return uri
