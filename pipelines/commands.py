"""Spec → the argv that runs it. Pure; the environment is that of pipelines.local.environment."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict

from pipelines.devices import Devices
from pipelines.local.layout import LOCAL_CONF, REPO, Layout
from pipelines.nodes.place import Place
from serving.job.spec import JobSpec

# Short jobs: the C1 compiler and the serial collector start Spark a third sooner.
_JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    # The JVM's remarks about its class archive would go to standard output.
    "-Xlog:cds=off",
    "-Xlog:cds+dynamic=off",
)
# Of a JVM that waits most of its time: what a job leaves free goes back to the machine.
_LEAN_OPTIONS = ("-XX:MinHeapFreeRatio=10", "-XX:MaxHeapFreeRatio=30")
_DRIVER_MEMORY = "2g"
# The name of 127.0.0.1's network interface.
LOOPBACK = "lo"
LOG_CONF = LOCAL_CONF / "spark" / "log4j2.properties"


class Command(BaseModel):
    """An argv, and what its environment needs beyond the installation's."""

    model_config = ConfigDict(frozen=True)

    argv: tuple[str, ...]
    environment: dict[str, str] = {}


class SparkMaster(BaseModel):
    """Where Spark runs: local[*], spark://HOST:PORT, yarn, k8s://…; from Airflow's connection."""

    model_config = ConfigDict(frozen=True)

    master: str

    @property
    def is_local(self) -> bool:
        """True where driver and executors are one process on this machine."""
        return self.master.startswith("local")


def read_spark_master(host: str, port: int | None) -> SparkMaster:
    """Master from an Airflow connection: its host, scheme included, and its port if any."""
    if port and "://" in host:
        return SparkMaster(master=f"{host}:{port}")
    return SparkMaster(master=host)


def python_command(layout: Layout, module: str, spec: JobSpec) -> Command:
    """A job in one process of the jobs' environment."""
    return Command(argv=(str(_python(layout)), "-m", module, "--spec", spec.model_dump_json()))


def spark_command(
    layout: Layout,
    spec: JobSpec,
    *,
    master: SparkMaster,
    archive: Path,
    name: str,
    archive_classes: bool = False,
) -> Command:
    """spark-submit of spark_jobs/main.py.

    archive_classes: write the JVM's class archive at the end, instead of using it.

    Its last three words are the script, --spec and the spec.
    """
    options = _spark_options(layout, master, archive, archive_classes=archive_classes)
    job = (str(REPO / "spark_jobs" / "main.py"), "--spec", spec.model_dump_json())
    return Command(argv=(_spark_submit(layout), *options, "--name", name, *job))


def warm_command(layout: Layout, *, master: SparkMaster, archive: Path) -> Command:
    """spark-submit of a JVM that waits for a job: set up as spark_command's, and its own size."""
    options = _spark_options(layout, master, archive, more_java=_LEAN_OPTIONS)
    return Command(argv=(_spark_submit(layout), *options, "--name", "modelmill", "pyspark-shell"))


def _spark_submit(layout: Layout) -> str:
    return str(layout.jobs / "bin" / "spark-submit")


def _spark_options(
    layout: Layout,
    master: SparkMaster,
    archive: Path,
    *,
    archive_classes: bool = False,
    more_java: tuple[str, ...] = (),
) -> list[str]:
    """Everything between the program and the application.

    The code reaches executors by --py-files, whatever their PYTHONPATH. Only a driver in the same
    process takes the connector from its class path, which is also what the class archive holds,
    and forks its Python workers from a process that has imported what they need.
    """
    jars = [str(path) for path in sorted(layout.jars("spark").glob("*.jar"))]
    java = [*_JAVA_OPTIONS, *more_java, f"-Dlog4j2.configurationFile={LOG_CONF.as_uri()}"]
    if archive_classes:
        java.append(f"-XX:ArchiveClassesAtExit={layout.spark_archive}")
    elif layout.spark_archive.exists():
        java.append(f"-XX:SharedArchiveFile={layout.spark_archive}")
    conf: dict[str, str] = {
        "spark.ui.enabled": "false",
        "spark.pyspark.python": str(_python(layout)),
        "spark.local.dir": str(layout.scratch / "spark"),
        "spark.sql.warehouse.dir": (layout.scratch / "spark-warehouse").as_uri(),
        "spark.hadoop.dfs.client.use.datanode.hostname": "true",
    }
    if master.is_local:
        conf |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.python.daemon.module": "spark_jobs.worker_daemon",
            # Replanning between stages costs more than it can save on one machine.
            "spark.sql.adaptive.enabled": "false",
        }
    argv = [
        *("--master", master.master),
        "--driver-memory",
        _DRIVER_MEMORY,
        "--driver-java-options",
        " ".join(f'"{option}"' if " " in option else option for option in java),
    ]
    if jars:
        argv += ["--driver-class-path", ":".join(jars)]
    if jars and not master.is_local:
        argv += ["--jars", ",".join(jars)]
    argv += ["--py-files", str(archive)]
    for key, value in conf.items():
        argv += ["--conf", f"{key}={value}"]
    return argv


def train_command(
    layout: Layout,
    spec: JobSpec,
    *,
    devices: Devices,
    log_folder: Path,
    threads: int = 1,
    place: Place | None = None,
) -> Command:
    """paddle.distributed.launch of training/main.py, one process per device.

    place: this machine's among those that train together; None where it is the only one.
    """
    module = "paddle.distributed.launch" if place is None else "training.launch"
    argv = [str(_python(layout)), "-m", module]
    environment = {
        # One thread per rank: training is one core whatever the threads, and more of them only
        # take the other ranks' cores.
        "OMP_NUM_THREADS": str(threads),
        # Rendezvous by address: a machine's own name may not resolve, or not to this machine.
        "POD_IP": "127.0.0.1",
        # Otherwise by what the machine's own name resolves to: its ranks would listen there.
        "GLOO_SOCKET_IFNAME": LOOPBACK,
        # Advice to people who compile operators of their own.
        "PYTHONWARNINGS": "ignore:No ccache found",
    }
    if place is not None:
        argv += ["--master", place.master, "--nnodes", str(place.nodes)]
        argv += ["--rank", str(place.node), "--job_id", place.job]
        environment |= {
            "POD_IP": place.address,
            "GLOO_SOCKET_IFNAME": place.interface,
            "NCCL_SOCKET_IFNAME": place.interface,
        }
    argv += ["--nproc_per_node", str(devices.ranks)]
    if devices.kind == "cpu":
        # Hides every card, and still has the one entry a process that the launcher looks up.
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(["-1"] * devices.ranks)
    argv += ["--log_dir", str(log_folder), "--log_level", "WARNING"]
    argv += [str(REPO / "training" / "main.py"), "--spec", spec.model_dump_json()]
    return Command(argv=tuple(argv), environment=environment)


def local_folder(uri: str) -> Path:
    """Path of a file:// URI."""
    return Path(unquote(urlsplit(uri).path))


def describe_command(argv: tuple[str, ...]) -> str:
    """First line of a task's log: the program, and which spec it was given."""
    program = [Path(argv[0]).name, *argv[1:-2][:2]]
    spec: Mapping[str, object] = json.loads(argv[-1])
    return f"{' '.join(program)} … kind={spec.get('kind')} output={spec.get('output_uri')}"


def _python(layout: Layout) -> Path:
    return layout.jobs / "bin" / "python"
