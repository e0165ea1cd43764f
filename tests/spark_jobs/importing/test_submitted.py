"""The import of a collection as it is started: by spark-submit, on workers that know nothing.

The workers have another folder and environment: what they need to reach comes with the tasks.
"""

from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from serving.job import store
from serving.job.mongo import MONGO_VARIABLE
from spark_jobs.spec import SOURCE_MONGO_VARIABLE, ImportCollectionSpec, ImportOutcome
from tests.spark_jobs.cluster import Cluster
from tests.spark_jobs.tiny import make_picture

pytestmark = pytest.mark.integration


@pytest.mark.usefixtures("connector", "database")
def test_a_collection_on_a_bare_worker(
    bare_worker: Cluster, mongo_server: str, dataset: str, tmp_path: Path
) -> None:
    (tmp_path / "events").mkdir()
    with MongoClient[dict[str, Any]](mongo_server) as client:
        rows = [{"image": make_picture(i % 2, i), "label": "ab"[i % 2]} for i in range(12)]
        client[f"shop-{dataset}"]["photos"].insert_many(rows)
    spec = ImportCollectionSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        raw_uri=(tmp_path / "raw").as_uri(),
        database=f"shop-{dataset}",
        collection="photos",
    )
    # The server takes anybody; the value of an option that no driver knows, and so no driver
    # shows, stands for the password.
    source = f"{mongo_server}/?shopOption=s3cret"
    job = bare_worker.submit(
        spec,
        {MONGO_VARIABLE: mongo_server, SOURCE_MONGO_VARIABLE: source},
        {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": (tmp_path / "events").as_uri(),
        },
    )
    log, _ = job.communicate(timeout=300)
    assert job.returncode == 0, log[-4000:]
    outcome = store.read_model(store.join(spec.output_uri, "outcome.json"), ImportOutcome)
    assert (outcome.read, outcome.added_per_class) == (12, {"a": 6, "b": 6})
    assert len(list((tmp_path / "raw").iterdir())) == 1
    seen = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in seen if path.is_relative_to(tmp_path / "events")]
    assert not [path for path in seen if b"s3cret" in path.read_bytes()]
    assert "s3cret" not in log
