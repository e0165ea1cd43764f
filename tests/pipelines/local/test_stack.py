"""Set-up's decisions: packages, ports, rendered files; no server is started."""

import os
import socket
import stat
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipelines.local.configuration import prepare_home, read_admin_password
from pipelines.local.environment import child_environment
from pipelines.local.layout import read_layout
from pipelines.local.packages import Missing, decide, find_missing, provide_packages
from pipelines.local.services import SERVICES, find_busy_ports
from pipelines.settings import Settings
from serving.job.errors import UserError


@pytest.mark.parametrize(
    ("setting", "can_install", "terminal", "expected"),
    [
        ("", True, True, "ask"),
        ("", True, False, "install"),
        ("yes", True, True, "install"),
        ("no", True, False, "refuse"),
        ("yes", False, False, "refuse"),
    ],
)
def test_who_decides_on_packages(
    setting: str, can_install: bool, terminal: bool, expected: str
) -> None:
    assert decide(setting, can_install=can_install, terminal=terminal) == expected


def test_required_package_stops_with_the_command(tmp_path: Path) -> None:
    missing = Missing(required=("maven",), optional=("docker.io",))
    with pytest.raises(UserError, match=r"apt-get install .*maven docker\.io"):
        provide_packages(missing, Settings(home=tmp_path, install="no"))


def test_missing_engine_does_not_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = Missing(required=(), optional=("docker.io",))
    provide_packages(missing, Settings(home=tmp_path, install="no"))
    assert "Going on without docker.io." in capsys.readouterr().err


def test_browser_is_missed_where_pages_are_to_be_tested_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    find = partial(find_missing, jars_are_there=True, engine_is_wanted=False)
    assert (find().optional, find(browser_is_wanted=True).optional) == ((), ("chromium",))
    (tmp_path / "chromium").touch(mode=0o755)
    assert find(browser_is_wanted=True).optional == ()


def test_busy_port_names_port_and_setting(tmp_path: Path) -> None:
    mongo = [service for service in SERVICES if service.name == "mongo"]
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        settings = Settings(home=tmp_path, port_mongo=port)
        (sentence,) = find_busy_ports(mongo, settings)
        assert str(port) in sentence
        assert "MODELMILL_PORT_MONGO" in sentence
    assert find_busy_ports(mongo, settings) == []


def test_home_with_a_blank_is_rendered_whole(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "my home", port_webhdfs=19870, port_hdfs=18020)
    layout = read_layout(settings)
    try:
        prepare_home(settings, layout)
        password = read_admin_password(layout)
        prepare_home(settings, layout)
        assert read_admin_password(layout) == password
        values = {
            item.findtext("name"): item.findtext("value")
            for name in ("core-site.xml", "hdfs-site.xml")
            for item in ElementTree.parse(layout.hadoop_conf / name).getroot().iter("property")  # noqa: S314 - our own file
        }
        assert values["fs.defaultFS"] == "hdfs://127.0.0.1:18020"
        assert values["dfs.namenode.http-address"] == "127.0.0.1:19870"
        assert str(values["dfs.namenode.name.dir"]).endswith("/my%20home/data/hdfs/name")
        for secret in (layout.airflow_passwords, layout.airflow_config):
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert stat.S_IMODE(layout.runtime.stat().st_mode) == 0o700
        assert password not in layout.airflow_config.read_text()
    finally:
        for entry in layout.runtime.iterdir():
            entry.unlink()
        layout.runtime.rmdir()


def test_every_server_address_is_this_machine(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    layout = read_layout(settings)
    for service in SERVICES:
        address = service.address(settings, layout)
        assert address.startswith(("127.0.0.1:", str(layout.runtime))) or address == "-"


def test_existing_service_replaces_ours(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mongo_uri="mongodb://db:1", hdfs_uri="hdfs://nn:1")
    unwanted = {service.name for service in SERVICES if not service.is_wanted(settings)}
    assert unwanted == {"mongo", "namenode", "datanode"}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [({}, True), ({"warm_spark": "no"}, False), ({"spark_master": "spark://m:7077"}, False)],
)
def test_a_jvm_is_kept_where_spark_runs_here(
    tmp_path: Path, changes: dict[str, str], wanted: bool
) -> None:
    settings = Settings.model_validate({"home": tmp_path, **changes})
    unwanted = {service.name for service in SERVICES if not service.is_wanted(settings)}
    assert unwanted == (set() if wanted else {"spark"})


def test_socket_paths_are_short_for_any_home() -> None:
    deep = Settings(home=Path("/" + "/".join(["a-long-folder-name"] * 12)))
    assert len(os.fsencode(read_layout(deep).supervisor_socket)) < 108


def test_children_get_no_foreign_variables(tmp_path: Path) -> None:
    outer = {"PATH": "/bin", "PYTHONDONTWRITEBYTECODE": "1", "AWS_SECRET_ACCESS_KEY": "x"}
    given = child_environment(Settings(home=tmp_path), outer)
    assert not given.keys() & {"PYTHONDONTWRITEBYTECODE", "AWS_SECRET_ACCESS_KEY"}
    assert given["MODELMILL_HOME"] == str(tmp_path)
    assert given["PATH"].endswith(":/bin")
