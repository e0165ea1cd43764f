"""A training whose data and settings are those of an earlier one is not done again."""

import hashlib

import httpx
from pydantic import ValidationError

from pipelines.artifacts import Artifacts
from pipelines.context import RunFiles
from pipelines.gate.decision import GateDecision
from serving.bundle.manifest import MANIFEST_FILE
from serving.job import store
from serving.job.spec import Spec
from spark_jobs.spec import EvaluateOutcome
from training.spec import TrainOutcome, TrainSpec

# What differs between two runs, and decides nothing of the model.
NOT_DECIDING = ("output_uri", "scratch_uri", "run_id", "labels_uri")


class Trained(Spec):
    """trained/<key>.json: which run has trained on this data with these settings."""

    run_id: str


def find_key(spec: TrainSpec) -> str:
    """Hash of all that decides a training; its labels by their content, wherever they lie."""
    # A model that was gone on from is not gone on from again without anything new to learn.
    alike = spec.model_copy(update={**dict.fromkeys(NOT_DECIDING, ""), "warm_from": None})
    labels = hashlib.sha256(store.read_bytes(spec.labels_uri)).hexdigest()
    return hashlib.sha256(f"{alike.fingerprint()}/{labels}".encode()).hexdigest()


def find_trained(artifacts: Artifacts, spec: TrainSpec, mlflow_address: str) -> TrainOutcome | None:
    """What an equal training has left; None where there was none, or some of it is gone."""
    try:
        earlier = store.read_model(artifacts.trained(find_key(spec)), Trained)
        files = RunFiles(artifacts=artifacts, run_id=earlier.run_id)
        outcome = files.find("train", TrainOutcome)
    except (FileNotFoundError, ValidationError):
        return None
    if outcome is None or not store.exists(store.join(outcome.bundle_uri, MANIFEST_FILE)):
        return None
    # Without its run in MLflow the model could not be registered.
    if not _is_tracked(mlflow_address, outcome.mlflow_run_id):
        return None
    return outcome.model_copy(update={"reused_from": earlier.run_id})


def _is_tracked(mlflow_address: str, mlflow_run_id: str) -> bool:
    answer = httpx.get(
        f"{mlflow_address}/api/2.0/mlflow/runs/get", params={"run_id": mlflow_run_id}, timeout=10
    )
    if answer.status_code != httpx.codes.OK:
        return False
    return bool(answer.json()["run"]["info"]["lifecycle_stage"] == "active")


def remember_trained(artifacts: Artifacts, spec: TrainSpec) -> None:
    """Let later runs find this one; call it once its work is committed."""
    store.write_model(artifacts.trained(find_key(spec)), Trained(run_id=spec.run_id))


def note_unchanged(
    decision: GateDecision, evaluate: EvaluateOutcome, train: TrainOutcome
) -> GateDecision:
    """A decision as it was, but that a model which serves already is not deployed again.

    Only for a model that meets every floor and limit.
    """
    champion = evaluate.champion
    if not train.reused_from:
        return decision
    same = f"Data and settings are those of run {train.reused_from}: nothing was trained."
    if champion.bundle_uri != train.bundle_uri:
        return decision.model_copy(update={"reason": f"{same} {decision.reason}"})
    # Beside itself no model is better, and nobody needs to be asked.
    serves = f"{same} Its model, version {champion.version}, serves already."
    update = {"passed": False, "asks": False, "good_enough": True, "reason": serves}
    return decision.model_copy(update=update)
