"""RunRequest → RunPlan, and RunPlan + what went before → the spec of each job. Pure."""

from collections.abc import Sequence
from datetime import datetime

from pipelines.artifacts import Artifacts
from pipelines.gate.decision import GateDecision
from pipelines.import_request import ImportRequest
from pipelines.request import RunRequest
from pipelines.search_plan import choose_inputs, search_seconds
from serving.bundle.manifest import SEVERAL, Task
from serving.job.inputs import Input
from serving.job.spec import Spec
from serving.spec import BuildImageOutcome, BuildImageSpec, DeploySpec
from spark_jobs.spec import (
    EtlOutcome,
    EtlSpec,
    EvaluateOutcome,
    EvaluateSpec,
    ImportCollectionSpec,
    ImportSpec,
    LabelFields,
    StageSpec,
)
from training.spec import ExportBackboneOutcome, TaskName, TrainOutcome, TrainSpec, WarmStart


class Seeds(Spec):
    """One seed per choice that chance makes."""

    sides: int
    training: int


class RunPlan(Spec):
    """Everything that is decided before the first job starts; plan.json of a run.

    inputs: what the model search may choose among; the best single choice first. warm_from: the
    head that the training goes on from.
    """

    run_id: str
    request: RunRequest
    cutoff: datetime
    seeds: Seeds
    inputs: tuple[Input, ...]
    stages: tuple[StageSpec, ...]
    code_version: str
    actor: str
    artifacts: Artifacts
    warm_from: WarmStart | None = None


def make_plan(
    request: RunRequest,
    *,
    run_id: str,
    cutoff: datetime,
    actor: str,
    code_version: str,
    artifacts: Artifacts,
    cards: Sequence[ExportBackboneOutcome],
    warm_from: WarmStart | None = None,
) -> RunPlan:
    """Resolve a form: labels as they were at the cut-off, each backbone at its own size.

    cards: of every backbone that is there. Raises UserError where none meets the form's limits.
    """
    return RunPlan(
        run_id=run_id,
        request=request,
        cutoff=cutoff,
        # Sides are for life, so the run's seed must not move them.
        seeds=Seeds(sides=0, training=request.seed),
        inputs=choose_inputs(request, cards),
        stages=tuple(
            StageSpec(name=name, params=values) for name, values in request.stages.items()
        ),
        code_version=code_version,
        actor=actor,
        artifacts=artifacts,
        warm_from=warm_from,
    )


def import_spec(
    request: ImportRequest, artifacts: Artifacts, *, source_uri: str, actor: str, output_uri: str
) -> ImportSpec:
    """Bring a folder or a table of pictures into a dataset."""
    return ImportSpec(
        output_uri=output_uri,
        dataset=request.dataset,
        title=request.title,
        source_uri=source_uri,
        fields=_label_fields(request),
        labels=request.labels,
        raw_uri=artifacts.raw(request.dataset),
        actor=actor,
    )


def import_collection_spec(
    request: ImportRequest, artifacts: Artifacts, *, actor: str, output_uri: str
) -> ImportCollectionSpec:
    """Bring a MongoDB collection into a dataset; its address is no part of the spec."""
    return ImportCollectionSpec(
        output_uri=output_uri,
        dataset=request.dataset,
        title=request.title,
        database=request.mongo_database,
        collection=request.mongo_collection,
        filter=request.mongo_filter,
        fields=_label_fields(request),
        labels=request.labels,
        raw_uri=artifacts.raw(request.dataset),
        actor=actor,
    )


def _label_fields(request: ImportRequest) -> LabelFields:
    return LabelFields(
        picture=request.picture_field,
        label=request.label_field,
        split=request.split_field,
        group=request.group_field,
    )


def etl_spec(plan: RunPlan, output_uri: str) -> EtlSpec:
    """Snapshot and features."""
    return EtlSpec(
        output_uri=output_uri,
        dataset=plan.request.dataset,
        cutoff=plan.cutoff,
        snapshot_id=plan.request.snapshot,
        seed=plan.seeds.sides,
        raw_uri=plan.artifacts.raw(plan.request.dataset),
        snapshots_uri=plan.artifacts.snapshots,
        features_uri=plan.artifacts.features,
        facts_uri=plan.artifacts.facts,
        pairs_uri=plan.artifacts.pairs,
        inputs=plan.inputs,
        stages=plan.stages,
    )


def name_task(task: Task) -> TaskName:
    """What trains it."""
    return "multilabel" if task == SEVERAL else "classification"


def train_spec(plan: RunPlan, etl: EtlOutcome, output_uri: str) -> TrainSpec:
    """A head on the snapshot's features."""
    return TrainSpec(
        output_uri=output_uri,
        task=name_task(etl.task),
        run_id=plan.run_id,
        dataset=plan.request.dataset,
        snapshot_id=etl.snapshot_id,
        labels_uri=etl.labels_uri,
        devices=plan.request.devices,
        inputs=etl.features,
        scratch_uri=plan.artifacts.scratch_folder(plan.run_id, "train"),
        classes=etl.classes,
        code_version=plan.code_version,
        seed=plan.seeds.training,
        search_seconds=search_seconds(plan.request),
        max_trials=plan.request.max_trials,
        max_latency_ms=plan.request.max_latency_ms,
        max_model_mb=plan.request.max_model_mb,
        min_precision=plan.request.min_precision if etl.task == SEVERAL else 0.0,
        warm_start=plan.request.warm_start == "champion",
        deepest=plan.request.deepest,
        warm_from=plan.warm_from,
    )


def evaluate_spec(
    plan: RunPlan, etl: EtlOutcome, train: TrainOutcome, output_uri: str
) -> EvaluateSpec:
    """The bundle, and the champion, on the snapshot's test side."""
    return EvaluateSpec(
        output_uri=output_uri,
        run_id=plan.run_id,
        dataset=plan.request.dataset,
        deployment=plan.request.served_as,
        snapshot_id=etl.snapshot_id,
        labels_uri=etl.labels_uri,
        raw_uri=plan.artifacts.raw(plan.request.dataset),
        bundle_uri=train.bundle_uri,
        etl_report_uri=etl.report_uri,
        mlflow_run_id=train.mlflow_run_id,
        min_accuracy=plan.request.min_accuracy,
        min_precision=plan.request.min_precision,
        features=next((one for one in etl.features if one.name == train.recipe.input), None),
        facts_uri=plan.artifacts.facts,
        # With folds the val side is no larger than they are, and the final training has it, too.
        val_learned=train.folds > 1,
        deepened=train.recipe.depth != "head",
        snapshots_uri=plan.artifacts.snapshots,
        search_uri=train.search_uri,
        out_of_fold_uri=train.out_of_fold_uri,
        train_cost=train.cost,
        seed=plan.seeds.training,
    )


def build_image_spec(
    plan: RunPlan, train: TrainOutcome, evaluate: EvaluateOutcome, output_uri: str
) -> BuildImageSpec:
    """The bundle as the deployment's next version, with what the evaluation chose for it."""
    return BuildImageSpec(
        output_uri=output_uri,
        deployment=plan.request.served_as,
        bundle_uri=train.bundle_uri,
        operating_point_uri=evaluate.operating_point_uri,
        mlflow_run_id=train.mlflow_run_id,
    )


def deploy_spec(
    plan: RunPlan,
    output_uri: str,
    *,
    train: TrainOutcome,
    evaluate: EvaluateOutcome,
    gate: GateDecision,
    image: BuildImageOutcome,
) -> DeploySpec:
    """The version in service, if the deployment is still as the gate saw it."""
    return DeploySpec(
        output_uri=output_uri,
        deployment=plan.request.served_as,
        dataset=plan.request.dataset,
        version=image.version,
        image_tag=image.image_tag,
        bundle_uri=train.bundle_uri,
        smoke_uri=evaluate.smoke_uri,
        expected_generation=evaluate.champion.generation,
        gate=gate.numbers,
        actor=plan.actor,
        reason=f"Run {plan.run_id}: {gate.reason}",
    )
