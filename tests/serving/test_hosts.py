"""Both hosts keep the same promises, on a real supervisord and a real Docker engine."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from serving.containers import ContainerHost
from serving.docker_client import home_label
from serving.environment import find_free_port
from serving.hosts import Host, Served, Trial
from serving.image import build_model_image, name_image
from serving.processes import ProcessHost, render_program
from serving.smoke import ServeError, check_answers, read_health, wait_ready
from serving.supervising import SOCKET_VARIABLE
from tests.serving.tiny import make_samples, write_bundle


@pytest.fixture(params=["process", pytest.param("container", marks=pytest.mark.integration)])
def host(request: pytest.FixtureRequest, deployment: str) -> Iterator[Host]:
    made: Host
    if request.param == "process":
        request.getfixturevalue("supervisord")
        made = ProcessHost()
    else:
        made = ContainerHost(request.getfixturevalue("docker_client"))
    yield made
    made.stop(deployment)


@pytest.fixture
def two(tmp_path: Path, host: Host, deployment: str) -> tuple[Served, Served]:
    """Two versions; the second calls bright what the first calls dark."""
    return (
        make_served(tmp_path / "one", host, deployment, 1, sign=1),
        make_served(tmp_path / "two", host, deployment, 2, sign=-1),
    )


def make_served(folder: Path, host: Host, deployment: str, version: int, sign: float) -> Served:
    uri = write_bundle(folder, sign=sign).as_uri()
    tag = ""
    if isinstance(host, ContainerHost):
        build_model_image(host._client, uri, deployment, version)
        tag = name_image(deployment, version)
    return Served(deployment=deployment, version=version, image_tag=tag, bundle_uri=uri)


def version_at(port: int) -> int | None:
    health = read_health(f"http://127.0.0.1:{port}")
    return None if health is None else health.version


def test_candidate_answers_and_is_gone_afterwards(host: Host, two: tuple[Served, Served]) -> None:
    with host.candidate(two[0]) as address:
        check_answers(address, make_samples("bright", "dark"))
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{address}/healthz", timeout=2)
    assert host.list_running() == ()


def test_new_version_takes_the_port_over(host: Host, two: tuple[Served, Served]) -> None:
    port = find_free_port()
    host.serve(two[0], port)
    check_answers(f"http://127.0.0.1:{port}", make_samples("bright", "dark"))
    with host.candidate(two[1]) as address:
        check_answers(address, make_samples("dark", "bright"))
        assert version_at(port) == 1
    host.serve(two[1], port)
    check_answers(f"http://127.0.0.1:{port}", make_samples("dark", "bright"))
    running = host.list_running()
    assert [(r.version, r.port, r.state) for r in running] == [(2, port, "running")]


def test_candidate_of_another_publish_is_left_alone(host: Host, two: tuple[Served, Served]) -> None:
    with host.candidate(two[1]) as address:
        host.serve(two[0], find_free_port())
        check_answers(address, make_samples("dark", "bright"))


def test_serving_again_changes_nothing(host: Host, two: tuple[Served, Served]) -> None:
    port = find_free_port()
    host.serve(two[0], port)
    before = host.list_running()
    host.serve(two[0], port)
    assert host.list_running() == before


def test_only_another_version_is_told(
    host: Host, two: tuple[Served, Served], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither more replicas are one, nor a canary that comes and goes; then it is let in."""
    port = find_free_port()
    trial = Trial(percent=50, **two[1].model_dump(include={"version", "image_tag", "bundle_uri"}))
    both = two[0].model_copy(update={"trial": trial})
    more = two[0].model_copy(update={"replicas": 2})
    for served in (two[0], more, both, two[0], both, two[1]):
        host.serve(served, port)
    told = [one for one in capsys.readouterr().out.splitlines() if one.endswith("serves now.")]
    assert told == [f"{two[0].deployment} version {version} serves now." for version in (1, 2)]


def test_version_that_fails_leaves_the_old_one_serving(
    host: Host, two: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = find_free_port()
    host.serve(two[0], port)
    module = type(host).__module__

    def fail(*arguments: Any) -> None:
        wait_ready(*arguments)
        raise ServeError("did not come up")

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.wait_ready", fail)
        with pytest.raises(ServeError, match="did not come up"):
            host.serve(two[1], port)
    wait_for_version(port, 1)
    assert [r.version for r in host.list_running()] == [1]


def wait_for_version(port: int, version: int) -> None:
    for _ in range(200):
        if version_at(port) == version:
            return
        time.sleep(0.1)
    raise AssertionError(f"version {version} does not answer on {port}")


def test_port_of_another_program_is_named(host: Host, two: tuple[Served, Served]) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"Port {port} of .* is taken by another program"):
            host.serve(two[0], port)
    assert host.list_running() == ()


def test_stop_leaves_nothing(host: Host, two: tuple[Served, Served], deployment: str) -> None:
    port = find_free_port()
    host.serve(two[0], port)
    host.stop(deployment)
    host.stop(deployment)
    assert version_at(port) is None
    assert host.list_running() == ()


@pytest.mark.usefixtures("home")
def test_without_supervisord_the_sentence_says_what_to_start(
    tmp_path: Path, home: Path, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "none.sock"))
    served = Served(
        deployment=deployment,
        version=1,
        image_tag="",
        bundle_uri=write_bundle(tmp_path / "one").as_uri(),
    )
    with pytest.raises(
        ServeError, match=r"No supervisord answers at .*none\.sock \(No such file.*modelmill up"
    ):
        ProcessHost().serve(served, find_free_port())
    assert not ProcessHost().list_running()


def test_program_section_escapes_what_supervisord_expands(tmp_path: Path) -> None:
    served = Served(deployment="x", version=1, image_tag="", bundle_uri="file:///b")
    text = render_program(served, tmp_path / "100% it's", 8800, tmp_path / "log")
    assert "100%% it" in text
    assert "%" not in text.replace("%%", "")


@pytest.mark.usefixtures("home")
def test_a_server_gets_its_own_settings_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(deployment="x", version=1, image_tag="", bundle_uri="file:///b")
    for name in ("MODELMILL_SERVE_MAX_BATCH", "MODELMILL_KEEP_BELOW", "SHOP_PASSWORD"):
        monkeypatch.setenv(name, "7")
    text = render_program(served, tmp_path, 8800, tmp_path / "log")
    assert 'MODELMILL_SERVE_MAX_BATCH="7"' in text
    assert "tokens/x.json" in text
    assert "SHOP" not in text
    assert "KEEP" not in text
    monkeypatch.setenv("MODELMILL_KEEP_REQUESTS", "0.1")
    text = render_program(served, tmp_path, 8800, tmp_path / "log")
    assert 'MODELMILL_KEEP_BELOW="7"' in text
    assert "kept/x" in text


@pytest.mark.integration
def test_container_is_locked_down(docker_client: Any, tmp_path: Path, deployment: str) -> None:
    host = ContainerHost(docker_client)
    served = make_served(tmp_path / "b", host, deployment, 1, sign=1)
    try:
        host.serve(served, find_free_port())
        container = docker_client.containers.get(host.list_running()[0].name)
        config = container.attrs["HostConfig"]
        assert config["ReadonlyRootfs"]
        assert config["CapDrop"] == ["ALL"]
        assert config["SecurityOpt"] == ["no-new-privileges"]
        assert config["RestartPolicy"]["Name"] == "unless-stopped"
        assert container.attrs["Config"]["User"] == "10001:10001"
        assert container.attrs["Config"]["Healthcheck"]
        assert container.exec_run(["touch", "/x"]).exit_code != 0
        assert container.labels["modelmill.lineage.snapshot_id"] == "0123abcd"
        assert container.labels["modelmill.builder"] == home_label()
    finally:
        host.stop(deployment)


@pytest.mark.integration
def test_a_new_model_costs_one_layer(docker_client: Any, tmp_path: Path, deployment: str) -> None:
    layers = []
    for version in (1, 2):
        uri = write_bundle(tmp_path / str(version), sign=version).as_uri()
        image, runtime = build_model_image(docker_client, uri, deployment, version)
        layers.append(image.attrs["RootFS"]["Layers"])
    assert layers[0][:-1] == layers[1][:-1]
    assert layers[0][-1] != layers[1][-1]
    shared = docker_client.images.get(runtime.tag).attrs["RootFS"]["Layers"]
    assert layers[0][:-1] == shared
