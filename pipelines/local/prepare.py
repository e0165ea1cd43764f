"""What has to be there before the first run: Airflow's tables, the backbones, the runtime."""

import hashlib
import subprocess
import time
import uuid
from typing import IO

from pipelines.airflow_api import open_airflow
from pipelines.code import hash_sources, write_archive
from pipelines.commands import SparkMaster, python_command, spark_command
from pipelines.context import Installation, publish_addresses
from pipelines.local.configuration import ADMIN, read_admin_password
from pipelines.local.docker_engine import NO_DOCKER
from pipelines.local.inventory import call_inventory
from pipelines.local.jars import list_poms
from pipelines.local.layout import REPO, Layout
from pipelines.local.report import say, step
from pipelines.local.supervision import service_environment
from pipelines.planning import ensure_backbones, find_card
from pipelines.predict_request import PREDICT_DAG
from pipelines.publish_request import PUBLISH_DAG
from pipelines.run_job import JobFailedError, run_job_here
from pipelines.search_plan import BACKBONES
from pipelines.settings import Settings
from pipelines.steps import HEAVY_POOL
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import OUTCOME_FILE
from serving.spec import (
    PrepareRuntimeOutcome,
    PrepareRuntimeSpec,
    ReconcileOutcome,
    ReconcileSpec,
)
from spark_jobs.spec import WarmUpSpec

DAGS = ("modelmill_import", "modelmill_train", PREDICT_DAG, PUBLISH_DAG)
DAG_SECONDS = 120
POLL_S = 0.5


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


def prepare_airflow(installation: Installation) -> None:
    """The pool that lets one heavy task run at a time; and the DAGs, which Airflow reads late."""
    password = read_admin_password(installation.layout)
    with open_airflow(installation.settings, ADMIN, password) as api:
        api.ensure_pool(HEAVY_POOL, 1, "One heavy task at a time")
        end = time.monotonic() + DAG_SECONDS
        while not all(api.find_dag(dag) for dag in DAGS):
            if time.monotonic() > end:
                log = installation.layout.log / "airflow-dag-processor.log"
                raise UserError(f"Airflow does not know {' and '.join(DAGS)} yet: see {log}.")
            time.sleep(POLL_S)


def prepare_jobs(installation: Installation) -> None:
    """Export the backbones and make the runtime image once; bring deployments back up."""
    publish_addresses(installation)
    layout, root = installation.layout, installation.artifacts.root
    missing = [name for name in BACKBONES if find_card(installation, name) is None]
    if missing:
        what = f"Exporting the pretrained {' and '.join(missing)}"
        with step(what), _open_log(layout, "backbones") as log:
            ensure_backbones(installation, log)
    stamp = layout.conf / "runtime"
    wanted = _hash_runtime(layout)
    if not stamp.exists() or stamp.read_text() != wanted:
        runtime = PrepareRuntimeSpec(output_uri=f"{root}/prepared/{uuid.uuid4().hex}")
        with step("Making the runtime of the model servers"):
            _run_serving(installation, runtime)
        made = store.read_model(store.join(runtime.output_uri, OUTCOME_FILE), PrepareRuntimeOutcome)
        if made.runtime_tag or layout.docker_address.read_text() == NO_DOCKER:
            stamp.write_text(wanted)
        else:
            say("The Docker engine did not answer: until it does, processes serve the models.")
    archive_classes(installation)
    reconcile = ReconcileSpec(output_uri=f"{root}/prepared/{uuid.uuid4().hex}")
    _run_serving(installation, reconcile)
    ended = store.read_model(store.join(reconcile.output_uri, OUTCOME_FILE), ReconcileOutcome)
    for name, reason in ended.failures.items():
        say(f"Deployment {name} is not back: {reason}")


def archive_classes(installation: Installation) -> None:
    """Run Spark once so that the JVM archives the classes it loaded: each job then starts sooner.

    The archive belongs to one Java and one set of jars, whose names and sizes it checks itself.
    """
    layout = installation.layout
    digest = hashlib.sha256((REPO / "docker" / "locks" / "jobs.txt").read_bytes())
    digest.update(b"".join(pom.read_bytes() for pom in list_poms()))
    stamp = layout.spark_archive.with_suffix(".stamp")
    if layout.spark_archive.exists() and stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    layout.spark_archive.unlink(missing_ok=True)
    spec = WarmUpSpec(output_uri=f"{installation.artifacts.root}/prepared/{uuid.uuid4().hex}")
    command = spark_command(
        layout,
        spec,
        master=SparkMaster(master="local[1]"),
        archive=write_archive(layout.code),
        name="modelmill warm up",
        archive_classes=True,
    )
    try:
        with step("Warming Spark up"), _open_log(layout, "warm-up") as log:
            run_job_here(command, spec, installation.job_environment(), log)
    except (UserError, JobFailedError) as error:
        # Everything works without it, some seconds slower.
        layout.spark_archive.unlink(missing_ok=True)
        say(f"Spark starts slowly here: {error}. See {layout.log / 'prepare-warm-up.log'}.")
    else:
        stamp.write_text(digest.hexdigest())


def _hash_runtime(layout: Layout) -> str:
    """Changes with everything that the runtime image is made of, and with the engine."""
    digest = hashlib.sha256(hash_sources(REPO, ("serving",)).encode())
    for folder in ("serve", "gateway"):
        for path in sorted((REPO / "docker" / folder).iterdir()):
            digest.update(path.read_bytes())
    digest.update((REPO / "docker" / "locks" / "serve.txt").read_bytes())
    digest.update(layout.docker_address.read_bytes())
    return digest.hexdigest()


def stop_servers(settings: Settings, layout: Layout) -> None:
    """End the model servers; the desired state stays, so that `up` brings them back."""
    done = call_inventory(settings, layout, "stop")
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        say(f"The model servers could not be ended: {lines[-1] if lines else 'no reason given'}")


def _open_log(layout: Layout, name: str) -> IO[str]:
    return (layout.log / f"prepare-{name}.log").open("w")


def _run_serving(installation: Installation, spec: PrepareRuntimeSpec | ReconcileSpec) -> None:
    command = python_command(installation.layout, "serving.main", spec)
    with _open_log(installation.layout, spec.kind) as log:
        try:
            run_job_here(command, spec, installation.job_environment(), log)
        except JobFailedError as error:
            raise UserError(f"{error}; its reason is at the end of {log.name}.") from None
