"""Replicas behind HAProxy: what callers notice of a switch, a death, a rival. Real containers."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.client import DockerClient

from serving import environment
from serving.containers import ContainerHost
from serving.environment import find_free_port
from serving.gateway import read_mark, render_config, weigh
from serving.hosts import Served
from serving.image import build_model_image, name_image
from serving.sandbox import find_containers
from serving.smoke import ServeError, read_health
from tests.serving.load import run_load
from tests.serving.tiny import write_bundle

SECONDS = {"header_seconds": 10.0, "body_seconds": 30.0, "answer_seconds": 10.0}


def test_configuration_names_every_replica_and_waits_longer_than_servers_do() -> None:
    config = render_config(["boards-3-a", "boards-3-b"], **SECONDS)
    lines = [line.strip() for line in config.splitlines()]
    servers = [line for line in lines if line.startswith("server ")]
    assert [line.split()[2] for line in servers if "track" not in line] == [
        "boards-3-a:8000",
        "boards-3-b:8000",
    ]
    assert "timeout server 45s" in lines
    assert "tune.bufsize 262144" in lines
    assert "retry-on conn-failure empty-response" in lines
    assert "http-request wait-for-body time 30000ms" in lines
    with pytest.raises(ValueError, match="needs a replica"):
        render_config([], **SECONDS)


def test_mark_changes_with_the_configuration() -> None:
    one = render_config(["a"], **SECONDS)
    assert read_mark(one) == read_mark(render_config(["a"], **SECONDS))
    others = [
        render_config(["b"], **SECONDS),
        render_config(["a", "b"], **SECONDS),
        render_config(["a"], **{**SECONDS, "body_seconds": 31.0}),
    ]
    marks = {read_mark(config) for config in (one, *others)}
    assert len(marks) == 4
    assert all(mark in config for mark, config in [(read_mark(one), one)])


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


def test_weights_share_the_requests_by_percent() -> None:
    for percent in range(1, 51):
        for replicas, canaries in ((1, 1), (2, 2), (2, 1), (1, 3), (16, 16), (16, 1)):
            each, trial = weigh(replicas, canaries, percent)
            share = trial * canaries / (trial * canaries + each * replicas)
            assert 1 <= min(each, trial) <= max(each, trial) <= 256
            assert abs(share - percent / 100) < 0.005, (percent, replicas, canaries)


def test_configuration_gives_canaries_their_weight_in_the_same_backend() -> None:
    config = render_config(["a", "b"], ["c", "d"], 10, **SECONDS)
    servers = [line.split() for line in config.splitlines() if " weight " in line]
    assert [(line[1], line[2], line[4]) for line in servers] == [
        ("1", "a:8000", "9"),
        ("2", "b:8000", "9"),
        ("canary-3", "c:8000", "1"),
        ("canary-4", "d:8000", "1"),
    ]
    assert "track replicas/canary-4 " in config
    assert "balance roundrobin" in config
    assert "balance roundrobin" not in render_config(["a", "b"], **SECONDS)
