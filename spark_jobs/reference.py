"""The version that new ones are held to beside the champion, on the same test side."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame

from serving.bundle.manifest import Manifest, Task
from spark_jobs.champion import measure_champion, pack_champion
from spark_jobs.leaks import Leaks, find_all_leaks
from spark_jobs.spec import Champion, EvaluateSpec

CALLED = "reference"


@dataclass(frozen=True)
class HeldTo:
    """classes: the reference's; empty: it cannot be scored. without: as of measure_champion."""

    reference: Champion
    classes: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()


def prepare_reference(
    spec: EvaluateSpec, reference: Champion | None, leaks: Leaks, task: Task
) -> tuple[HeldTo | None, Path | None]:
    """With its packed bundle, where that can be scored. leaks, task: the challenger's."""
    if reference is None:
        return None, None
    reference, bundle, manifest = pack_champion(reference, task, CALLED)
    if manifest is None:
        return HeldTo(reference), None
    _, theirs = find_all_leaks(spec, manifest.lineage)
    learned = (theirs or Leaks()).either
    seen = reference.model_copy(update={"leaked": None if theirs is None else len(learned)})
    return HeldTo(seen, manifest.classes, leaks.either | learned), bundle


def measure_reference(
    held_to: HeldTo | None, test: DataFrame, manifest: Manifest
) -> Champion | None:
    """Its numbers; with a note alone where it was not scored. manifest: the challenger's."""
    if held_to is None:
        return None
    if not held_to.classes:
        return held_to.reference
    found = measure_champion(
        held_to.reference,
        test,
        manifest.classes,
        held_to.classes,
        held_to.without,
        called=CALLED,
        task=manifest.task,
    )
    if found.paired is not None and not found.paired.samples:
        note = "The reference has learned from all of today's test side, and is left out."
        return found.model_copy(update={"note": note})
    return found
