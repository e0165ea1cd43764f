"""Stages are found, checked and run; a mistake is named before a row is read."""

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.job.errors import UserError
from spark_jobs.context import StageContext
from spark_jobs.runner import find_dropping_stage, list_own_stages, load_stages, run_stages
from spark_jobs.sample_rows import make_samples
from spark_jobs.schemas import reject
from spark_jobs.spec import StageSpec

LARGE = '''
"""Reject samples too large to decode."""
from pyspark.sql import DataFrame, functions as F
from spark_jobs.spec import StageParams
from spark_jobs.schemas import reject

class Params(StageParams):
    max_bytes: int = 10_000_000

def run(samples: DataFrame, params: Params) -> DataFrame:
    return reject(samples, F.col("size_bytes") > params.max_bytes, "larger than max_bytes")
'''


@pytest.fixture
def samples(spark: SparkSession) -> DataFrame:
    row = {"label": "a", "segment": "s", "content": b"x"}
    return make_samples(
        spark,
        [
            row | {"sha256": str(size), "name": f"{size}.png", "size_bytes": size}
            for size in (1, 20, 300)
        ],
    )


def write_stage(folder: Path, name: str, text: str) -> StageSpec:
    (folder / f"{name}.py").write_text(text)
    return StageSpec(name=name)


def test_stages_that_ship() -> None:
    assert list_own_stages() == [
        "assign_sides",
        "balance_classes",
        "compute_features",
        "decode_image",
        "flag_quality",
        "group_near_duplicates",
    ]


def test_a_stage_of_the_users_own(
    tmp_path: Path, samples: DataFrame, context: StageContext
) -> None:
    write_stage(tmp_path, "reject_large_a", LARGE)
    write_stage(tmp_path, "reject_large_b", LARGE)
    specs = [
        StageSpec(name="reject_large_a", params={"max_bytes": 100}),
        StageSpec(name="reject_large_b", params={"max_bytes": 10}),
    ]
    rows = run_stages(samples, load_stages(specs, tmp_path), context)
    found = rows.select("sha256", "reject_reason", "rejected_by").orderBy("size_bytes").collect()
    assert [tuple(row) for row in found] == [
        ("1", None, None),
        ("20", "larger than max_bytes", "reject_large_b"),
        ("300", "larger than max_bytes", "reject_large_a"),
    ]


def test_unknown_names_are_guessed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no stage 'decode_imag'. Did you mean 'decode_image'"):
        load_stages([StageSpec(name="decode_imag")], None)
    write_stage(tmp_path, "blur_faces", LARGE)
    with pytest.raises(UserError, match=r"Did you mean 'blur_faces'"):
        load_stages([StageSpec(name="blur_face")], tmp_path)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"max_byte": 3}, r"max_byte=3: there is no such parameter. Did you mean 'max_bytes'"),
        ({"max_bytes": "many"}, r"max_bytes='many': .*valid integer.* Its parameters: max_bytes"),
    ],
)
def test_bad_params_are_told(tmp_path: Path, params: dict[str, object], told: str) -> None:
    # Modules are known by name for as long as Python runs.
    name = f"reject_large_{len(params)}_{next(iter(params))}"
    write_stage(tmp_path, name, LARGE)
    spec = StageSpec.model_validate({"name": name, "params": params})
    with pytest.raises(UserError, match=told):
        load_stages([spec], tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("no_run", "x = 1", "has no function run"),
        ("one_argument", "def run(samples): ...", "takes 1 arguments"),
        ("broken", "def run(", "SyntaxError"),
        ("json", "def run(a, b): ...", "named like the Python module"),
        ("decode_image", "def run(a, b): ...", "ships too"),
    ],
)
def test_modules_that_are_no_stages(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        load_stages([write_stage(tmp_path, name, text)], tmp_path)


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (("drop_name", "return samples.drop('name')"), "'drop_name' took away name"),
        (("retype", "return samples.withColumn('width', samples.name)"), "width is string"),
        (("nothing", "return None"), "'nothing' returned NoneType"),
    ],
)
def test_columns_are_checked_after_each_stage(
    tmp_path: Path, samples: DataFrame, context: StageContext, stage: tuple[str, str], told: str
) -> None:
    name, body = stage
    spec = write_stage(tmp_path, name, f"def run(samples, params):\n    {body}\n")
    with pytest.raises(UserError, match=told):
        run_stages(samples, load_stages([spec], tmp_path), context)


def test_stage_that_drops_rows_is_named(
    tmp_path: Path, samples: DataFrame, context: StageContext
) -> None:
    kept = write_stage(tmp_path, "keep_all", "def run(samples, params):\n    return samples\n")
    lost = write_stage(
        tmp_path, "lose_some", "def run(samples, params):\n    return samples.limit(1)\n"
    )
    stages = load_stages([kept, lost], tmp_path)
    assert find_dropping_stage(samples, stages, context) == "lose_some"


def test_reject_keeps_the_first_reason(samples: DataFrame) -> None:
    once = reject(samples, F.col("size_bytes") > 10, "first")
    twice = reject(once, F.lit(True), "second")
    unknown = reject(twice, F.lit(None).cast("boolean"), "third")
    rows = unknown.orderBy("size_bytes").select("reject_reason").collect()
    assert [row[0] for row in rows] == ["second", "first", "first"]
