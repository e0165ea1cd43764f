"""The Docker engine in use, or none."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from docker.client import DockerClient
from docker.errors import DockerException

import docker
from serving.environment import home

HOST_VARIABLE = "MODELMILL_DOCKER_HOST"
NO_DOCKER = "none"
TIMEOUT_SECONDS = 120

HOME_LABEL = "modelmill.home"
DEPLOYMENT_LABEL = "modelmill.deployment"
VERSION_LABEL = "modelmill.version"
ROLE_LABEL = "modelmill.role"


@contextmanager
def use_docker() -> Iterator[DockerClient | None]:
    """A client of the engine that answers, closed at the end; None where none does or is wanted."""
    address = os.environ.get(HOST_VARIABLE, "")
    client = None if address == NO_DOCKER else _connect(address)
    try:
        yield client
    finally:
        if client is not None:
            client.close()


def _connect(address: str) -> DockerClient | None:
    try:
        client = (
            DockerClient(base_url=address, timeout=TIMEOUT_SECONDS)
            if address
            else docker.from_env(timeout=TIMEOUT_SECONDS)
        )
    except DockerException:
        return None  # the SDK asks for the engine's version as it starts
    try:
        client.ping()
    except (DockerException, requests.RequestException):
        client.close()
        return None
    return client


def home_label() -> str:
    """Value of HOME_LABEL: installations on one engine do not touch each other's containers."""
    return hashlib.sha256(str(home().resolve()).encode()).hexdigest()[:12]
