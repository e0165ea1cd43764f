"""The etl of a dataset whose samples have several labels, from an import to its report."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.bundle.manifest import SEVERAL
from serving.job import store
from serving.job.errors import UserError
from serving.job.samples import read_sample, relabel_sample
from spark_jobs.etl import run_etl
from spark_jobs.importing.job import run_import
from spark_jobs.snapshots import MANIFEST_FILE, SnapshotManifest
from spark_jobs.spec import EtlOutcome, ImportSpec, StageSpec
from tests.spark_jobs.conftest import MakeSpec
from tests.spark_jobs.near_duplicates.pictures import copy_picture
from tests.spark_jobs.whole_chain import CHAIN, make_picture, read_labels, read_report, write

# How many pictures show what.
SEEN = {"cat": 12, "cat|dog": 8, "dog": 4, "cat|fox": 3, "fox": 2}
COPIES = 6


@dataclass(frozen=True)
class Pictures:
    """sha256 → stored label; sha256 of a copy → that of what it is a copy of."""

    labels: dict[str, str]
    copies: dict[str, str]


@pytest.fixture
def pictures(import_root: Path, tmp_path: Path, dataset: str, database: Any) -> Pictures:
    """Imported; each copy lacks a label of the other one."""
    rows, labels, contents = ["file,label"], {}, {}
    for i, label in enumerate(Counter(SEEN).elements()):
        contents[f"{i}.png"] = make_picture(i)
        labels[write(import_root, f"{i}.png", contents[f"{i}.png"])] = label
        rows.append(f"{i}.png,{label}")
    copies, chance = {}, np.random.default_rng(0)
    both = [sha for sha, label in labels.items() if label == "cat|dog"][:COPIES]
    for sha in both:
        number = list(labels).index(sha)
        copied = copy_picture(contents[f"{number}.png"], "re-encoded at quality 70", chance)
        copies[write(import_root, f"copy of {number}.jpg", copied)] = sha
        rows.append(f"copy of {number}.jpg,dog")
    (import_root / "labels.csv").write_text("\n".join(rows))
    spec = ImportSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        source_uri=import_root.as_uri(),
        raw_uri=(tmp_path / "raw").as_uri(),
        labels="several",
    )
    assert run_import(spec).task == SEVERAL
    return Pictures(labels | dict.fromkeys(copies, "dog"), copies)


@pytest.fixture
def etl(make_spec: MakeSpec) -> Callable[..., EtlOutcome]:
    def run(**changes: Any) -> EtlOutcome:
        stages = tuple(StageSpec(name=name) for name in (*CHAIN, "balance_classes"))
        return run_etl(make_spec(stages=stages, **changes))

    return run


def count(rows: dict[str, dict[str, Any]], side: str) -> Counter[str]:
    return Counter(
        name for row in rows.values() if row["side"] == side for name in row["label"].split("|")
    )


def test_snapshot_manifest_and_report(
    *,
    pictures: Pictures,
    etl: Callable[..., EtlOutcome],
    make_spec: MakeSpec,
    database: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = etl()
    rows = read_labels(outcome)
    assert {sha: row["label"] for sha, row in rows.items()} == pictures.labels
    assert (outcome.task, outcome.classes) == (SEVERAL, ("cat", "dog", "fox"))
    assert outcome.counts == {side: dict(count(rows, side)) for side in ("train", "val", "test")}
    assert outcome.counts["train"].keys() == {"cat", "dog", "fox"}
    # A copy that lacks a label would be in the test what the model has learned by heart.
    for copy, first in pictures.copies.items():
        assert rows[copy]["side"] == rows[first]["side"]
        assert rows[copy]["group"] == rows[first]["group"] is not None
    folder = store.join(make_spec().snapshots_uri, outcome.snapshot_id)
    manifest = store.read_model(store.join(folder, MANIFEST_FILE), SnapshotManifest)
    sides = Counter(row["side"] for row in rows.values())
    assert (manifest.task, manifest.classes, manifest.samples) == (SEVERAL, outcome.classes, 35)
    assert manifest.sides == dict(sides)
    recorded = database["snapshots"].find_one({"_id": outcome.snapshot_id})
    assert (recorded["task"], recorded["sides"]) == (SEVERAL, dict(sides))
    assert f": {sides['train']} train, {sides['val']} val" in capsys.readouterr().out
    report = read_report(outcome)
    assert (report.task, report.kept, report.counts) == (SEVERAL, 35, outcome.counts)
    assert report.imbalance == pytest.approx(23 / 5)
    assert report.near_duplicates is not None
    assert (report.near_duplicates.groups, report.near_duplicates.cross_label) == (COPIES, COPIES)
    assert {pair.labels for pair in report.near_duplicates.cross_label_pairs} <= {
        ("cat|dog", "dog"),
        ("dog", "cat|dog"),
    }
    assert report.balance is not None
    weights = report.balance.per_class
    assert weights["fox"] > weights["dog"] > 0
    train = {row["label"]: row["sample_weight"] for row in rows.values() if row["side"] == "train"}
    rarest = {"cat": "cat", "dog": "dog", "fox": "fox", "cat|fox": "fox"}
    rarest["cat|dog"] = max("cat", "dog", key=lambda name: weights[name])
    assert train == pytest.approx({label: weights[rarest[label]] for label in train})


def test_a_snapshot_is_taken_again_with_its_labels(
    pictures: Pictures, etl: Callable[..., EtlOutcome], dataset: str, database: Any
) -> None:
    first = etl()
    changed = next(sha for sha, label in pictures.labels.items() if label == "cat|dog")
    sample = read_sample(database, dataset, changed)
    relabel_sample(database, sample, "cat|dog|fox", "me")
    again = etl(snapshot_id=first.snapshot_id)
    assert (again.snapshot_id, again.task, again.counts) == (
        first.snapshot_id,
        SEVERAL,
        first.counts,
    )
    after = etl()
    assert read_labels(after)[changed]["label"] == "cat|dog|fox"
    assert sum(by["fox"] for by in after.counts.values()) == 6
    sides = {sha: row["side"] for sha, row in read_labels(first).items()}
    assert {sha: row["side"] for sha, row in read_labels(after).items()} == sides


def test_a_class_that_is_too_rare_is_told_by_its_own_name(
    pictures: Pictures, etl: Callable[..., EtlOutcome], dataset: str, database: Any
) -> None:
    rare = [sha for sha, label in pictures.labels.items() if label == "cat|dog"][-2:]
    for sha in rare:
        relabel_sample(database, read_sample(database, dataset, sha), "cat|owl", "me")
    with pytest.raises(UserError, match=r"1 of the 4 classes .*'owl': .*take these labels off"):
        etl()
