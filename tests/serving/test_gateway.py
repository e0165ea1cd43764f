"""Replicas behind HAProxy: what callers notice of a switch, a death, a rival. Real containers."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from docker.client import DockerClient
from docker.models.containers import Container

from serving import containers, environment
from serving.containers import ContainerHost
from serving.environment import find_free_port
from serving.hosts import Served
from serving.image import build_model_image, name_image
from serving.sandbox import end_container, find_containers
from serving.smoke import ServeError, read_health
from tests.serving.load import run_load
from tests.serving.tiny import write_bundle


class Shop:
    """One deployment of two versions; a white picture is bright to the first, dark to the other."""

    def __init__(self, client: DockerClient, folder: Path, deployment: str) -> None:
        self.client, self.deployment, self.port = client, deployment, find_free_port()
        self.host = ContainerHost(client)
        self.versions = []
        for version, sign in ((1, 1.0), (2, -1.0)):
            uri = write_bundle(folder / str(version), sign=sign).as_uri()
            build_model_image(client, uri, deployment, version)
            self.versions.append(
                Served(
                    deployment=deployment,
                    version=version,
                    image_tag=name_image(deployment, version),
                    bundle_uri=uri,
                    replicas=2,
                )
            )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, version: int) -> None:
        self.host.serve(self.versions[version - 1], self.port)

    def find(self, role: str) -> list[Any]:
        return find_containers(self.client, deployment=self.deployment, role=role)

    def kill_process(self, container: Any) -> None:
        """As a crash would: the engine's own kill would also suppress the restart policy."""
        container.reload()
        os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)

    def wait_for_restart(self, container: Any, count: int) -> None:
        end = time.monotonic() + 60
        while True:
            container.reload()
            restarted = container.attrs["RestartCount"] >= count
            if restarted and container.status == "running" and self.are_all_up():
                return
            assert time.monotonic() < end, container.attrs["State"]
            time.sleep(0.05)

    def are_all_up(self) -> bool:
        """Whether the gateway sends requests to each replica."""
        paths = [f"{self.address}/replicas/{number}/metrics" for number in (1, 2)]
        try:
            return all(requests.get(path, timeout=5).ok for path in paths)
        except requests.ConnectionError:
            return False


@pytest.fixture
def shop(docker_client: DockerClient, tmp_path: Path, deployment: str) -> Iterator[Shop]:
    made = Shop(docker_client, tmp_path, deployment)
    yield made
    made.host.stop(deployment)
    assert find_containers(docker_client, deployment=deployment) == []


@pytest.mark.integration
def test_callers_do_not_notice_a_switch(shop: Shop) -> None:
    shop.serve(1)
    with run_load(shop.address, callers=2, kept=1) as load:
        load.wait_for_more("bright")
        shop.serve(2)
        load.wait_for_more("dark")
    assert load.failures == []
    running = shop.host.list_running()
    assert [(r.version, r.port, r.state) for r in running] == [(2, shop.port, "running")] * 2


@pytest.mark.integration
def test_a_switch_is_told_at_once_and_replicas_begin_and_end_together(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.serve(1)
    capsys.readouterr()
    # Each waits until the other one has come, too.
    begin, end = threading.Barrier(2), threading.Barrier(2)
    told: list[tuple[str, int]] = []

    def start_together(container: Any) -> None:
        begin.wait(60)
        start(container)

    def end_together(container: Any, seconds: int) -> None:
        end.wait(60)
        end_container(container, seconds)

    def linger(seconds: float) -> None:
        health = read_health(shop.address)
        told.append((capsys.readouterr().out, 0 if health is None else health.version))
        time.sleep(seconds)

    start = Container.start
    with monkeypatch.context() as patched:
        patched.setattr(Container, "start", start_together)
        patched.setattr(containers, "end_container", end_together)
        patched.setattr(containers, "time", SimpleNamespace(sleep=linger))
        shop.serve(2)
    assert told == [(f"{shop.deployment} version 2 serves now.\n", 2)]
    assert [(r.version, r.state) for r in shop.host.list_running()] == [(2, "running")] * 2


@pytest.mark.integration
def test_callers_do_not_notice_dead_replicas(shop: Shop) -> None:
    shop.serve(1)
    with run_load(shop.address, callers=2, kept=1) as load:
        for replica in shop.find("replica"):
            load.wait_for_more("bright")
            shop.kill_process(replica)
            shop.wait_for_restart(replica, 1)
        load.wait_for_more("bright")
    assert load.failures == []


@pytest.mark.integration
def test_version_that_does_not_come_up_gets_no_traffic(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.serve(1)
    # It ends at once, again and again: a value that nobody has checked before.
    unusable = {"MODELMILL_SERVE_MAX_PIXELS": "none"}
    monkeypatch.setattr(environment, "server_settings", lambda: unusable)
    with run_load(shop.address, callers=2, kept=1) as load:
        load.wait_for_more("bright")
        with pytest.raises(ServeError, match="MODELMILL_SERVE_MAX_PIXELS='none' cannot be used"):
            shop.serve(2)
        load.wait_for_more("bright")
    assert load.failures == []
    assert set(load.answers) == {"bright"}
    assert [r.version for r in shop.host.list_running()] == [1, 1]


@pytest.mark.integration
def test_gateway_comes_back_by_itself_and_answers_for_itself(shop: Shop) -> None:
    shop.serve(1)
    (gateway,) = shop.find("gateway")
    assert gateway.attrs["HostConfig"]["ReadonlyRootfs"]
    assert gateway.attrs["HostConfig"]["CapDrop"] == ["ALL"]
    assert gateway.attrs["Config"]["User"] == "10001:10001"
    shop.kill_process(gateway)
    shop.wait_for_restart(gateway, 1)
    assert read_health(shop.address) is not None
    own = requests.get(f"{shop.address}/gateway/metrics", timeout=5).text
    assert "haproxy_backend_http_responses_total" in own
    for number in (1, 2):
        text = requests.get(f"{shop.address}/replicas/{number}/metrics", timeout=5).text
        assert "modelmill_" in text


@pytest.mark.integration
def test_one_container_of_before_is_taken_over(shop: Shop) -> None:
    shop.serve(1)
    replica = shop.find("replica")[0]
    labels = {**replica.labels, "modelmill.role": "service"}
    shop.host.stop(shop.deployment)
    served = shop.versions[0]
    ports = {"8000/tcp": ("127.0.0.1", shop.port)}
    old = shop.client.containers.run(served.image_tag, detach=True, labels=labels, ports=ports)
    try:
        shop.serve(1)
        assert [r.version for r in shop.host.list_running()] == [1, 1]
        assert shop.find("service") == []
        health = read_health(shop.address)
        assert health is not None
        assert health.version == 1
    except BaseException:
        old.remove(force=True)
        raise


@pytest.mark.integration
def test_half_a_reconciliation_is_finished_by_the_next(shop: Shop) -> None:
    shop.serve(1)
    # As where the job was killed: one replica of the next version is there, one was only created.
    for start in (True, False):
        left = shop.host._create(shop.versions[1], "replica")
        if start:
            left.start()
    with run_load(shop.address, callers=2, kept=1) as load:
        shop.serve(2)
        load.wait_for_more("dark")
    assert load.failures == []
    assert [r.version for r in shop.host.list_running()] == [2, 2]
    assert len(shop.find("gateway")) == 1
