"""Packages, unpacked and used where there is no network."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.client import DockerClient
from docker.errors import ImageNotFound, NotFound

from serving.app import create_app
from serving.desired import DesiredState, compare_and_set
from serving.environment import REPO, find_free_port
from serving.image import name_image
from serving.job.errors import UserError
from serving.offline.package import package_version
from serving.offline.spec import PackageSpec
from serving.offline.wheels import build_own_wheel
from tests.serving.test_app import RAW, predict
from tests.serving.tiny import plain

ALONE = ("unshare", "--net", "--map-root-user", "--")


@pytest.fixture
def alone() -> tuple[str, ...]:
    """The beginning of a command that sees no network."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not here")
    done = subprocess.run([*ALONE, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespaces for this user: {done.stderr.strip()}")
    return ALONE


@pytest.fixture
def spec(home: Path, database: Any, deployment: str, bundle: Path, tmp_path: Path) -> PackageSpec:
    state = DesiredState(
        deployment=deployment,
        version=5,
        image_tag="",
        bundle_uri=bundle.as_uri(),
        generation=1,
        port=1,
    )
    assert compare_and_set(database, state, 0)
    return PackageSpec(
        output_uri=(tmp_path / "job").as_uri(),
        deployment=deployment,
        contents="sdk",
        target_uri=(tmp_path / "carried.zip").as_uri(),
    )


def run_alone(words: tuple[str, ...], folder: Path, **variables: str) -> str:
    """Standard output; nothing of this environment but PATH."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **variables}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_arrived(folder: Path, deployment: str) -> None:
    """Checksums of all files but their own, and where the model comes from."""
    listed = (folder / "SHA256SUMS").read_text().splitlines()
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS"]
    assert len(listed) == len(files)
    run_alone(("sha256sum", "--check", "--quiet", "SHA256SUMS"), folder)
    lineage = json.loads((folder / "lineage.json").read_text())
    assert (lineage["deployment"], lineage["version"]) == (deployment, 5)
    assert (lineage["dataset"], lineage["snapshot_id"]) == ("brightness", "0123abcd")
    assert lineage["run_id"] == "20260102T030405-abcdef"
    assert "{{" not in (folder / "README.md").read_text()


def test_sdk_answers_as_the_server_does(
    spec: PackageSpec, alone: tuple[str, ...], bundle: Path, tmp_path: Path
) -> None:
    outcome = package_version(spec)
    with zipfile.ZipFile(tmp_path / "carried.zip") as archive:
        archive.extractall(tmp_path)  # noqa: S202 - our own
    folder = tmp_path / outcome.folder
    check_arrived(folder, spec.deployment)
    (folder / "grey.png").write_bytes(plain(90))
    (folder / "note.txt").write_text("buy milk")
    base = str(Path(sys.executable).resolve())
    run_alone((*alone, base, "-m", "venv", "venv"), folder)
    install = "venv/bin/pip install --no-index --find-links wheels --require-hashes -r"
    run_alone((*alone, *install.split(), "requirements.txt"), folder)
    said = run_alone(
        (*alone, "venv/bin/python", "example.py", "grey.png", "note.txt"), folder
    ).splitlines()
    first, second = map(json.loads, said)
    served = predict(create_app(bundle, "d", 1), content=plain(90), headers=RAW).json()
    assert first["results"] == [[one["label"], one["score"]] for one in served["results"]]
    assert first["labels"] == served["labels"] == ["dark"]
    assert (first["error"], second["results"]) == ("", [])
    assert "not an image" in second["error"]


def test_same_version_makes_the_same_package(spec: PackageSpec, tmp_path: Path) -> None:
    again = {"target_uri": (tmp_path / "again.zip").as_uri()}
    one, other = package_version(spec), package_version(spec.model_copy(update=again))
    assert one.sha256 == other.sha256
    with pytest.raises(UserError, match="is there already"):
        package_version(spec)


def test_wheel_is_the_bundles_own_code(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_own_wheel(tmp_path)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        own = {f"serving/bundle/{p.name}": p for p in (REPO / "serving/bundle").glob("*.py")}
        assert names == {*own, "serving/__init__.py"}
        assert all(wheel.read(name) == path.read_bytes() for name, path in own.items())


def test_image_needs_an_engine(spec: PackageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELMILL_DOCKER_HOST", "none")
    with pytest.raises(UserError, match="--kind sdk"):
        package_version(spec.model_copy(update={"contents": "docker"}))


def test_image_serves_where_nothing_was(
    spec: PackageSpec,
    docker_client: DockerClient,
    alone: tuple[str, ...],
    bundle: Path,
    tmp_path: Path,
) -> None:
    if shutil.which("docker") is None:
        pytest.skip("the docker command is not here")
    target = {"contents": "docker", "target_uri": (tmp_path / "carried.tar.gz").as_uri()}
    outcome = package_version(spec.model_copy(update=target))
    with tarfile.open(tmp_path / "carried.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder, tag = tmp_path / outcome.folder, name_image(spec.deployment, 5)
    check_arrived(folder, spec.deployment)
    docker_client.images.remove(tag)
    with pytest.raises(ImageNotFound):
        docker_client.images.get(tag)
    port, name = find_free_port(), f"modelmill-{spec.deployment}"
    # Where its folder has Compose as a plugin, Compose starts the server.
    variables = {"DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(tmp_path))}
    variables["MODELMILL_PORT"] = str(port)
    if os.environ.get("MODELMILL_DOCKER_HOST"):
        variables["DOCKER_HOST"] = os.environ["MODELMILL_DOCKER_HOST"]
    try:
        for _ in range(2):
            # The second time it takes the place of the first.
            said = run_alone((*alone, "./load.sh"), folder, **variables)
            assert said.endswith(f"{spec.deployment} version 5: http://127.0.0.1:{port}/\n")
        url = f"http://127.0.0.1:{port}/v1/predict"
        answer = requests.post(url, plain(90), headers=RAW, timeout=30).json()
        served = predict(create_app(bundle, "d", 1), content=plain(90), headers=RAW).json()
        assert answer["results"] == served["results"]
        assert (answer["model"]["deployment"], answer["model"]["version"]) == (spec.deployment, 5)
        container = docker_client.containers.get(name)
        compose = ("docker", "compose", "version")
        has_compose = not subprocess.run(
            compose, env={**os.environ, **variables}, capture_output=True, check=False
        ).returncode
        assert ("com.docker.compose.project" in container.labels) == has_compose
        host = container.attrs["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["Memory"] == 2 * 2**30
        assert min(host["PidsLimit"], host["NanoCpus"]) > 0
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["PortBindings"]["8000/tcp"][0]["HostIp"] == "127.0.0.1"
    finally:
        with suppress(NotFound):
            docker_client.containers.get(name).remove(force=True)
        for network in docker_client.networks.list(names=[name]):
            network.remove()
