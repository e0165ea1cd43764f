"""A collection that the user has, through Spark and the connector; both servers real."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gridfs
import pyarrow.parquet as pq
import pytest
from bson import ObjectId
from pymongo import MongoClient
from pyspark.sql import SparkSession

from serving.job import store
from serving.job.errors import UserError
from spark_jobs.importing import collection as module
from spark_jobs.importing.collection import choose_partitions, run_import_collection
from spark_jobs.report_models import ImportReport
from spark_jobs.spec import SOURCE_MONGO_VARIABLE, ImportCollectionSpec, LabelFields
from spark_jobs.tables import read_samples
from tests.spark_jobs.tiny import make_picture

pytestmark = pytest.mark.usefixtures("database", "connector")


@pytest.fixture
def shop(
    mongo_server: str, dataset: str, monkeypatch: pytest.MonkeyPatch, spark: SparkSession
) -> Iterator[Any]:
    """The user's own database."""
    monkeypatch.setenv(SOURCE_MONGO_VARIABLE, mongo_server)
    with MongoClient[dict[str, Any]](mongo_server) as client:
        yield client[f"shop-{dataset}"]


@pytest.fixture
def spec(shop: Any, dataset: str, tmp_path: Path) -> ImportCollectionSpec:
    return ImportCollectionSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        raw_uri=(tmp_path / "raw").as_uri(),
        actor="tester",
        database=shop.name,
        collection="photos",
    )


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DOCUMENTS_PER_PARTITION", 3)


def contents(database: Any) -> dict[str, list[dict[str, Any]]]:
    return {name: list(database[name].find()) for name in sorted(database.list_collection_names())}


@pytest.mark.usefixtures("import_root", "small_parts")
def test_bytes_ids_and_paths_become_samples(
    shop: Any,
    spec: ImportCollectionSpec,
    database: Any,
    spark: SparkSession,
    tmp_path: Path,
) -> None:
    import_root = tmp_path / "import"
    pictures = [make_picture(i % 3, i) for i in range(24)]
    key = gridfs.GridFS(shop).put(pictures[1])
    (import_root / "a b.png").write_bytes(pictures[2])
    (tmp_path / "outside.png").write_bytes(pictures[3])
    good: list[object] = [pictures[0], key, str(import_root / "a b.png")]
    good += [(import_root / "a b.png").as_uri(), *pictures[4:], pictures[4]]
    photos = [
        {"_id": ObjectId(), "sort": {"name": "ab"[i % 2]}, "image": picture, "group": i // 2}
        for i, picture in enumerate(good)
    ]
    photos[0] |= {"sort": {"name": 3}, "split": "Test"}
    bad: dict[str, object] = {
        "empty label": {"image": pictures[5], "sort": {"name": " "}},
        "has no picture": {"sort": {"name": "a"}},
        "GridFS holds no file": {"image": ObjectId(), "sort": {"name": "a"}},
        "may not be read": {"image": str(tmp_path / "outside.png"), "sort": {"name": "a"}},
        "there is no such file": {"image": str(import_root / "c.png"), "sort": {"name": "a"}},
        "is no path": {"image": "photos/1.png", "sort": {"name": "a"}},
        "of type float": {"image": 1.5, "sort": {"name": "a"}},
        "several labels, where the first has one": {
            "image": pictures[5],
            "sort": {"name": ["a", "b"]},
        },
        "no single value": {"image": pictures[5], "sort": {"name": {"a": "b"}}},
        "unknown split 'x'": {"image": pictures[5], "sort": {"name": "a"}, "split": "x"},
        "not an image": {"image": b"hello", "sort": {"name": "a"}},
    }
    shop["photos"].insert_many([*photos, *bad.values(), {"image": pictures[6], "old": True}])
    before = contents(shop)
    fields = LabelFields(label="sort.name", split="split")
    asked = spec.model_copy(update={"fields": fields, "filter": {"old": {"$ne": True}}})
    outcome = run_import_collection(asked)
    assert contents(shop) == before
    assert outcome.read == len(good) + len(bad)
    told = sorted(r.reason for r in outcome.rejected)
    assert len(told) == len(bad)
    assert all(any(words in reason for reason in told) for words in bad), told
    # One picture came twice under one label, another one under two.
    assert (outcome.added, outcome.already_there, outcome.conflicts) == (23, 1, 1)
    samples = {s["sha256"]: s for s in database["samples"].find({"dataset": spec.dataset})}
    rows = [row for path in (tmp_path / "raw").iterdir() for row in pq.read_table(path).to_pylist()]
    assert {row["sha256"] for row in rows} == set(samples)
    assert {bytes(row["content"]) for row in rows} == {*pictures[:3], *pictures[4:]}
    first = next(s for s in samples.values() if s["name"] == f"photos/{photos[0]['_id']}")
    assert (first["label"], first["split"], first["group"]) == ("3", "test", "0")
    report = store.read_model(store.join(spec.output_uri, "import_report.json"), ImportReport)
    assert "picture from 'image', label from 'sort.name', split from 'split'" in report.found
    later = datetime.now(UTC) + timedelta(seconds=5)
    active = read_samples(spark, spec.dataset, later, spec.raw_uri).collect()
    assert len(active) == 22
    again = run_import_collection(asked)
    assert (again.added, again.already_there, again.conflicts) == (0, 24, 1)


@pytest.mark.usefixtures("small_parts")
def test_ids_of_two_types_lose_nothing(shop: Any, spec: ImportCollectionSpec) -> None:
    ids = [ObjectId() if i % 2 else f"id {i}" for i in range(12)]
    shop["photos"].insert_many(
        {"_id": one, "file": make_picture(i % 2, i), "class": (float if i % 3 else int)(i % 2)}
        for i, one in enumerate(ids)
    )
    assert choose_partitions(shop["photos"], 12) == 1
    outcome = run_import_collection(spec)
    assert (outcome.read, outcome.added_per_class) == (12, {"0": 6, "1": 6})
    shop["photos"].delete_many({"_id": {"$type": "string"}})
    assert choose_partitions(shop["photos"], 6) == 2


@pytest.mark.usefixtures("small_parts")
def test_lists_are_several_labels(shop: Any, spec: ImportCollectionSpec, database: Any) -> None:
    labels: list[object] = [["b", "a"], "a", ["a", "a"], [], ["a|b"], [1], ["a", ["b"]], "a|c"]
    shop["photos"].insert_many(
        {"_id": i, "image": make_picture(0, i), "tags": label} for i, label in enumerate(labels)
    )
    named = spec.model_copy(update={"fields": LabelFields(label="tags")})
    outcome = run_import_collection(named)
    assert (outcome.task, outcome.read) == ("image_multilabel", 8)
    assert outcome.added_per_class == {"1": 1, "a": 3, "b": 1}
    found = {s["name"]: s["label"] for s in database["samples"].find({"dataset": spec.dataset})}
    assert found == {"photos/0": "a|b", "photos/1": "a", "photos/2": "a", "photos/5": "1"}
    told = {one.name: one.reason for one in outcome.rejected}
    assert told.pop("photos/3") == "empty label"
    assert "'a|b' holds '|'" in told.pop("photos/4")
    assert "no single value" in told.pop("photos/6")
    assert "'a|c' holds '|'" in told.pop("photos/7")
    assert told == {}
    assert database["datasets"].find_one({"_id": spec.dataset})["classes"] == ["1", "a", "b"]


def test_what_a_person_can_mend_is_told(
    shop: Any, spec: ImportCollectionSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="holds no documents"):
        run_import_collection(spec)
    shop["photos"].insert_one({"data": make_picture(0, 0), "label": "a"})
    with pytest.raises(UserError, match=r"Say in picture_field .* has '_id', 'data', 'label'"):
        run_import_collection(spec)
    named = spec.model_copy(update={"fields": LabelFields(picture="data")})
    with pytest.raises(UserError, match="holds a single class, 'a'"):
        run_import_collection(named)
    # A blank label is rejected: it is no class.
    shop["photos"].insert_one({"data": make_picture(0, 1), "label": " "})
    with pytest.raises(UserError, match="holds a single class, 'a'"):
        run_import_collection(named)
    for update, words in (
        ({"filter": {"label": "z"}}, "fits the filter"),
        ({"filter": {"$nonsense": 1}}, "refuses"),
        ({"filter": {"_id": {"$oid": "x"}}}, "no query: "),
        ({"fields": LabelFields(picture="data", label="kind")}, r"field 'kind' \(label_field\)"),
        ({"fields": LabelFields(picture="$data")}, "is no field's name"),
    ):
        with pytest.raises(UserError, match=words):
            run_import_collection(named.model_copy(update=update))


@pytest.mark.parametrize(
    "uri", ["mongodb://me:s3cret@127.0.0.1:1/", "mongodb://me:s3cret@:x", "http://me:s3cret@h"]
)
def test_passwords_are_never_shown(
    spec: ImportCollectionSpec, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_MS", 300)
    monkeypatch.setenv(SOURCE_MONGO_VARIABLE, uri)
    with pytest.raises(UserError) as raised:
        run_import_collection(spec)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
