"""Near-duplicates, flags and sides through whole etl jobs, against real servers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from spark_jobs.stages.flag_quality import Params as FlagParams
from tests.spark_jobs.near_duplicates.pictures import copy_picture, encode
from tests.spark_jobs.whole_chain import RunEtl, make_picture, read_labels, read_report, write

CLASSES = ("<b>bold", "键盘")


def list_facts(tmp_path: Path) -> list[str]:
    files = (tmp_path / "facts").rglob("*.parquet")
    return [sha for file in files for sha in pq.read_table(file)["sha256"].to_pylist()]


def test_copies_stay_together_and_everything_is_reported(
    run_import_of: Callable[[], object],
    etl: RunEtl,
    tmp_path: Path,
    dataset: str,
    database: Any,
) -> None:
    chance = np.random.default_rng(0)
    folders = [tmp_path / "import" / name for name in CLASSES]
    pictures = [[make_picture(10 * c + i) for i in range(8)] for c in range(2)]
    hashes = [
        [write(folder, f"{i}.png", content) for i, content in enumerate(contents)]
        for folder, contents in zip(folders, pictures, strict=True)
    ]
    copy = write(
        folders[0], "copy.jpg", copy_picture(pictures[0][0], "re-encoded at quality 70", chance)
    )
    write(folders[1], "wrong.jpg", copy_picture(pictures[0][1], "re-encoded at quality 70", chance))
    write(folders[1], "night.png", encode(Image.new("RGB", (90, 90), (9, 9, 9)), "PNG"))
    write(
        folders[1],
        "speck.png",
        encode(Image.open(folders[1] / "7.png").crop((0, 0, 40, 90)), "PNG"),
    )
    run_import_of()
    first = etl()
    rows, report = read_labels(first), read_report(first)
    group = min(hashes[0][0], copy)
    assert {rows[sha]["group"] for sha in (hashes[0][0], copy)} == {group}
    assert rows[hashes[0][0]]["side"] == rows[copy]["side"]
    assert sum(row["group"] is not None for row in rows.values()) == 2
    near = report.near_duplicates
    assert near is not None
    assert (near.groups, near.samples_in_groups, near.cross_label) == (1, 2, 1)
    assert near.largest[0].names == ("<b>bold/0.png", "<b>bold/copy.jpg")
    assert set(near.cross_label_pairs[0].names) == {"<b>bold/1.png", "键盘/wrong.jpg"}
    assert report.flags == {"blurred": 1, "too_dark": 1, "too_small": 1}
    assert (report.kept, report.rejected, report.counts) == (20, 0, first.counts)
    assert sorted(list_facts(tmp_path)) == sorted(rows)

    # As if these two had been split before anyone looked: now a third copy would join two sides.
    side = rows[copy]["side"]
    other = {"train": "test"}.get(side, "train")
    stays, leaves = (hashes[0][0], copy) if side == "train" else (copy, hashes[0][0])
    samples = database["samples"]
    samples.update_one({"_id": f"{dataset}/{copy}"}, {"$set": {"side": other}})
    bridge = write(folders[0], "bridge.png", copy_picture(pictures[0][0], "cropped by 3 %", chance))
    follower = write(
        folders[1], "follower.jpg", copy_picture(pictures[1][3], "resized to 80 %", chance)
    )
    run_import_of()
    second = etl(flag_quality={"reject": ["too_dark", "too_small"]})
    later, report = read_labels(second), read_report(second)
    assert not {bridge, leaves} & later.keys()
    assert later[follower]["side"] == rows[hashes[1][3]]["side"]
    assert {
        sha: row["side"] for sha, row in rows.items() if sha in later and sha != copy
    }.items() <= {sha: row["side"] for sha, row in later.items()}.items()
    assert later[stays]["side"] == "train"
    rejected = pq.read_table(tmp_path / "etl" / "rejected" / "rejected.parquet").to_pylist()
    reasons = {row["name"]: row["reason"] for row in rejected}
    assert reasons.pop("<b>bold/bridge.png").startswith("bridges_split: belongs together with")
    apart = reasons.pop(rows[leaves]["name"])
    assert apart.startswith(f"bridges_split: belongs together with {rows[stays]['name']} (train)")
    assert apart.endswith("itself")
    assert reasons == {
        "键盘/night.png": "quality: too_dark",
        "键盘/speck.png": "quality: too_small",
    }
    assert report.sides is not None
    assert (report.sides.leaks, report.sides.bridges) == (0, 2)
    # Every picture was looked at once, ever.
    assert sorted(list_facts(tmp_path)) == sorted({*rows, bridge, follower})
    assert (second.features_made, second.features_reused) == (1, 17)


def test_only_flags_that_exist_reject() -> None:
    with pytest.raises(ValidationError, match="blurred"):
        FlagParams.model_validate({"reject": ["blury"]})
