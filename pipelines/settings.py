"""Settings of the installation: MODELMILL_* environment variables, read here and nowhere else."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX = "MODELMILL_"
# Greedy: a password that was not escaped may hold both.
_LOGIN = re.compile(r"//.*@")


class SettingsError(Exception):
    """A MODELMILL_* variable that cannot be used; the text names it."""


def _port(default: int, description: str) -> int:
    field: int = Field(default=default, ge=1, le=65535, description=description)
    return field


class Settings(BaseModel):
    """Each field is the variable MODELMILL_<FIELD>; the README's table is made from here."""

    model_config = ConfigDict(frozen=True)

    home: Path = Field(description="State of the installation; default: the XDG data folder")
    host: str = Field(default="127.0.0.1", description="Address that every server listens on")
    port_airflow: int = _port(8080, "Airflow's UI and API")
    port_mlflow: int = _port(5000, "MLflow")
    port_console: int = _port(8090, "Reports")
    port_mongo: int = _port(27017, "Embedded MongoDB-wire server")
    port_hdfs: int = _port(8020, "HDFS NameNode, RPC")
    port_webhdfs: int = _port(9870, "HDFS NameNode, HTTP")
    port_datanode: int = _port(9866, "HDFS DataNode, transfer")
    port_datanode_http: int = _port(9864, "HDFS DataNode, HTTP")
    port_datanode_ipc: int = _port(9867, "HDFS DataNode, IPC")
    port_serve: int = _port(8800, "First port of the deployments' APIs")
    mongo_uri: str = Field(
        default="", description="An existing MongoDB instead of the embedded one"
    )
    hdfs_uri: str = Field(default="", description="An existing HDFS, hdfs://HOST:PORT")
    webhdfs_uri: str = Field(default="", description="Its WebHDFS, http://HOST:PORT")
    mlflow_uri: str = Field(default="", description="An existing MLflow, http://HOST:PORT")
    import_roots: str = Field(
        default="",
        description="Folders, joined by ':', that the import form may read; default: HOME/import",
    )
    stages: str = Field(default="", description="Folder with your own Spark stages")
    presets: str = Field(
        default="", description="Folder with your own nightly presets; default: HOME/presets"
    )
    spark_master: str = Field(
        default="local[*]", description="Master of Airflow's spark_default connection"
    )
    warm_spark: str = Field(
        default="yes",
        pattern="^(yes|no)$",
        description="yes or no: keep a JVM for Spark jobs on this machine",
    )
    train_nodes: int = Field(
        default=1, ge=1, le=64, description="Machines that a training runs on, this one included"
    )
    train_master: str = Field(
        default="",
        description="Where the others meet this one, HOST:PORT; needed for more than one machine",
    )
    docker_host: str = Field(
        default="", description="Docker engine; default: the one that answers, else our own"
    )
    install: str = Field(
        default="",
        pattern="^(yes|no|)$",
        description="yes or no: install missing system packages unasked",
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        """What is shown of a setting: an address without the password it may hold."""
        for name, value in super().__repr_args__():
            yield name, _LOGIN.sub("//…@", value) if isinstance(value, str) else value

    @property
    def mongo_address(self) -> str:
        """The server in use; may hold a password, so it is never printed."""
        return self.mongo_uri or f"mongodb://{self.host}:{self.port_mongo}"

    @property
    def hdfs_address(self) -> str:
        """hdfs://HOST:PORT of the NameNode in use."""
        return self.hdfs_uri or f"hdfs://{self.host}:{self.port_hdfs}"

    @property
    def webhdfs_address(self) -> str:
        """http://HOST:PORT of WebHDFS."""
        return self.webhdfs_uri or f"http://{self.host}:{self.port_webhdfs}"

    @property
    def mlflow_address(self) -> str:
        """http://HOST:PORT of MLflow."""
        return self.mlflow_uri or f"http://{self.host}:{self.port_mlflow}"

    @property
    def airflow_address(self) -> str:
        """http://HOST:PORT of Airflow's api-server."""
        return f"http://{self.host}:{self.port_airflow}"

    @property
    def console_address(self) -> str:
        """http://HOST:PORT of the console."""
        return f"http://{self.host}:{self.port_console}"

    @property
    def keeps_spark(self) -> bool:
        """True where Spark runs on this machine, and its JVM is kept between jobs."""
        return self.warm_spark == "yes" and self.spark_master.startswith("local")

    @property
    def allowed_import_roots(self) -> tuple[Path, ...]:
        """Folders below which the import form may read."""
        given = [Path(p).expanduser() for p in self.import_roots.split(":") if p]
        return tuple(given) or (self.home / "import",)

    @property
    def own_presets(self) -> Path:
        """Folder of the user's presets; may be missing."""
        return Path(self.presets).expanduser() if self.presets else self.home / "presets"


def default_home(environment: Mapping[str, str]) -> Path:
    """MODELMILL_HOME's default, by the XDG base directory specification."""
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "modelmill"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read MODELMILL_* variables; raises SettingsError."""
    env = os.environ if environment is None else environment
    values: dict[str, object] = {
        name: env[PREFIX + name.upper()]
        for name in Settings.model_fields
        if env.get(PREFIX + name.upper())
    }
    values["home"] = Path(str(values.get("home") or default_home(env))).expanduser().absolute()
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsError(f"{name}={first['input']!r} cannot be used: {first['msg']}") from None
