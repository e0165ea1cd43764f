"""Homes, supervisord and engines: real ones, or a skip that says what is missing."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from docker.client import DockerClient

from serving.containers import ContainerHost
from serving.docker_client import use_docker
from serving.environment import find_free_port
from serving.job.mongo import use_database
from serving.processes import ProcessHost
from serving.sandbox import find_containers
from tests.serving.rooms import Room, call_mlflow
from tests.serving.shops import Shop
from tests.serving.tiny import write_bundle

SUPERVISORD = """
[unix_http_server]
file={folder}/sock
[supervisord]
user=root
nodaemon=true
logfile={folder}/log
pidfile={folder}/pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = serve/*.conf
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def deployment() -> str:
    """A name that no other test, and nobody else on this machine, has."""
    return f"srv-test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with a blank and a quote in its path."""
    folder = tmp_path / "it's a home"
    folder.mkdir()
    source = os.environ.get("MODELMILL_HOME", "")
    for name in ("venvs", "wheelhouse"):
        if source and (Path(source) / name).exists():
            (folder / name).symlink_to(Path(source) / name)
    monkeypatch.setenv("MODELMILL_HOME", str(folder))
    monkeypatch.setenv("MODELMILL_PORT_SERVE", str(find_free_port()))
    return folder


@pytest.fixture
def supervisord(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Sockets have short paths: 108 bytes.
    folder = Path(f"/tmp/mm-test-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    (home / "serve").mkdir()
    conf = home / "supervisord.conf"
    conf.write_text(SUPERVISORD.format(folder=folder))
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    socket = folder / "sock"
    for _ in range(200):
        if socket.exists():
            break
        assert process.poll() is None
        time.sleep(0.05)
    monkeypatch.setenv("MODELMILL_SUPERVISOR", str(socket))
    yield socket
    process.terminate()
    process.wait(30)
    shutil.rmtree(folder)


@pytest.fixture
def docker_client(home: Path, deployment: str) -> Iterator[DockerClient]:
    with use_docker() as client:
        if client is None:
            pytest.skip("no Docker engine answers: set MODELMILL_DOCKER_HOST")
        if not (home / "venvs").exists() and not client.images.list("modelmill/runtime"):
            pytest.skip("set MODELMILL_HOME: the runtime image's wheels come by its pip")
        yield client
        for image in client.images.list(f"modelmill/{deployment}"):
            client.images.remove(str(image.id), force=True)


@pytest.fixture
def stores() -> None:
    """MongoDB and MLflow, as ./modelmill up starts them."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    uri = os.environ.get("MODELMILL_MONGO_URI", "")
    address = os.environ.get("MODELMILL_MLFLOW_URI", "")
    if not uri or not address:
        pytest.skip("set MODELMILL_MONGO_URI and MODELMILL_MLFLOW_URI")
    try:
        client: MongoClient[dict[str, object]]
        with MongoClient(uri, serverSelectionTimeoutMS=3000) as client:
            client.admin.command("ping")
        requests.get(f"{address}/health", timeout=5).raise_for_status()
    except (PyMongoError, requests.RequestException) as error:
        pytest.skip(f"MongoDB or MLflow does not answer: {type(error).__name__}")


@pytest.fixture
def dataset() -> str:
    """A name that no other test has: the database is shared."""
    return f"data-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def room(
    supervisord: Path, tmp_path: Path, deployment: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Room]:
    monkeypatch.setenv("MODELMILL_DOCKER_HOST", "none")
    with use_database() as database:
        yield Room(tmp_path, deployment, database)
        ProcessHost().stop(deployment)
        database["deployments"].delete_one({"_id": deployment})
        database["deployment_events"].delete_many({"deployment": deployment})
    call_mlflow("DELETE", "registered-models/delete", name=deployment)


@pytest.fixture
def shop(docker_client: DockerClient, tmp_path: Path, deployment: str) -> Iterator[Shop]:
    """One deployment in containers, nothing of which is left."""
    with use_database() as database:
        yield Shop(tmp_path, deployment, database, docker_client)
        ContainerHost(docker_client).stop(deployment)
        database["deployments"].delete_one({"_id": deployment})
        database["deployment_events"].delete_many({"deployment": deployment})
    call_mlflow("DELETE", "registered-models/delete", name=deployment)
    assert find_containers(docker_client, deployment=deployment) == []
