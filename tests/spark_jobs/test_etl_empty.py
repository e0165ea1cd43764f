"""The etl job where there is nothing to work on."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from serving.job import store
from serving.job.errors import UserError
from spark_jobs.etl import run_etl
from spark_jobs.report_models import EtlReport, Pictures
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


REASONS = """
from pyspark.sql import functions as F
from spark_jobs.schemas import reject

def run(samples, params):
    for number in "01234567":
        found = F.col("name").endswith(f"{number}.png") & ~F.col("name").startswith("<b>bold/007")
        samples = reject(samples, found, f"too dull {max(int(number), 4)}")
    return samples
"""


@pytest.mark.parametrize("kept", [0, 1])
def test_what_was_left_out_is_told_though_nothing_can_be_learned(
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    kept: int,
) -> None:
    """Everything is left out; then a single sample is kept, which assign_sides refuses."""
    tmp_path = import_root.parent
    write_tree(import_root, per_class=8)
    run_import_of()
    folder = tmp_path / "stages"
    folder.mkdir()
    # A name of its own each time: this process has the other's module.
    stage = f"reject_dull_{kept}"
    (folder / f"{stage}.py").write_text(REASONS if kept else REASONS.replace("bold/007", "no"))
    monkeypatch.setenv("MODELMILL_STAGES", str(folder))
    names = ("decode_image", stage, *CHAIN[1:])[: 4 if kept else 2]
    with pytest.raises(UserError) as raised:
        run_etl(make_spec(stages=tuple(StageSpec(name=name) for name in names)))
    told = str(raised.value)
    left_out = 24 - kept
    begin = "has 1 usable samples of 1 class" if kept else "has no usable sample"
    assert begin in told
    assert f"{left_out} were left out; most often: too dull 4 (15), too dull 5 (3), " in told
    assert "too dull 6 (3)" in told
    assert "too dull 7" not in told
    report = store.read_model(f"{tmp_path.as_uri()}/etl/etl_report.json", EtlReport)
    assert f"{tmp_path.as_uri()}/etl/etl_report.json" in told
    assert (report.samples, report.kept, report.rejected) == (24, kept, left_out)
    assert {one.stage: one.rejected for one in report.stages}[stage] == left_out
    assert report.snapshot_id == ""
    shown = store.read_model(report.pictures_uri, Pictures).pictures
    assert [one.sha256 for one in shown] == [one.sha256 for one in report.rejections]
    assert all(one.thumbnail for one in shown)
    rejected = pq.read_table(tmp_path / "etl" / "rejected" / "rejected.parquet")
    assert rejected.num_rows == left_out
    assert not (tmp_path / "snapshots").exists()
