"""The environment of every process that the installation starts."""

import os
from collections.abc import Mapping

from pipelines.local.layout import REPO, Layout, read_layout
from pipelines.settings import PREFIX, Settings

CARDS = "CUDA_VISIBLE_DEVICES"
# What processes need from the caller: where programs, temporary files and certificates are, and
# the way out through a proxy. Everything else stays behind.
KEPT = (
    *("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "JAVA_HOME"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "UV_DEFAULT_INDEX"),
    CARDS,
)
# What only a model server reads.
SERVER_PREFIXES = (f"{PREFIX}SERVE_", f"{PREFIX}KEEP_")


# Marks every process that the installation started, so that `down` ends those and no others.
OWNER_VARIABLE = "MODELMILL_OWNER"
# Where what the supervisor starts finds it.
SUPERVISOR_VARIABLE = f"{PREFIX}SUPERVISOR"


def read_docker_address(settings: Settings, layout: Layout) -> str:
    """Address of the Docker engine: the setting, else what `up` chose; empty before that."""
    if settings.docker_host or not layout.docker_address.exists():
        return settings.docker_host
    return layout.docker_address.read_text()


def bypass_proxy(given: Mapping[str, str], *more: str) -> dict[str, str]:
    """NO_PROXY, with this machine, and more, among the hosts that no proxy is asked for."""
    listed = given.get("NO_PROXY") or given.get("no_proxy") or ""
    hosts = ",".join(
        dict.fromkeys([*filter(None, listed.split(",")), "127.0.0.1", "localhost", *more])
    )
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def base_environment(outer: Mapping[str, str] | None = None) -> dict[str, str]:
    """What KEPT names, the model servers' settings, PATH and a UTF-8 locale."""
    given = os.environ if outer is None else outer
    # Only here an empty value says something: it hides every card.
    kept = {n: given[n] for n in KEPT if given.get(n) or (n == CARDS and n in given)}
    kept |= {n: v for n, v in given.items() if v and n.startswith(SERVER_PREFIXES)}
    return {
        "LANG": "C.UTF-8",
        **kept,
        **bypass_proxy(given),
        "PATH": given.get("PATH", os.defpath),
        "PYTHONUNBUFFERED": "1",
    }


def modelmill_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    """The MODELMILL_* variables: the settings as given, and the addresses as resolved."""
    given = {
        PREFIX + name.upper(): str(value)
        for name, value in settings.model_dump().items()
        if value != ""
    }
    return {
        **given,
        "MODELMILL_MONGO_URI": settings.mongo_address,
        "MODELMILL_HDFS_URI": settings.hdfs_address,
        "MODELMILL_WEBHDFS_URI": settings.webhdfs_address,
        "MODELMILL_MLFLOW_URI": settings.mlflow_address,
        "MODELMILL_IMPORT_ROOTS": ":".join(str(p) for p in settings.allowed_import_roots),
        SUPERVISOR_VARIABLE: str(layout.supervisor_socket),
        "MODELMILL_DOCKER_HOST": read_docker_address(settings, layout),
        OWNER_VARIABLE: layout.home_label,
        # Airflow renames its processes, by default over their environment, and the mark with it.
        "SPT_NOENV": "1",
        # onnxruntime's wheels send usage data to their maker unless this is set before its import.
        "ORT_DISABLE_TELEMETRY": "1",
    }


def child_environment(settings: Settings, outer: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a job or a service: no secrets, nothing of the caller's that could sway it."""
    layout = read_layout(settings)
    base = base_environment(outer)
    return {
        **base,
        **modelmill_environment(settings, layout),
        "PATH": f"{layout.jobs / 'bin'}:{base['PATH']}",
        "PYTHONPATH": str(REPO),
        "SPARK_HOME": str(layout.spark_home),
        "SPARK_LOCAL_IP": settings.host,
        "HADOOP_CONF_DIR": str(layout.hadoop_conf),
        "HADOOP_USER_NAME": "modelmill",
        # spark-submit's driver and its Python workers run on the jobs' interpreter.
        "PYSPARK_PYTHON": str(layout.jobs / "bin" / "python"),
        "PYSPARK_DRIVER_PYTHON": str(layout.jobs / "bin" / "python"),
    }
