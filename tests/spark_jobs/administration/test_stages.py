"""Stages are listed as they are, and tried without a trace."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from serving.job.errors import UserError
from serving.job.inputs import BackboneFile, Input
from spark_jobs.administration.spec import ListStagesSpec, StageInfo, TryStageSpec
from spark_jobs.administration.stages import list_stages, try_stage
from spark_jobs.runner import list_user_stages
from spark_jobs.sample_rows import make_samples
from spark_jobs.spec import StageSpec
from tests.spark_jobs.tiny import CLASSES, PREPROCESSING

MakeTrial = Callable[..., TryStageSpec]
STAGE = '''
"""Reject what is called so."""
from pydantic import Field
from pyspark.sql import functions as F
from spark_jobs.schemas import reject
from spark_jobs.spec import StageParams

class Params(StageParams):
    """How files are called."""
    ending: str = "000.png"
    times: int = Field(default=2, ge=1, le=9, description="How often.")

def run(samples, params):
    marked = samples.withColumn("area", F.col("width") * F.col("height"))
    shouting = marked.withColumn("label", F.repeat("label", params.times))
    return reject(shouting, F.col("name").endswith(params.ending), "ends so")
'''


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder; modules are known by name for as long as Python runs."""
    folder = tmp_path / "stages"
    folder.mkdir()
    monkeypatch.setenv("MODELMILL_STAGES", str(folder))
    return folder


def describe(name: str) -> StageInfo:
    found = list_stages(ListStagesSpec(output_uri="file:///x")).stages
    return next(one for one in found if one.name == name)


def test_tests_beside_the_stages_are_no_stages(stages: Path) -> None:
    for name in ("reject_it.py", "test_reject_it.py", "conftest.py", "__init__.py"):
        (stages / name).write_text("")
    assert list_user_stages(stages) == ["reject_it"]


def test_stages_that_ship_are_listed(stages: Path) -> None:
    val, _ = describe("assign_sides").params
    assert (val.name, val.type, val.default, val.limits) == ("val", "float", 0.15, "> 0, < 0.5")
    assert describe("decode_image").doc.startswith("Decode and validate each picture")


def test_stages_of_the_users_own_are_listed(stages: Path) -> None:
    (stages / "reject_called_a.py").write_text(STAGE)
    one = describe("reject_called_a")
    assert (one.doc, one.params_doc) == ("Reject what is called so.", "How files are called.")
    assert one.origin == str(stages / "reject_called_a.py")
    ending, times = one.params
    assert (ending.default, times.limits, times.description) == (
        "000.png",
        "≥ 1, ≤ 9",
        "How often.",
    )


def test_broken_stages_do_not_hide_the_others(stages: Path) -> None:
    (stages / "broken_stage.py").write_text("def run(")
    (stages / "no_stage_at_all.py").write_text("x = 1")
    assert "SyntaxError" in describe("broken_stage").problem
    assert "has no function run" in describe("no_stage_at_all").problem
    assert describe("decode_image").problem == ""


@pytest.fixture
def make_trial(
    spark: SparkSession, imported: str, backbone: BackboneFile, tmp_path: Path
) -> MakeTrial:
    def make(name: str, **params: Any) -> TryStageSpec:
        return TryStageSpec(
            output_uri=(tmp_path / "job").as_uri(),
            dataset=imported,
            raw_uri=(tmp_path / "raw").as_uri(),
            stage=StageSpec(name=name, params=params),
            limit=9,
            input=Input(backbone=backbone, preprocessing=PREPROCESSING),
        )

    return make


def test_a_trial_shows_what_is_rejected_and_what_changed(
    make_trial: MakeTrial, stages: Path
) -> None:
    (stages / "reject_called_b.py").write_text(STAGE)
    found = try_stage(make_trial("reject_called_b", ending="001.png", times=1))
    assert (found.rows, found.rejected_before) == (9, 0)
    assert [one.name for one in found.rejected] == [f"{name}/001.png" for name in sorted(CLASSES)]
    assert {one.reason for one in found.rejected} == {"ends so"}
    (area,) = found.changed
    assert (area.column, area.added, area.rows) == ("area", True, 9)
    assert (area.examples[0].before, area.examples[0].after) == ("null", "1920")
    changed = {one.column: one.rows for one in try_stage(make_trial("reject_called_b")).changed}
    assert changed == {"label": 9, "area": 9}


def test_a_trial_leaves_no_trace(make_trial: MakeTrial, imported: str, database: Any) -> None:
    """The stages that write do so in a world of the trial's own."""
    found = try_stage(make_trial("assign_sides"))
    assert {one.column: one.rows for one in found.changed} == {"side": 9}
    assert database["samples"].distinct("side", {"dataset": imported}) == [None]
    found = try_stage(make_trial("compute_features"))
    assert {"features_made", "pixels"} <= {one.column for one in found.changed}
    found = try_stage(make_trial("decode_image", min_side=41))
    assert len(found.rejected) == 9


def test_a_stage_is_told_the_datasets_task(
    make_trial: MakeTrial, stages: Path, imported: str, database: Any
) -> None:
    (stages / "tell_the_task.py").write_text(
        "from pyspark.sql import functions as F\n"
        "def run(samples, params, context):\n"
        "    return samples.withColumn('task', F.lit(context.task))\n"
    )
    (told,) = try_stage(make_trial("tell_the_task")).changed
    assert told.examples[0].after == "image_classification"
    several = {"$set": {"task": "image_multilabel"}}
    database["datasets"].update_one({"_id": imported}, several, upsert=True)
    (told,) = try_stage(make_trial("tell_the_task")).changed
    assert told.examples[0].after == "image_multilabel"


def test_a_stage_that_drops_rows_is_told(make_trial: MakeTrial, stages: Path) -> None:
    (stages / "halve_here.py").write_text(
        "def run(samples, params):\n    return samples.where(\"name like '%1.png'\")\n"
    )
    with pytest.raises(UserError, match="'halve_here' dropped or doubled rows: 9 went in, 3 came"):
        try_stage(make_trial("halve_here"))


def test_rows_by_hand_name_known_columns(spark: SparkSession) -> None:
    rows = make_samples(spark, [{"name": "a"}, {"width": 3}]).collect()
    assert [(row["name"], row["width"]) for row in rows] == [("a", None), (None, 3)]
    with pytest.raises(ValueError, match="no column widht"):
        make_samples(spark, [{"widht": 3}])
