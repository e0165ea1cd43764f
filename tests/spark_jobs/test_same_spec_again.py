"""A run that is carried out again sees the sides of its own time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from serving.job.samples import read_sample, relabel_sample
from spark_jobs.etl import run_etl
from spark_jobs.spec import StageSpec
from tests.spark_jobs.conftest import MakeSpec
from tests.spark_jobs.near_duplicates.pictures import copy_picture
from tests.spark_jobs.whole_chain import CHAIN, make_picture, read_labels, write

CLASSES = ("<b>bold", "键盘")
PER_CLASS = 14


def test_a_bridge_that_got_a_side_since_is_a_bridge_again(
    *, run_import_of: Any, make_spec: MakeSpec, import_root: Path, dataset: str, database: Any
) -> None:
    for number, name in enumerate(CLASSES):
        for i in range(PER_CLASS):
            write(import_root / name, f"{i}.png", make_picture(100 * number + i))
    content, chance = make_picture(999), np.random.default_rng(0)
    bridge = write(import_root / CLASSES[0], "bridge.png", content)
    kinds = {"train": "re-encoded at quality 70", "test": "resized to 80 %"}
    ends = {
        side: write(import_root / CLASSES[0], f"{side}.jpg", copy_picture(content, kind, chance))
        for side, kind in kinds.items()
    }
    run_import_of()
    for side, sha in ends.items():
        fields = {"side": side, "side_origin": "assigned"}
        database["samples"].update_one({"_id": f"{dataset}/{sha}"}, {"$set": fields})
    stages = tuple(StageSpec(name=name) for name in CHAIN)
    spec = make_spec(cutoff=datetime.now(UTC), stages=stages)
    first = run_etl(spec)
    assert not {bridge, ends["test"]} & read_labels(first).keys()
    # Then the one on test turns out to be something else, and the next run takes the bridge in.
    relabel_sample(database, read_sample(database, dataset, ends["test"]), CLASSES[1], "me")
    later = read_labels(run_etl(make_spec(stages=stages)))
    assert (later[bridge]["side"], later[ends["test"]]["side"]) == ("train", "test")
    stored = database["samples"].find_one({"_id": f"{dataset}/{bridge}"})
    assert (stored["side"], stored["side_origin"]) == ("train", "assigned")
    assert run_etl(spec).snapshot_id == first.snapshot_id


def test_what_the_user_gave_is_noted_with_the_side(
    *, run_import_of: Any, make_spec: MakeSpec, import_root: Path, dataset: str, database: Any
) -> None:
    for number, name in enumerate(CLASSES):
        for i in range(PER_CLASS):
            write(import_root / "train" / name, f"{i}.png", make_picture(100 * number + i))
            write(import_root / "test" / name, f"{i}.png", make_picture(1000 + 100 * number + i))
    run_import_of()
    run_etl(make_spec())
    stored = list(database["samples"].find({"dataset": dataset}))
    origins = {(one["split"], one["side"], one["side_origin"]) for one in stored}
    assert origins == {
        ("train", "train", "assigned"),
        ("train", "val", "assigned"),
        ("test", "test", "given"),
    }
