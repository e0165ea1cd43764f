"""The model that a training may go on from: the one in service."""

from pydantic import ValidationError

from pipelines.plan import name_task
from serving.bundle.manifest import MANIFEST_FILE, Manifest
from serving.job import store
from serving.job.mongo import use_database
from serving.job.spec import OUTCOME_FILE
from training.spec import TrainOutcome, WarmStart


def find_warm_start(deployment: str) -> WarmStart | None:
    """The head of the model in service; None where there is none, or it left no head."""
    with use_database() as database:
        found = database.deployments.find_one({"_id": deployment}, {"bundle_uri": 1})
    return read_warm_start(str(found["bundle_uri"])) if found and found.get("bundle_uri") else None


def read_warm_start(bundle_uri: str) -> WarmStart | None:
    """The head that was trained with a bundle; its training's outcome lies beside that.

    None, too, and a sentence in the log, where the backbone was trained with it: it reads
    that one's features only.
    """
    folder = bundle_uri.rstrip("/").rpartition("/")[0]
    try:
        outcome = store.read_model(store.join(folder, OUTCOME_FILE), TrainOutcome)
        manifest = store.read_model(store.join(bundle_uri, MANIFEST_FILE), Manifest)
    except (FileNotFoundError, ValidationError):
        return None
    if not outcome.head_uri:
        return None
    if outcome.recipe.depth != "head":
        print(
            "The model in service has a backbone of its own, and its head reads the features of "
            "that one alone: the training begins from nothing. Models of --deepest head can be "
            "gone on from."
        )
        return None
    if not store.exists(outcome.head_uri):
        return None
    return WarmStart(
        task=name_task(manifest.task),
        run_id=manifest.lineage.run_id,
        head_uri=outcome.head_uri,
        recipe=outcome.recipe,
        classes=manifest.classes,
        backbone_sha256=manifest.lineage.backbone_sha256,
        joined=outcome.folds > 1,
    )
