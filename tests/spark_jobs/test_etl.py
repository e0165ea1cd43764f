"""The etl job from a real import to a snapshot, against real servers."""

import hashlib
import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.bundle import codec
from serving.bundle.predictor import OnnxNetwork
from serving.job import store
from serving.job.errors import UserError
from serving.job.inputs import BackboneFile
from spark_jobs.claims import Claim, claim_sides
from spark_jobs.etl import run_etl
from spark_jobs.spec import EtlOutcome, Side, StageSpec
from tests.spark_jobs.conftest import CHAIN, MakeSpec
from tests.spark_jobs.tiny import CLASSES, PREPROCESSING, make_picture, write_tree


def read_table(uri: str) -> pa.Table:
    return pq.read_table(io.BytesIO(store.read_bytes(uri)))


def read_labels(outcome: EtlOutcome) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(outcome.labels_uri).to_pylist()
    return rows


def read_rejected(outcome: EtlOutcome) -> dict[str, str]:
    table = read_table(store.join(outcome.rejected_uri, "rejected.parquet"))
    return {row["name"]: row["reason"] for row in table.to_pylist()}


def read_vectors(outcome: EtlOutcome, place: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """sha256 → vector of one of the inputs; each is there once."""
    uri = outcome.features[place].features_uri
    tables = [
        read_table(store.join(uri, name))
        for name in store.list_names(uri)
        if name.endswith(".parquet")
    ]
    rows = pa.concat_tables(tables).to_pylist()
    assert len({row["sha256"] for row in rows}) == len(rows)
    return {row["sha256"]: np.array(row["vector"], np.float32) for row in rows}


def test_snapshot_features_and_sides(
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    backbone: BackboneFile,
    database: Any,
) -> None:
    write_tree(import_root, per_class=20)
    run_import_of()
    spec = make_spec()
    outcome = run_etl(spec)
    rows = read_labels(outcome)
    assert outcome.classes == tuple(sorted(CLASSES))
    assert outcome.counts["train"] == dict.fromkeys(CLASSES, 14)
    assert (len(rows), outcome.rejected, outcome.features_made) == (60, 0, 60)
    by_hash = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path for path in import_root.rglob("*.png")
    }
    network = OnnxNetwork(Path(backbone.onnx_uri.removeprefix("file://")))
    vectors = read_vectors(outcome)
    for row in rows:
        path = by_hash[row["sha256"]]
        assert row["label"] == path.parent.name
        assert row["name"] == f"{path.parent.name}/{path.name}"
        assert row["sha256"] in read_table(row["segment"])["sha256"].to_pylist()
        pixels = codec.prepare(path.read_bytes(), PREPROCESSING)
        expected = network.run(codec.to_batch([pixels], PREPROCESSING))[0]
        np.testing.assert_allclose(vectors[row["sha256"]], expected, rtol=1e-5, atol=1e-6)
    stored = {s["sha256"]: s["side"] for s in database["samples"].find({"dataset": spec.dataset})}
    assert stored == {row["sha256"]: row["side"] for row in rows}
    files = store.list_names(outcome.features[0].features_uri)
    again = run_etl(spec.model_copy(update={"seed": 9}))
    assert (again.snapshot_id, again.counts) == (outcome.snapshot_id, outcome.counts)
    assert (again.features_made, again.features_reused) == (0, 60)
    assert store.list_names(outcome.features[0].features_uri) == files
    assert database["snapshots"].count_documents({"dataset": spec.dataset}) == 1


def test_new_pictures_keep_old_sides_and_the_cutoff_holds(
    run_import_of: Callable[[], None], make_spec: MakeSpec, import_root: Path
) -> None:
    write_tree(import_root, per_class=6)
    run_import_of()
    spec = make_spec(cutoff=datetime.now(UTC))
    before = run_etl(spec)
    write_tree(import_root, per_class=6, start=6)
    run_import_of()
    after = run_etl(make_spec())
    assert (after.features_made, after.features_reused) == (18, 18)
    sides = {row["sha256"]: row["side"] for row in read_labels(after)}
    assert {row["sha256"]: row["side"] for row in read_labels(before)}.items() <= sides.items()
    assert run_etl(spec).snapshot_id == before.snapshot_id


def test_what_cannot_be_used_is_listed(
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    tmp_path: Path,
    database: Any,
) -> None:
    """A disputed sample, one whose segment holds broken bytes, one whose segment is lost."""
    write_tree(import_root, per_class=6)
    shutil.copy(import_root / CLASSES[0] / "000.png", import_root / CLASSES[1] / "same.png")
    run_import_of()
    spec = make_spec()
    dataset = spec.dataset
    for name, content in (("broken", b"no picture"), ("lost", make_picture(0, 99))):
        digest = hashlib.sha256(content).hexdigest()
        segment = tmp_path / "raw" / f"{name}.parquet"
        if name == "broken":
            rows = [{"sha256": digest, "name": name, "content": content}]
            pq.write_table(pa.Table.from_pylist(rows), segment)
        first = database["samples"].find_one({"dataset": dataset, "state": "active"})
        new = {"_id": f"{dataset}/{digest}", "sha256": digest, "name": name}
        database["samples"].insert_one({**first, **new, "segment": segment.as_uri(), "side": None})
    outcome = run_etl(spec)
    assert len(read_labels(outcome)) == 17
    rejected = read_rejected(outcome)
    assert set(rejected) == {"broken", "lost"}
    assert "not an image" in rejected["broken"]
    assert "raw bytes are missing" in rejected["lost"]
    assert [s.rejected for s in outcome.stages] == [1, 0, 0]
    assert outcome.rejected == 2


USER_STAGE = '''
"""Reject pictures whose mean is low; reads the bytes after the features were made."""
import io
from PIL import Image
import numpy as np
from pyspark.sql import functions as F
from spark_jobs.schemas import reject
from spark_jobs.spec import StageParams

class Params(StageParams):
    channel: int = 0

def mean(content, channel):
    return float(np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[..., channel].mean())

def run(samples, params):
    is_bright = F.udf(lambda content: mean(content, params.channel) > 100, "boolean")
    return reject(samples, is_bright("content"), "too bright")
'''


def test_a_stage_of_the_users_own_reads_bytes_after_the_features(
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "reject_bright.py").write_text(USER_STAGE)
    monkeypatch.setenv("MODELMILL_STAGES", str(tmp_path / "stages"))
    write_tree(import_root, per_class=4)
    run_import_of()
    chain = (*CHAIN[:2], "reject_bright", CHAIN[2])
    outcome = run_etl(make_spec(stages=tuple(StageSpec(name=name) for name in chain)))
    assert outcome.classes == tuple(sorted(CLASSES[1:]))
    assert set(read_rejected(outcome).values()) == {"too bright"}
    assert outcome.stages[2].rejected == outcome.rejected == 4


def test_a_stage_that_drops_rows_is_named(
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "halve.py").write_text(
        "def run(samples, params):\n    return samples.where(\"name like '%1.png'\")\n"
    )
    monkeypatch.setenv("MODELMILL_STAGES", str(tmp_path / "stages"))
    write_tree(import_root, per_class=12)
    run_import_of()
    with pytest.raises(UserError, match="'halve' dropped or doubled rows: 36 went in"):
        run_etl(make_spec(stages=(StageSpec(name="halve"),)))


def test_classes_too_small_are_told_with_numbers(
    run_import_of: Callable[[], None], make_spec: MakeSpec, import_root: Path, database: Any
) -> None:
    write_tree(import_root, per_class=3)
    (import_root / CLASSES[2] / "000.png").unlink()
    run_import_of()
    with pytest.raises(UserError, match="'键盘': 1 train"):
        run_etl(make_spec())
    assert database["samples"].distinct("side", {"dataset": make_spec().dataset}) == [None]


def test_unknown_datasets_are_told(make_spec: MakeSpec, database: Any) -> None:
    database["datasets"].update_one({"_id": "spark-there"}, {"$set": {"classes": []}}, upsert=True)
    with pytest.raises(UserError, match=r"'nowhere' has no samples.*spark-there"):
        run_etl(make_spec(dataset="nowhere"))


def test_a_side_that_another_run_gave_counts(database: Any, dataset: str) -> None:
    sides: tuple[Side, ...] = ("train", "val", "test")
    wanted = {f"{i:03}": Claim(sides[i % 3], "given" if i % 2 else "assigned") for i in range(9)}
    rows = [{"_id": f"{dataset}/{sha}", "sha256": sha, "side": None} for sha in wanted]
    rows[4]["side"] = "test"
    database["samples"].insert_many(rows)
    expected = wanted | {"004": Claim("test", None)}
    assert claim_sides(dataset, wanted, datetime.now(UTC)) == expected
    stored = database["samples"].find({"_id": {"$regex": f"^{dataset}/"}})
    found = {row["sha256"]: Claim(row["side"], row.get("side_origin")) for row in stored}
    assert found == expected
