"""What earlier versions wrote is read: their words, written out as they were."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.artifacts import Artifacts
from pipelines.context import RunFiles
from pipelines.old_plans import read_etl_outcome, read_plan
from pipelines.request import RunRequest
from serving.job import store
from tests.pipelines.literals import ARTIFACTS, ETL, RUN_ID, TRAIN, plan_of

REQUEST: dict[str, Any] = {
    "dataset": "boards",
    "deployment": "floor",
    "min_accuracy": 0.7,
    "deploy": True,
    "devices": "cpu",
    "max_epochs": 60,
    "patience": 9,
    "learning_rate": 0.01,
    "weight_decay": 0.1,
    "seed": 3,
    "snapshot": "",
    "stages": {"decode_image": {}},
}
PLAN: dict[str, Any] = {
    "run_id": RUN_ID,
    "request": {**REQUEST, "resize": "letterbox"},
    "cutoff": "2025-03-01T02:00:00Z",
    "seeds": {"sides": 0, "training": 3},
    "backbone": {
        "name": "efficientnet-lite0",
        "onnx_uri": "hdfs://nn:8020/modelmill/backbones/efficientnet-lite0/ab.onnx",
        "sha256": "ab" * 32,
        "licence": "Apache-2.0",
    },
    "preprocessing": {
        "size": 224,
        "crop_ratio": 0.875,
        "mean": 127.0,
        "scale": 128.0,
        "resize": "letterbox",
    },
    "stages": [{"name": "decode_image", "params": {}}],
    "code_version": "0123456789ab",
    "actor": "ada",
    "artifacts": ARTIFACTS.model_dump(),
}
FEATURES = "hdfs://nn:8020/modelmill/features/77"


def write(path: Path, content: object) -> str:
    path.write_text(json.dumps(content))
    return path.as_uri()


def test_an_old_plan_has_one_input(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path / "plan.json", PLAN))
    (only,) = plan.inputs
    assert only.name == "efficientnet-lite0 letterbox"
    assert (only.backbone.sha256, only.backbone.features) == ("ab" * 32, 1280)
    assert only.preprocessing.model_dump() == PLAN["preprocessing"]
    assert plan.request == RunRequest(
        **{name: REQUEST[name] for name in ("dataset", "deployment", "min_accuracy", "devices")},
        seed=3,
        resize="letterbox",
        stages={"decode_image": {}},
    )
    assert (plan.run_id, plan.code_version, plan.seeds.training) == (RUN_ID, "0123456789ab", 3)
    # What is read is written in today's form.
    store.write_model((tmp_path / "new.json").as_uri(), plan)
    assert read_plan((tmp_path / "new.json").as_uri()) == plan


def test_a_plan_made_before_pictures_could_be_fitted_otherwise_cropped(tmp_path: Path) -> None:
    preprocessing = {name: v for name, v in PLAN["preprocessing"].items() if name != "resize"}
    old = {**PLAN, "request": REQUEST, "preprocessing": preprocessing}
    plan = read_plan(write(tmp_path / "plan.json", old))
    assert (plan.request.resize, plan.inputs[0].preprocessing.resize) == ("crop", "crop")


def test_todays_plan_is_read_as_it_is(tmp_path: Path) -> None:
    plan = plan_of(RunRequest(dataset="boards"))
    store.write_model((tmp_path / "plan.json").as_uri(), plan)
    assert read_plan((tmp_path / "plan.json").as_uri()) == plan


@pytest.mark.parametrize(
    "content",
    [
        {"of": "another version"},
        [1],
        "text",
        {**PLAN, "request": 3},
        {**PLAN, "backbone": "lite0"},
        {**PLAN, "request": {**REQUEST, "epochs": 3}},
        {name: value for name, value in PLAN.items() if name != "preprocessing"},
    ],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(ValidationError):
        read_plan(write(tmp_path / "plan.json", content))


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(b'{"run')
    with pytest.raises(ValidationError):
        read_plan((tmp_path / "plan.json").as_uri())


def old_etl() -> dict[str, Any]:
    content = ETL.model_dump(mode="json", exclude={"features"})
    return {**content, "features_uri": FEATURES}


def test_an_old_runs_features_are_those_of_its_only_input(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path / "plan.json", PLAN))
    etl = read_etl_outcome(write(tmp_path / "outcome.json", old_etl()), plan)
    (features,) = etl.features
    assert (features.features_uri, features.name) == (FEATURES, plan.inputs[0].name)
    assert etl.model_copy(update={"features": ETL.features}) == ETL


def test_an_outcome_that_does_not_say_whose_features_is_refused(tmp_path: Path) -> None:
    plan = plan_of(RunRequest(dataset="boards"))
    assert len(plan.inputs) > 1
    with pytest.raises(ValidationError):
        read_etl_outcome(write(tmp_path / "outcome.json", old_etl()), plan)


def test_a_runs_files_are_found_whatever_their_form(tmp_path: Path) -> None:
    artifacts = Artifacts(hdfs=(tmp_path / "hdfs").as_uri(), scratch=tmp_path.as_uri())
    files = RunFiles(artifacts=artifacts, run_id=RUN_ID)
    store.write_bytes(artifacts.plan(RUN_ID), json.dumps(PLAN).encode())
    plan = files.plan()
    assert files.find_etl(plan) is None
    folder = files.task_uri("etl")
    store.write_bytes(f"{folder}/committed", b"2")
    store.write_bytes(f"{folder}/attempt-2/outcome.json", json.dumps(old_etl()).encode())
    assert files.read_etl(plan).features[0].features_uri == FEATURES
    assert files.find("train", type(TRAIN)) is None
