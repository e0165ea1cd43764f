"""An earlier snapshot is trained on again, whatever became of the dataset since."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from serving.job.errors import UserError
from serving.job.samples import delete_sample, read_sample, relabel_sample
from spark_jobs.etl import run_etl
from spark_jobs.spec import EtlOutcome, StageSpec
from tests.spark_jobs.conftest import CHAIN, MakeSpec
from tests.spark_jobs.tiny import CLASSES

pytestmark = pytest.mark.usefixtures("imported")


def read_rows(outcome: EtlOutcome) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(
        outcome.labels_uri.removeprefix("file://")
    ).to_pylist()
    return rows


def test_the_dataset_moves_on_and_the_snapshot_does_not(
    make_spec: MakeSpec, imported: str, tmp_path: Path, database: Any
) -> None:
    first = run_etl(make_spec())
    one, other, *_ = read_rows(first)
    relabel_sample(database, read_sample(database, imported, one["sha256"]), CLASSES[2], "me")
    delete_sample(database, read_sample(database, imported, other["sha256"]), "me")
    with pytest.raises(UserError, match="are without a sample on every side"):
        run_etl(make_spec())
    again = run_etl(make_spec(snapshot_id=first.snapshot_id))
    assert again.snapshot_id == first.snapshot_id
    assert (again.counts, again.classes) == (first.counts, first.classes)
    assert again.labels_uri == first.labels_uri
    assert (again.features_made, again.features_reused) == (0, 9)
    # A segment that was written anew under another name: the run learns where its samples are.
    (old,) = {row["segment"] for row in read_rows(first) if row["label"] == one["label"]}
    new = f"{tmp_path.as_uri()}/raw/moved.parquet"
    Path(old.removeprefix("file://")).rename(new.removeprefix("file://"))
    database["samples"].update_many({"segment": old}, {"$set": {"segment": new}})
    moved = run_etl(make_spec(snapshot_id=first.snapshot_id))
    assert moved.snapshot_id == first.snapshot_id
    assert moved.labels_uri != first.labels_uri
    assert new in {row["segment"] for row in read_rows(moved)}
    assert {row["sha256"]: row["label"] for row in read_rows(moved)} == {
        row["sha256"]: row["label"] for row in read_rows(first)
    }


def test_what_is_gone_is_named(make_spec: MakeSpec, imported: str, database: Any) -> None:
    first = run_etl(make_spec())
    row = read_rows(first)[0]
    one = {"dataset": imported, "sha256": row["sha256"]}
    database["samples"].update_one(one, {"$set": {"segment": ""}})
    told = rf"1 of its samples were purged: {row['name']} \({row['sha256'][:12]}\)"
    with pytest.raises(UserError, match=told):
        run_etl(make_spec(snapshot_id=first.snapshot_id))
    with pytest.raises(UserError, match="is not there any more"):
        run_etl(make_spec(snapshot_id="0" * 20))


STRICT = """
from pyspark.sql import functions as F
from spark_jobs.schemas import reject

def run(samples, params):
    return reject(samples, F.col("name").endswith("000.png"), "too dull")
"""


def test_stages_that_would_make_another_snapshot_are_told(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_etl(make_spec())
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "reject_dull.py").write_text(STRICT)
    monkeypatch.setenv("MODELMILL_STAGES", str(tmp_path / "stages"))
    stages = tuple(StageSpec(name=name) for name in (*CHAIN, "reject_dull"))
    with pytest.raises(UserError, match=r"3 of its samples cannot be used.*000.png \(too dull\)"):
        run_etl(make_spec(snapshot_id=first.snapshot_id, stages=stages))
