"""What has to be there before the first run: Airflow's tables, the backbone, the runtime."""

import hashlib
import os
import subprocess
import uuid

import httpx

from pipelines.artifacts import Artifacts
from pipelines.code import hash_sources
from pipelines.commands import python_command
from pipelines.local.configuration import ADMIN, HEAVY_POOL, read_admin_password
from pipelines.local.docker_engine import NO_DOCKER
from pipelines.local.environment import child_environment
from pipelines.local.layout import REPO, Layout
from pipelines.local.report import say, step
from pipelines.local.supervision import service_environment
from pipelines.plan import BACKBONE
from pipelines.settings import Settings
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import ERROR_FILE, OUTCOME_FILE, JobError, JobSpec
from serving.spec import PrepareRuntimeOutcome, PrepareRuntimeSpec, ReconcileSpec
from training.spec import ExportBackboneSpec


def migrate_airflow(settings: Settings, layout: Layout) -> None:
    """Create or upgrade Airflow's tables, once per version of the control environment."""
    stamp = layout.airflow_home / ".migrated"
    lock = (REPO / "docker" / "locks" / "control.txt").read_text()
    version = next(line for line in lock.splitlines() if line.startswith("apache-airflow=="))
    if stamp.exists() and stamp.read_text() == version:
        return
    with step("Making Airflow's database"):
        done = subprocess.run(
            [str(layout.control / "bin" / "airflow"), "db", "migrate"],
            env=service_environment(settings, layout),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise UserError(f"airflow db migrate failed:\n{(done.stdout + done.stderr)[-2000:]}")
    stamp.write_text(version)


def prepare_airflow(settings: Settings, layout: Layout) -> None:
    """The pool that lets one heavy task run at a time."""
    with httpx.Client(base_url=settings.airflow_address, timeout=30) as client:
        credentials = {"username": ADMIN, "password": read_admin_password(layout)}
        answer = client.post("/auth/token", json=credentials)
        if answer.status_code != 201:
            raise UserError(f"Airflow does not accept its own password: {answer.text[:200]}")
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        if client.get(f"/api/v2/pools/{HEAVY_POOL}").status_code == 200:
            return
        pool = {"name": HEAVY_POOL, "slots": 1, "description": "One heavy task at a time"}
        client.post("/api/v2/pools", json=pool).raise_for_status()


def prepare_jobs(settings: Settings, layout: Layout) -> None:
    """Export the backbone and make the runtime image once; bring deployments back up."""
    os.environ[store.WEBHDFS_VARIABLE] = settings.webhdfs_address
    places = Artifacts(hdfs=settings.hdfs_address, scratch=layout.scratch.as_uri())
    card = places.backbone_card(BACKBONE)
    if not store.exists(card):
        spec = ExportBackboneSpec(backbone=BACKBONE, output_uri=card.rpartition("/")[0])
        with step(f"Exporting the backbone {BACKBONE}"):
            _run_job(settings, layout, "training.main", spec)
    stamp = layout.conf / "runtime"
    wanted = _hash_runtime(layout)
    if not stamp.exists() or stamp.read_text() != wanted:
        runtime = PrepareRuntimeSpec(output_uri=f"{places.root}/prepared/{uuid.uuid4().hex}")
        with step("Making the runtime of the model servers"):
            _run_job(settings, layout, "serving.main", runtime)
        made = store.read_model(store.join(runtime.output_uri, OUTCOME_FILE), PrepareRuntimeOutcome)
        if made.runtime_tag or layout.docker_address.read_text() == NO_DOCKER:
            stamp.write_text(wanted)
        else:
            say("The Docker engine did not answer: until it does, processes serve the models.")
    reconcile = ReconcileSpec(output_uri=f"{places.root}/prepared/{uuid.uuid4().hex}")
    _run_job(settings, layout, "serving.main", reconcile)


def _hash_runtime(layout: Layout) -> str:
    """Changes with everything that the runtime image is made of, and with the engine."""
    digest = hashlib.sha256(hash_sources(REPO, ("serving",)).encode())
    for path in sorted((REPO / "docker" / "serve").iterdir()):
        digest.update(path.read_bytes())
    digest.update((REPO / "docker" / "locks" / "serve.txt").read_bytes())
    digest.update(layout.docker_address.read_bytes())
    return digest.hexdigest()


def stop_servers(settings: Settings, layout: Layout) -> None:
    """End the model servers; the desired state stays, so that `up` brings them back."""
    done = subprocess.run(
        [str(layout.jobs / "bin" / "python"), "-P", "-m", "serving.inventory", "stop"],
        env=child_environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        say(f"The model servers could not be ended: {lines[-1] if lines else 'no reason given'}")


def _run_job(settings: Settings, layout: Layout, module: str, spec: JobSpec) -> None:
    done = subprocess.run(
        python_command(layout, module, spec).argv,
        env=child_environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    log = layout.log / f"prepare-{spec.model_dump()['kind']}.log"
    log.write_text(done.stdout + done.stderr)
    if done.returncode == 0:
        return
    try:
        error = store.read_model(store.join(spec.output_uri, ERROR_FILE), JobError)
    except FileNotFoundError:
        raise UserError(f"{module} ended with {done.returncode}; see {log}.") from None
    raise UserError(error.message)
