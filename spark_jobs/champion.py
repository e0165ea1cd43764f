"""The model in service: its bundle, and how it does on the challenger's test side."""

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from serving.bundle.manifest import ONE, SEVERAL, Manifest, Task
from serving.bundle.predictor import BadBundleError
from serving.job.evaluation import Paired
from spark_jobs.arrays import make_array
from spark_jobs.metrics.families import FAMILIES
from spark_jobs.metrics.membership import split_column
from spark_jobs.scoring import CHAMPION, open_bundle, pack_bundle
from spark_jobs.session import make_frame
from spark_jobs.spec import Champion

LABELS_OF: Final[dict[Task, str]] = {
    ONE: "one label a picture",
    SEVERAL: "several labels a picture",
}


def read_deployment(database: Any, name: str) -> Champion:
    """The deployment as it is now; generation 0 where there is none."""
    document = database["deployments"].find_one({"_id": name})
    if document is None:
        return Champion(generation=0)
    return Champion(
        generation=document["generation"],
        version=document.get("version"),
        bundle_uri=document.get("bundle_uri") or "",
    )


def read_reference(database: Any, name: str) -> Champion | None:
    """What new versions are held to beside the champion; None where the champion is it."""
    document = database["deployments"].find_one({"_id": name}) or {}
    pinned = document.get("reference")
    if not pinned or pinned["version"] == document.get("version"):
        return None
    return Champion(
        generation=document["generation"],
        version=pinned["version"],
        bundle_uri=pinned["bundle_uri"],
    )


def pack_champion(
    champion: Champion, task: Task, called: str = "champion"
) -> tuple[Champion, Path | None, Manifest | None]:
    """Its packed bundle and manifest; None with a note where it cannot be scored, or compared with
    a challenger of this task.
    """
    bundle_uri = champion.bundle_uri
    if not bundle_uri:
        return champion, None, None
    try:
        path = pack_bundle(bundle_uri)
        manifest = open_bundle(path).manifest
    except (FileNotFoundError, BadBundleError) as error:
        return _give_up(champion, f"The {called}'s bundle {bundle_uri} cannot be scored: {error}")
    if manifest.task != task:
        return _give_up(
            champion,
            f"The {called} gives {LABELS_OF[manifest.task]}, the new model {LABELS_OF[task]}: the "
            "two are not compared.",
            other_task=True,
        )
    return champion, path, manifest


def _give_up(
    champion: Champion, note: str, *, other_task: bool = False
) -> tuple[Champion, None, None]:
    print(note, flush=True)
    return champion.model_copy(update={"note": note, "other_task": other_task}), None, None


def describe_difference(
    classes: tuple[str, ...], theirs: tuple[str, ...], called: str = "champion"
) -> str:
    """A sentence where two models know other classes."""
    gone, new = sorted(set(theirs) - set(classes)), sorted(set(classes) - set(theirs))
    parts = [
        f"{word} {', '.join(map(repr, names[:5]))}{' and others' if len(names) > 5 else ''}"
        for word, names in (("does not know", new), ("still knows", gone))
        if names
    ]
    if not parts:
        return ""
    return (
        f"The {called} {' and '.join(parts)}: the two are compared on the test samples of the "
        f"{len(set(classes) & set(theirs))} classes that both know."
    )


def count_paired(
    scored: DataFrame,
    shared: set[str],
    without: frozenset[str] = frozenset(),
    prefix: str = CHAMPION,
    task: Task = ONE,
) -> Paired:
    """Who was right, over samples that have labels of these classes alone, but for these samples.

    prefix: of the other's columns.
    """
    ours = F.col("predicted") == F.col("label")
    theirs = F.col(prefix + "predicted") == F.col("label")
    names = split_column(F.col("label"), task)
    rows = scored.where(F.forall(names, lambda name: name.isin(sorted(shared))))
    if without:
        hashes = pa.table({"sha256": make_array(sorted(without), pa.string())})
        left_out = F.broadcast(make_frame(scored.sparkSession, hashes))
        rows = rows.join(left_out, on="sha256", how="left_anti")
    counts = {
        (row["ours"], row["theirs"]): row["count"]
        for row in rows.groupBy(ours.alias("ours"), theirs.alias("theirs")).count().collect()
    }
    return Paired(
        both=counts.get((True, True), 0),
        challenger_only=counts.get((True, False), 0),
        champion_only=counts.get((False, True), 0),
        neither=counts.get((False, False), 0),
    )


def measure_champion(
    champion: Champion,
    scored: DataFrame,
    classes: tuple[str, ...],
    theirs: tuple[str, ...],
    without: frozenset[str] = frozenset(),
    *,
    called: str = "champion",
    task: Task = ONE,
) -> Champion:
    """Its numbers on all test samples, and both models' on those of classes that both know.

    without: samples that one of the models has learned from, no part of what both are compared on.
    called: champion or reference.
    """
    prefix = f"{called}_"
    metrics = FAMILIES[task].count(scored, classes, f"{prefix}predicted")
    paired = count_paired(scored, set(classes) & set(theirs), without, prefix, task)
    return champion.model_copy(
        update={
            "accuracy": metrics.accuracy,
            "macro_f1": metrics.macro_f1,
            # Of nothing in common nothing can be said.
            "paired": paired if paired.samples or without else None,
            "note": describe_difference(classes, theirs, called),
        }
    )
