"""What may go: old runs, feature caches without a run, leftovers, old images; what never may.

In doubt a thing stays: a run that goes on or cannot be read, anything of the last day, caches while
a run may be filling one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.airflow_api import DagRun
from pipelines.artifacts import RUN_ID
from pipelines.context import Installation, RunFiles
from pipelines.images import ModelImage
from pipelines.import_request import IMPORT_DAG
from pipelines.leftovers import GRACE, Kind, find_leftovers, find_scratch
from pipelines.predict_request import PREDICT_DAG
from pipelines.runtimes import RuntimeImage, choose_old_runtimes
from pipelines.steps import BUILD_IMAGE, TRAIN
from serving.job import store
from serving.job.errors import UserError
from serving.job.inputs import InputFeatures
from serving.job.spec import Spec
from serving.spec import BuildImageOutcome

# DAGs whose runs fill no feature cache.
NO_FEATURES = (IMPORT_DAG, PREDICT_DAG)


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True)


class KnownRun(_Fact):
    """A run's folder. features: names of the caches that it uses.

    reuses: id of the run whose model it took over; empty where it trained its own.
    readable: false where a file of it is of a version of this program that is not known.
    """

    run_id: str
    deployment: str = ""
    version: int | None = None
    features: tuple[str, ...] = ()
    reuses: str = ""
    readable: bool = True

    @property
    def at(self) -> datetime:
        """When it began, from its id."""
        return datetime.strptime(self.run_id[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


class _Reuse(Spec):
    """The one field of a training's outcome that matters here, of any version of it."""

    model_config = ConfigDict(extra="ignore")

    reused_from: str = ""


class Needs(_Fact):
    """What one deployment needs: its version, the previous one, the runs that it names."""

    deployment: str
    versions: frozenset[int]
    run_ids: frozenset[str]


class Prunable(_Fact):
    """Something that may go; location: a URI, or an image's tag."""

    kind: Literal["run", "features", "scratch", "image", "runtime"] | Kind
    location: str
    size_bytes: int


class Found(_Fact):
    """What may go, and sentences about what stays though one might expect otherwise."""

    items: tuple[Prunable, ...]
    notes: tuple[str, ...] = ()


def read_needs(database: Any) -> tuple[Needs, ...]:
    """Of every deployment."""
    return tuple(read_need(one) for one in database["deployments"].find())


def read_need(document: Mapping[str, Any]) -> Needs:
    """Any version and any run in a deployment's document counts, whatever the field.

    Of the versions that it remembers, only the one that a rollback would go back to; and those that
    are tried, or that others are held to.
    """
    before = (document.get("history") or [{}])[-1]
    parts = [before, *(document.get(name) or {} for name in ("canary", "reference"))]
    fields = [
        *((key, value) for key, value in document.items() if key != "history"),
        *(field for part in parts for field in part.items()),
    ]
    return Needs(
        deployment=str(document["_id"]),
        versions=frozenset(v for key, v in fields if "version" in key and isinstance(v, int)),
        run_ids=frozenset(RUN_ID.findall(" ".join(str(value) for _, value in fields))),
    )


def read_runs(installation: Installation) -> tuple[KnownRun, ...]:
    """Every run that has a folder."""
    names = store.list_names(f"{installation.artifacts.root}/runs")
    return tuple(_read_run(installation, name) for name in names if RUN_ID.fullmatch(name))


def _read_run(installation: Installation, run_id: str) -> KnownRun:
    files = RunFiles(artifacts=installation.artifacts, run_id=run_id)
    try:
        plan = files.plan()
    except UserError:
        # Without a plan no task of it has begun.
        return KnownRun(run_id=run_id)
    except ValidationError:
        return KnownRun(run_id=run_id, readable=False)
    try:
        etl = files.find_etl(plan)
        image = files.find(BUILD_IMAGE.task, BuildImageOutcome)
        train = files.find(TRAIN.task, _Reuse)
    except (ValidationError, FileNotFoundError):
        return KnownRun(run_id=run_id, readable=False)
    return KnownRun(
        run_id=run_id,
        deployment=plan.request.served_as,
        version=None if image is None else image.version,
        features=() if etl is None else tuple(_name_cache(one) for one in etl.features),
        reuses="" if train is None else train.reused_from,
    )


def _name_cache(features: InputFeatures) -> str:
    return features.features_uri.rstrip("/").rsplit("/", 1)[-1]


def choose_kept_runs(
    runs: Sequence[KnownRun],
    needs: Iterable[Needs],
    going: Collection[str],
    *,
    keep: int,
    now: datetime,
) -> frozenset[str]:
    """Ids that stay: each deployment's newest, all of the last day, all needed or going on."""
    kept = {*going}
    kept |= {run.run_id for run in runs if not run.readable or now - run.at < GRACE}
    by_deployment: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        by_deployment[run.deployment].append(run.run_id)
    for ids in by_deployment.values():
        kept.update(sorted(ids)[-keep:])
    for need in needs:
        kept |= need.run_ids
        kept |= {
            run.run_id
            for run in runs
            if run.deployment == need.deployment and run.version in need.versions
        }
    # The model of a run that trained nothing lies with the run that trained it.
    kept |= {run.reuses for run in runs if run.run_id in kept and run.reuses}
    return frozenset(kept)


def choose_old_images(
    images: Iterable[ModelImage], needs: Iterable[Needs], *, keep: int
) -> tuple[ModelImage, ...]:
    """Images beyond each deployment's newest, but for those that it needs."""
    needed = {need.deployment: need.versions for need in needs}
    by_deployment: dict[str, list[ModelImage]] = defaultdict(list)
    for image in images:
        by_deployment[image.deployment].append(image)
    return tuple(
        image
        for name, own in sorted(by_deployment.items())
        for image in sorted(own, key=lambda one: one.version)[:-keep]
        if image.version not in needed.get(name, frozenset())
    )


def _find_features(
    installation: Installation,
    runs: Sequence[KnownRun],
    kept: Collection[str],
    going: Sequence[DagRun],
) -> tuple[list[str], list[str]]:
    """URIs of caches that no kept run refers to; and why none may go, where that is so."""
    unsure = [run.run_id for run in runs if not run.readable]
    # It may be filling a cache right now, and one that has ended without saying so has failed.
    told = {run.run_id for run in runs if run.features}
    unsure += [
        run.run_id for run in going if run.dag_id not in NO_FEATURES and run.run_id not in told
    ]
    if unsure:
        note = (
            f"Feature caches stay: {len(unsure)} of the runs that stay have not said which one "
            f"they use (first: {unsure[0]})."
        )
        return [], [note]
    used = {name for run in runs if run.run_id in kept for name in run.features}
    root = installation.artifacts.features
    names = [name for name in store.list_names(root) if not name.startswith(".")]
    return [store.join(root, name) for name in names if name not in used], []


def find_prunable(
    installation: Installation,
    database: Any,
    images: Sequence[ModelImage],
    going: Sequence[DagRun] | None,
    *,
    runtimes: Sequence[RuntimeImage] = (),
    keep: int,
    now: datetime,
) -> Found:
    """Look at everything; nothing is changed. Runtimes come last: what stands on them goes first.

    going: Airflow's runs that have not ended; None where that is not known: then all runs stay.
    """
    runs, needs = read_runs(installation), read_needs(database)
    artifacts, notes = installation.artifacts, list[str]()
    kept: frozenset[str] | None = None
    locations: dict[Literal["run", "features", "scratch"] | Kind, Sequence[str]] = {}
    if going is not None:
        ids = [run.run_id for run in going]
        kept = choose_kept_runs(runs, needs, ids, keep=keep, now=now)
        locations["run"] = [artifacts.run(r.run_id) for r in runs if r.run_id not in kept]
        locations["features"], notes = _find_features(installation, runs, kept, going)
    locations["scratch"] = find_scratch(installation.layout.scratch, kept, now)
    idle = going is not None and not going
    for kind, found in find_leftovers(artifacts, now, idle=idle).items():
        locations[kind] = found
    items = [
        Prunable(kind=which, location=uri, size_bytes=store.measure(uri))
        for which, uris in locations.items()
        for uri in uris
    ]
    old = choose_old_images(images, needs, keep=keep)
    items += [Prunable(kind="image", location=i.tag, size_bytes=i.size_bytes) for i in old]
    items += [
        Prunable(kind="runtime", location=one.tag, size_bytes=one.size_bytes)
        for one in choose_old_runtimes(runtimes, [image.tag for image in old], now)
    ]
    return Found(items=tuple(items), notes=tuple(notes))
