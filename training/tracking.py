"""The run in MLflow. Only this file knows MLflow."""

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from serving.job.errors import ServiceError, UserError
from serving.job.search import Cost, Recipe, Search
from training.ranks import Ranks
from training.spec import TrainSpec
from training.winner import Winner

MLFLOW_VARIABLE = "MODELMILL_MLFLOW_URI"
RUN_ID_TAG = "modelmill.run_id"
RUN_ADDRESS_TAG = "modelmill.airflow_run"
SUPERSEDED_TAG = "modelmill.superseded_by"
# Shows runs below their parent in MLflow's own pages.
PARENT_TAG = "mlflow.parentRunId"
TRIAL_METRICS = ("loss", "accuracy", "best_epoch", "latency_ms", "model_mb", "seconds")
ARTIFACT_FOLDER = "bundle"
ANSWER_LIMIT_S = 10
# MLflow's own limit for one log_batch call.
BATCH_LIMIT = 1000


class TrackingError(ServiceError):
    """MLflow cannot be used just now; the text says which address and why."""


def find_server() -> str:
    """Address of MLflow, from the environment; fails at once where nothing answers there."""
    uri = os.environ.get(MLFLOW_VARIABLE)
    if not uri:
        raise UserError(f"Set {MLFLOW_VARIABLE} to http://HOST:PORT of MLflow.")
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        try:
            with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=ANSWER_LIMIT_S):  # noqa: S310
                pass
        except (urllib.error.URLError, OSError) as error:
            # Never the whole address: it may hold a password.
            raise TrackingError(
                f"MLflow does not answer at {parts.hostname}:{parts.port} ({MLFLOW_VARIABLE}): "
                f"{error}. Start it, or correct the address, then run the task again."
            ) from None
    return uri


def _tags(spec: TrainSpec, ranks: Ranks) -> dict[str, str]:
    linked = {RUN_ADDRESS_TAG: spec.run_address} if spec.run_address else {}
    return linked | {
        RUN_ID_TAG: spec.run_id,
        "modelmill.dataset": spec.dataset,
        "modelmill.snapshot_id": spec.snapshot_id,
        "modelmill.code_version": spec.code_version,
        "modelmill.device": ranks.device,
    }


def _params(spec: TrainSpec, ranks: Ranks) -> dict[str, str]:
    shown = spec.model_dump(
        mode="json",
        include={
            *("seed", "max_epochs", "patience", "min_delta", "task"),
            *("search_seconds", "max_trials", "max_latency_ms", "max_model_mb", "min_precision"),
        },
    )
    shown |= {"classes": len(spec.classes), "ranks": ranks.size}
    shown |= {"inputs": ", ".join(given.name for given in spec.inputs)}
    return {name: str(value) for name, value in shown.items()}


def _recipe_params(recipe: Recipe) -> dict[str, str]:
    return {name: str(value) for name, value in recipe.model_dump().items()}


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn MLflow's errors into one sentence, without the password that the address may hold."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        login = urlsplit(uri).netloc.rpartition("@")[0]
        reason = str(error).replace(f"{login}@", "") if login else str(error)
        raise TrackingError(
            f"MLflow failed: {reason}. Run the task again once it answers."
        ) from None


class Tracking:
    """One run in MLflow; its experiment is the dataset, its name our run's id.

    Every method raises TrackingError.
    """

    def __init__(self, client: Any, uri: str, run_id: str) -> None:
        self._client, self._uri, self.run_id = client, uri, run_id

    def log_search(self, search: Search) -> None:
        """Log one child run a trial."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        with _explained(self._uri):
            experiment = self._client.get_run(self.run_id).info.experiment_id
            for trial in search.trials:
                tags = {PARENT_TAG: self.run_id, "modelmill.trial": trial.state}
                name = f"trial {trial.number}"
                child = self._client.create_run(experiment, tags=tags, run_name=name).info.run_id
                params = [Param(*pair) for pair in _recipe_params(trial.recipe).items()]
                measured = trial.model_dump(include=set(TRIAL_METRICS), exclude_none=True)
                metrics = [Metric(key, value, now, 0) for key, value in measured.items()]
                self._client.log_batch(child, metrics=metrics, params=params)
                self._client.set_terminated(child, "FINISHED" if trial.loss else "KILLED")

    def log_winner(self, winner: Winner, cost: Cost) -> None:
        """Log the chosen recipe, one point per epoch and curve, the best values, and the cost."""
        from mlflow.entities import Metric, Param, RunTag

        now, best = int(time.time() * 1000), winner.best_epoch
        curves = {"train_loss": [epoch.train_loss for epoch in winner.trained.progress.epochs]}
        # Where every sample is trained on, the curves are those of the samples held out.
        judged = winner.trained.measured is not None
        for name in ("val_loss", "val_accuracy"):
            own = [getattr(epoch, name) for epoch in winner.trained.progress.epochs]
            curves[name] = own if judged else list(getattr(winner.found.fitted, name))
        points = [
            Metric(name, value, now, number)
            for name, values in curves.items()
            for number, value in enumerate(values, start=1)
        ]
        last = {
            "best_val_loss": winner.measured.loss,
            "best_val_accuracy": winner.measured.accuracy,
            "best_epoch": best,
            "temperature": winner.measured.temperature,
            "trials": len(winner.found.search.trials),
        }
        points += [Metric(name, value, now, best) for name, value in last.items()]
        points += [Metric(name, value, now, 0) for name, value in cost.model_dump().items()]
        backbone = winner.given.backbone
        tags = {
            "modelmill.backbone": backbone.name,
            "modelmill.backbone_sha256": backbone.sha256,
            "modelmill.backbone_licence": backbone.licence,
            "modelmill.search_ended": winner.found.search.ended_because,
        }
        recipe = _recipe_params(winner.found.search.chosen.recipe)
        with _explained(self._uri):
            for start in range(0, len(points), BATCH_LIMIT):
                self._client.log_batch(self.run_id, metrics=points[start : start + BATCH_LIMIT])
            self._client.log_batch(
                self.run_id,
                params=[Param(*pair) for pair in recipe.items()],
                tags=[RunTag(*pair) for pair in tags.items()],
            )

    def log_bundle(self, folder: Path) -> None:
        """Keep the bundle's files."""
        with _explained(self._uri):
            self._client.log_artifacts(self.run_id, str(folder), ARTIFACT_FOLDER)

    def log_agreement(self, agreement: float) -> None:
        """Log how far the bundle's forms differ."""
        with _explained(self._uri):
            self._client.log_metric(self.run_id, "agreement", agreement)

    def finish(self, *, failed: bool = False) -> None:
        """Close the run."""
        with _explained(self._uri):
            self._client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")


def _open(client: Any, spec: TrainSpec, ranks: Ranks) -> str:
    from mlflow.entities import Param

    experiment = client.get_experiment_by_name(spec.dataset)
    experiment_id = (
        experiment.experiment_id if experiment else client.create_experiment(spec.dataset)
    )
    older = client.search_runs([experiment_id], f"tags.`{RUN_ID_TAG}` = '{spec.run_id}'")
    run_id: str = client.create_run(
        experiment_id, tags=_tags(spec, ranks), run_name=spec.run_id
    ).info.run_id
    for other in older:
        client.set_tag(other.info.run_id, SUPERSEDED_TAG, run_id)
        client.set_terminated(other.info.run_id, "KILLED")
    params = [Param(name, value) for name, value in _params(spec, ranks).items()]
    client.log_batch(run_id, params=params)
    return run_id


def open_run(uri: str, spec: TrainSpec, ranks: Ranks) -> Tracking:
    """Begin this attempt's run; runs of earlier attempts are marked as superseded."""
    # It would print the whole address, which may hold a password.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # Its own default, 7 retries with doubled waits, hangs for minutes where the server is gone.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    import mlflow

    with _explained(uri):
        client = mlflow.MlflowClient(tracking_uri=uri)
        return Tracking(client, uri, _open(client, spec, ranks))
