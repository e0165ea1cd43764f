"""Renders the servers' configuration and makes their secrets, below MODELMILL_HOME."""

import configparser
import json
import secrets
import shutil
from pathlib import Path
from string import Template
from urllib.parse import quote

from pipelines.local.layout import LOCAL_CONF, REPO, Layout
from pipelines.settings import Settings

ADMIN = "admin"
PLUGIN_SOURCE = '''"""Loads modelmill's plugin: Airflow looks for plugins in a folder."""

from pipelines.plugin import ModelmillPlugin

__all__ = ["ModelmillPlugin"]
'''


def prepare_home(settings: Settings, layout: Layout) -> None:
    """Folders, secrets and configuration files; what is there already is kept or made equal."""
    for folder in layout.folders:
        folder.mkdir(parents=True, exist_ok=True)
    layout.secrets.chmod(0o700)
    _make_runtime_folder(layout.runtime)
    _render_hadoop(settings, layout)
    shutil.copyfile(LOCAL_CONF / "supervisord.conf", layout.supervisor_conf)
    (layout.airflow_plugins / "modelmill_plugin.py").write_text(PLUGIN_SOURCE)
    if not layout.airflow_passwords.exists():
        _write_secret(layout.airflow_passwords, json.dumps({ADMIN: secrets.token_urlsafe(12)}))
    _write_airflow_config(settings, layout)


def read_admin_password(layout: Layout) -> str:
    """Password of Airflow's user `admin`; raises FileNotFoundError before the first `up`."""
    return str(json.loads(layout.airflow_passwords.read_text())[ADMIN])


def _make_runtime_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    # In a folder that anyone may write to, someone else could have made it first.
    if folder.is_symlink() or folder.owner() != Path.home().owner():
        raise PermissionError(f"{folder} belongs to someone else: remove it")
    folder.chmod(0o700)


def _render_hadoop(settings: Settings, layout: Layout) -> None:
    values = {
        "hdfs_address": settings.hdfs_address,
        "home": str(layout.home),
        "home_url": quote(str(layout.home)),
        "host": settings.host,
        "port_webhdfs": str(settings.port_webhdfs),
        "port_datanode": str(settings.port_datanode),
        "port_datanode_http": str(settings.port_datanode_http),
        "port_datanode_ipc": str(settings.port_datanode_ipc),
    }
    for name in ("core-site.xml", "hdfs-site.xml"):
        template = Template((LOCAL_CONF / "hdfs" / name).read_text())
        (layout.hadoop_conf / name).write_text(template.substitute(values))


def _write_secret(path: Path, content: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(content)


def _read_key(layout: Layout, name: str) -> str:
    path = layout.secrets / name
    if not path.exists():
        _write_secret(path, secrets.token_urlsafe(64))
    return path.read_text()


def _write_airflow_config(settings: Settings, layout: Layout) -> None:
    """airflow.cfg: only what differs from Airflow's defaults."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(
        {
            "core": {
                "dags_folder": str(REPO / "dags"),
                "plugins_folder": str(layout.airflow_plugins),
                "load_examples": "False",
                "executor": "LocalExecutor",
                # LocalExecutor forks this many processes at once; the heavy pool has one slot.
                "parallelism": "4",
                "simple_auth_manager_users": f"{ADMIN}:admin",
                "simple_auth_manager_passwords_file": str(layout.airflow_passwords),
                "execution_api_server_url": f"{settings.airflow_address}/execution/",
                "dags_are_paused_at_creation": "False",
            },
            "database": {"sql_alchemy_conn": f"sqlite:///{layout.airflow_home / 'airflow.db'}"},
            "api": {
                "base_url": settings.airflow_address,
                "host": settings.host,
                "port": str(settings.port_airflow),
                "workers": "1",
                "secret_key": _read_key(layout, "api-secret"),
            },
            "api_auth": {"jwt_secret": _read_key(layout, "jwt-secret")},
            "logging": {"base_log_folder": str(layout.log / "tasks")},
            "scheduler": {
                "scheduler_heartbeat_sec": "1",
                "scheduler_idle_sleep_time": "0.5",
                # Tasks of a scheduler that was killed wait for it; the default is five minutes.
                "orphaned_tasks_check_interval": "30",
                "enable_health_check": "False",
            },
            "workers": {
                # The default of 5 s holds a task's slot that long after its end.
                "min_heartbeat_interval": "1",
                # After the machine's start the scheduler may be up a minute before the API server:
                # by the defaults a task would use its tries up in half of that.
                "execution_api_retries": "30",
                "execution_api_retry_wait_max": "10",
            },
            "dag_processor": {"refresh_interval": "15", "min_file_process_interval": "15"},
            "usage_data_collection": {"enabled": "False"},
        }
    )
    _write_secret(layout.airflow_config, "")
    with layout.airflow_config.open("w") as file:
        parser.write(file)
