"""RunRequest → RunPlan → one spec per job."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pipelines.artifacts import Artifacts
from pipelines.import_request import ImportRequest
from pipelines.plan import (
    RunPlan,
    build_image_spec,
    deploy_spec,
    etl_spec,
    evaluate_spec,
    import_spec,
    train_spec,
)
from pipelines.request import DEFAULT_STAGES, RunRequest
from pipelines.search_plan import BACKBONES, choose_inputs
from serving.bundle.manifest import SEVERAL
from serving.job.search import Depth
from serving.job.spec import NAME_PATTERN, JobSpec
from serving.spec import SERVING_SPEC
from spark_jobs.spec import SPARK_SPEC
from tests.pipelines.literals import (
    ARTIFACTS,
    ATTEMPT,
    CARDS,
    CUTOFF,
    ETL,
    EVALUATE,
    GATE,
    IMAGE,
    ROOT,
    RUN_ID,
    TRAIN,
    plan_of,
)
from training.spec import TRAINING_SPEC, TrainOutcome

PLAN = plan_of(RunRequest(dataset="boards", seed=11))
IMPORT = import_spec(
    ImportRequest(dataset="boards", source="/photos", title="Floor boards"),
    ARTIFACTS,
    source_uri="file:///photos",
    actor="ada",
    output_uri=ATTEMPT,
)
SPECS: list[tuple[JobSpec, TypeAdapter[Any]]] = [
    (IMPORT, SPARK_SPEC),
    (etl_spec(PLAN, ATTEMPT), SPARK_SPEC),
    (train_spec(PLAN, ETL, ATTEMPT), TRAINING_SPEC),
    (evaluate_spec(PLAN, ETL, TRAIN, ATTEMPT), SPARK_SPEC),
    (build_image_spec(PLAN, TRAIN, EVALUATE, ATTEMPT), SERVING_SPEC),
    (
        deploy_spec(PLAN, ATTEMPT, train=TRAIN, evaluate=EVALUATE, gate=GATE, image=IMAGE),
        SERVING_SPEC,
    ),
]
KINDS = [str(spec.model_dump()["kind"]) for spec, _ in SPECS]
REQUESTS = st.builds(
    RunRequest,
    dataset=st.from_regex(NAME_PATTERN, fullmatch=True),
    deployment=st.one_of(st.just(""), st.from_regex(NAME_PATTERN, fullmatch=True)),
    min_accuracy=st.floats(0, 1),
    min_precision=st.floats(0, 1),
    deploy=st.booleans(),
    devices=st.sampled_from(["auto", "cpu", "gpu"]),
    resize=st.sampled_from(["auto", "crop", "squash", "letterbox"]),
    budget_minutes=st.floats(0.01, 10_080),
    max_trials=st.integers(0, 10_000),
    deepest=st.sampled_from(get_args(Depth)),
    backbones=st.sampled_from([("auto",), BACKBONES[:1], BACKBONES[1:]]),
    seed=st.integers(0, 2**31 - 1),
)


def test_everything_is_decided_in_the_plan() -> None:
    assert (PLAN.run_id, PLAN.cutoff, PLAN.actor) == (RUN_ID, CUTOFF, "ada")
    assert PLAN.code_version == "0123456789ab"
    assert PLAN.inputs == choose_inputs(PLAN.request, CARDS)
    assert [stage.name for stage in PLAN.stages] == list(DEFAULT_STAGES)


def test_stages_keep_order_and_parameters() -> None:
    stages: dict[str, dict[str, Any]] = {"reject_large": {"max_bytes": 9}, "assign_sides": {}}
    plan = plan_of(RunRequest(dataset="boards", stages=stages))
    spec = etl_spec(plan, ATTEMPT)
    assert [(one.name, one.params) for one in spec.stages] == list(stages.items())


@given(REQUESTS)
@settings(max_examples=40, deadline=None)
def test_any_form_makes_one_plan_whose_json_says_it_all(request: RunRequest) -> None:
    plan = plan_of(request)
    assert plan == plan_of(request)
    assert RunPlan.model_validate_json(plan.model_dump_json()) == plan


@given(REQUESTS)
@settings(max_examples=40, deadline=None)
def test_any_form_reaches_the_training_and_moves_no_side(request: RunRequest) -> None:
    plan = plan_of(request)
    spec = train_spec(plan, ETL, ATTEMPT)
    chosen = (spec.devices, spec.seed, spec.deepest)
    assert chosen == (request.devices, request.seed, request.deepest)
    assert etl_spec(plan, ATTEMPT).seed == etl_spec(PLAN, ATTEMPT).seed == 0
    assert etl_spec(plan, ATTEMPT).inputs == plan.inputs


@pytest.mark.parametrize(("given_name", "served_as"), [("", "boards"), ("floor", "floor")])
def test_deployment_is_the_dataset_unless_named(given_name: str, served_as: str) -> None:
    plan = plan_of(RunRequest(dataset="boards", deployment=given_name))
    evaluate = evaluate_spec(plan, ETL, TRAIN, ATTEMPT)
    image = build_image_spec(plan, TRAIN, EVALUATE, ATTEMPT)
    deploy = deploy_spec(plan, ATTEMPT, train=TRAIN, evaluate=EVALUATE, gate=GATE, image=IMAGE)
    assert {evaluate.deployment, image.deployment, deploy.deployment} == {served_as}
    assert {evaluate.dataset, deploy.dataset} == {"boards"}


def test_evaluation_sees_what_the_winner_saw() -> None:
    evaluate = evaluate_spec(PLAN, ETL, TRAIN, ATTEMPT)
    assert evaluate.out_of_fold_uri == TRAIN.out_of_fold_uri
    old = TrainOutcome(**TRAIN.model_dump(exclude={"out_of_fold_uri"}))
    assert evaluate_spec(PLAN, ETL, old, ATTEMPT).out_of_fold_uri == ""
    assert evaluate.features == ETL.features[0]
    assert evaluate.min_precision == 0
    precise = plan_of(RunRequest(dataset="boards", min_precision=0.9))
    assert evaluate_spec(precise, ETL, TRAIN, ATTEMPT).min_precision == 0.9
    assert evaluate.facts_uri == ARTIFACTS.facts
    # Judged by folds, the final training has the val side, too.
    assert evaluate.val_learned
    assert not evaluate.deepened
    recipe = TRAIN.recipe.model_copy(update={"depth": "last_blocks"})
    deep = TRAIN.model_copy(update={"recipe": recipe})
    assert evaluate_spec(PLAN, ETL, deep, ATTEMPT).deepened
    judged_by_val = TRAIN.model_copy(update={"folds": 1})
    assert not evaluate_spec(PLAN, ETL, judged_by_val, ATTEMPT).val_learned


@pytest.mark.parametrize(("spec", "adapter"), SPECS, ids=KINDS)
def test_job_reads_back_what_was_sent(spec: JobSpec, adapter: TypeAdapter[Any]) -> None:
    assert adapter.validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("spec", [spec for spec, _ in SPECS], ids=KINDS)
def test_every_location_is_given_whole(spec: JobSpec) -> None:
    uris = {name: uri for name, uri in spec.model_dump().items() if name.endswith("_uri")}
    assert uris["output_uri"] == ATTEMPT
    inside = (f"{ROOT}/", f"file:///var/scratch/{RUN_ID}/", "file:///photos")
    assert not [name for name, uri in uris.items() if not uri.startswith(inside)]


def test_two_runs_share_no_scratch_folder() -> None:
    other = PLAN.model_copy(update={"run_id": "20250302T020000-0a1b2c"})
    uris = {train_spec(plan, ETL, ATTEMPT).scratch_uri for plan in (PLAN, other)}
    assert len(uris) == 2


def test_etl_sees_the_labels_of_the_cut_off() -> None:
    spec = etl_spec(PLAN, ATTEMPT)
    assert spec.cutoff == CUTOFF
    assert spec.raw_uri == f"{ROOT}/raw/boards"
    assert (spec.snapshots_uri, spec.features_uri) == (f"{ROOT}/snapshots", f"{ROOT}/features")


def test_training_gets_what_the_etl_answered() -> None:
    spec = train_spec(PLAN, ETL, ATTEMPT)
    assert (spec.snapshot_id, spec.labels_uri) == (ETL.snapshot_id, ETL.labels_uri)
    assert (spec.inputs, spec.classes) == (ETL.features, ("oak", "钢"))


def test_deploy_holds_the_gates_view() -> None:
    spec = deploy_spec(PLAN, ATTEMPT, train=TRAIN, evaluate=EVALUATE, gate=GATE, image=IMAGE)
    assert (spec.version, spec.image_tag) == (7, "modelmill/boards:7")
    assert spec.expected_generation == EVALUATE.champion.generation
    assert spec.gate == GATE.numbers
    assert spec.reason == f"Run {RUN_ID}: Good enough."


def test_import_keeps_title_and_actor() -> None:
    assert (IMPORT.title, IMPORT.actor) == ("Floor boards", "ada")
    assert IMPORT.raw_uri == Artifacts(hdfs="hdfs://nn:8020", scratch="file:///s").raw("boards")


def test_several_labels_reach_the_training_with_what_chooses_their_thresholds() -> None:
    plan = plan_of(RunRequest(dataset="boards", min_precision=0.9))
    one = train_spec(plan, ETL, ATTEMPT)
    assert (one.task, one.min_precision) == ("classification", 0)
    assert "min_precision" not in one.model_dump_json()
    several = train_spec(plan, ETL.model_copy(update={"task": SEVERAL}), ATTEMPT)
    assert (several.task, several.min_precision) == ("multilabel", 0.9)
    assert TRAINING_SPEC.validate_json(several.model_dump_json()) == several
