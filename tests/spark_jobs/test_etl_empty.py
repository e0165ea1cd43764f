"""The etl job where there is nothing to work on."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from serving.job.errors import UserError
from spark_jobs.etl import run_etl
from spark_jobs.spec import StageSpec
from tests.spark_jobs.conftest import CHAIN, MakeSpec
from tests.spark_jobs.tiny import write_tree


@pytest.fixture(params=["true", "false"])
def adaptive(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways of planning: one machine's and a cluster's."""
    name = "spark.sql.adaptive.enabled"
    before = spark.conf.get(name, "true")
    spark.conf.set(name, request.param)
    yield
    spark.conf.set(name, before or "true")


def test_nothing_to_read_is_told(
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    tmp_path: Path,
    adaptive: None,
) -> None:
    """No sample at the cut-off; then samples that have lost every segment."""
    write_tree(import_root, per_class=1)
    run_import_of()
    for chain in (CHAIN[:1], CHAIN[:2]):
        spec = make_spec(stages=tuple(StageSpec(name=name) for name in chain))
        with pytest.raises(UserError, match="no usable sample at the cut-off"):
            run_etl(spec.model_copy(update={"cutoff": datetime(2020, 1, 1, tzinfo=UTC)}))
    shutil.rmtree(tmp_path / "raw")
    with pytest.raises(UserError, match="no usable sample at the cut-off"):
        run_etl(spec)
