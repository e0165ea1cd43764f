"""Entry of serving's jobs: python -m serving.main --spec '<json>'."""

import sys

from serving.bundle.manifest import MANIFEST_FILE, Manifest
from serving.bundle.operating_point import OPERATING_POINT_FILE, OperatingPoint
from serving.bundle_files import add_operating_point, read_served_files
from serving.deploy import deploy
from serving.docker_client import use_docker
from serving.gateway_image import ensure_gateway_image
from serving.image import build_model_image, ensure_runtime, name_image
from serving.job.main import run_job
from serving.job.spec import Spec
from serving.publish import publish
from serving.queue_kept import queue_kept
from serving.reconcile import reconcile_all
from serving.registry import Registry
from serving.spec import (
    SERVING_SPEC,
    BuildImageOutcome,
    BuildImageSpec,
    DeploySpec,
    PrepareRuntimeOutcome,
    PrepareRuntimeSpec,
    PublishSpec,
    QueueKeptSpec,
    ReconcileSpec,
    ServingSpec,
)

NO_ENGINE = "No Docker engine answers: the model will be served by a local process."


def build_image(spec: BuildImageSpec) -> BuildImageOutcome:
    """Register the bundle's version, once a run, and bake it where there is an engine."""
    if spec.operating_point_uri:
        add_operating_point(spec.bundle_uri, spec.operating_point_uri)
    files = read_served_files(spec.bundle_uri)
    lineage = Manifest.model_validate_json(files[MANIFEST_FILE]).lineage
    tags = {"run": lineage.run_id, "snapshot": lineage.snapshot_id, "bundle": spec.bundle_uri}
    if OPERATING_POINT_FILE in files:
        point = OperatingPoint.model_validate_json(files[OPERATING_POINT_FILE])
        tags["operating_point"] = point.fingerprint()
    version = Registry().register(spec.deployment, spec.mlflow_run_id, tags)
    with use_docker() as client:
        if client is None:
            print(NO_ENGINE, flush=True)
            size = sum(map(len, files.values()))
            return BuildImageOutcome(
                version=version, image_tag="", image_id="", base="", size_bytes=size
            )
        image, runtime = build_model_image(client, spec.bundle_uri, spec.deployment, version)
    tag = name_image(spec.deployment, version)
    size = int(image.attrs["Size"])
    print(f"{tag}: {size / 1e6:.0f} MB on {runtime.tag} ({runtime.base})", flush=True)
    return BuildImageOutcome(
        version=version,
        image_tag=tag,
        image_id=str(image.id),
        base=runtime.base,
        size_bytes=size,
    )


def prepare_runtime(_: PrepareRuntimeSpec) -> PrepareRuntimeOutcome:
    """Make the runtime's and the gateway's image, where there is an engine."""
    with use_docker() as client:
        if client is None:
            print(NO_ENGINE, flush=True)
            return PrepareRuntimeOutcome(runtime_tag="", base="", built=False)
        runtime = ensure_runtime(client)
        ensure_gateway_image(client)
    return PrepareRuntimeOutcome(runtime_tag=runtime.tag, base=runtime.base, built=runtime.built)


def run(spec: ServingSpec) -> Spec:
    """Do what the spec's kind asks."""
    match spec:
        case BuildImageSpec():
            return build_image(spec)
        case DeploySpec():
            return deploy(spec)
        case PublishSpec():
            return publish(spec)
        case ReconcileSpec():
            return reconcile_all(spec)
        case QueueKeptSpec():
            return queue_kept(spec)
        case PrepareRuntimeSpec():
            return prepare_runtime(spec)


if __name__ == "__main__":
    sys.exit(run_job(SERVING_SPEC, run))
