"""Where the installation keeps everything; pure paths."""

import hashlib
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.settings import Settings

REPO = Path(__file__).parents[2]
LOCAL_CONF = REPO / "docker" / "local"


class Layout(BaseModel):
    """Folders and files below MODELMILL_HOME, and the short folder of its sockets."""

    model_config = ConfigDict(frozen=True)

    home: Path
    runtime: Path

    @property
    def control(self) -> Path:
        """Environment of Airflow and of the command line."""
        return self.home / "venvs" / "control"

    @property
    def jobs(self) -> Path:
        """Environment of the jobs, MLflow and the console."""
        return self.home / "venvs" / "jobs"

    @property
    def spark_home(self) -> Path:
        """The pyspark package of the jobs' environment."""
        return self.jobs / "lib" / "python3.11" / "site-packages" / "pyspark"

    def jars(self, name: str) -> Path:
        """Folder of one pom's jars: hdfs, mongo or spark."""
        return self.home / "jars" / name / "lib"

    @property
    def spark_archive(self) -> Path:
        """Class-data archive that halves the start of spark-submit; may be missing."""
        return self.home / "jars" / "spark" / "classes.jsa"

    @property
    def conf(self) -> Path:
        """Rendered configuration."""
        return self.home / "conf"

    @property
    def supervisor_conf(self) -> Path:
        """supervisord's configuration; its includes are relative to it."""
        return self.conf / "supervisord.conf"

    @property
    def docker_address(self) -> Path:
        """Holds the address of the Docker engine that `up` chose."""
        return self.conf / "docker-host"

    @property
    def hadoop_conf(self) -> Path:
        """HADOOP_CONF_DIR of the servers and of their clients."""
        return self.conf / "hdfs"

    @property
    def data(self) -> Path:
        """What must not be lost."""
        return self.home / "data"

    @property
    def airflow_home(self) -> Path:
        """Airflow's database and configuration."""
        return self.data / "airflow"

    @property
    def airflow_config(self) -> Path:
        """airflow.cfg: holds secrets, so only its owner reads it."""
        return self.conf / "airflow.cfg"

    @property
    def airflow_passwords(self) -> Path:
        """Users of Airflow's UI and their passwords, JSON."""
        return self.secrets / "airflow-users.json"

    @property
    def airflow_plugins(self) -> Path:
        """Airflow's plugins folder."""
        return self.conf / "plugins"

    @property
    def log(self) -> Path:
        """One log per service."""
        return self.home / "log"

    @property
    def scratch(self) -> Path:
        """Local folders of running jobs."""
        return self.home / "scratch"

    @property
    def code(self) -> Path:
        """The jobs' code as shipped to Spark executors."""
        return self.home / "code"

    @property
    def secrets(self) -> Path:
        """Passwords and keys made at set-up; 0700."""
        return self.home / "secrets"

    @property
    def serve(self) -> Path:
        """Bundles in service, and supervisord's includes for models served by a process."""
        return self.home / "serve"

    @property
    def lock(self) -> Path:
        """Held by up and down, so that two of them take turns."""
        return self.home / "up.lock"

    @property
    def supervisor_socket(self) -> Path:
        """Where supervisord listens."""
        return self.runtime / "supervisor.sock"

    @property
    def supervisor_pid(self) -> Path:
        """supervisord's process id."""
        return self.runtime / "supervisord.pid"

    @property
    def warm_spark_socket(self) -> Path:
        """Where the keeper of the warm Spark JVM listens."""
        return self.runtime / "spark.sock"

    @property
    def docker_socket(self) -> Path:
        """Where our own Docker engine listens."""
        return self.runtime / "docker.sock"

    @property
    def home_label(self) -> str:
        """Value of the label modelmill.home on every container of this installation."""
        return label_home(self.home)

    @property
    def folders(self) -> tuple[Path, ...]:
        """What has to exist before anything starts."""
        names = ("hdfs", "mongo", "mlflow", "airflow")
        return (
            *(self.data / name for name in names),
            *(self.hadoop_conf, self.airflow_plugins, self.log, self.scratch, self.code),
            *(self.serve, self.secrets, self.home / "import"),
        )


def label_home(home: Path) -> str:
    """Short hash that tells installations of one machine apart."""
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]


def read_layout(settings: Settings) -> Layout:
    """The layout of an installation.

    Sockets lie outside home: a unix socket's path is limited to 108 bytes. The folder's name is
    derived from home alone, so that every shell and cron job finds the same one.
    """
    runtime = Path("/tmp") / f"modelmill-{os.getuid()}-{label_home(settings.home)}"  # noqa: S108 - short; made 0700 by `up`
    return Layout(home=settings.home, runtime=runtime)
