"""The program that keeps a JVM warm, under supervisord."""

import sys

from pipelines.code import write_archive
from pipelines.commands import SparkMaster, warm_command
from pipelines.context import read_installation
from pipelines.warm_spark.keeper import Keeper, Limits, OutdatedError
from pipelines.warm_spark.lending import make_fingerprint


def main() -> int:
    """Until a signal, or a job of other code or settings: supervisord starts it anew then."""
    installation = read_installation()
    layout, environment = installation.layout, installation.job_environment()
    master = SparkMaster(master=installation.settings.spark_master)
    command = warm_command(layout, master=master, archive=write_archive(layout.code))
    keeper = Keeper(
        command.argv,
        environment,
        fingerprint=make_fingerprint(command, environment),
        place=layout.warm_spark_socket,
        limits=Limits(),
    )
    try:
        keeper.serve()
    except OutdatedError:
        print("A job of other code or settings has asked: starting anew with those", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
