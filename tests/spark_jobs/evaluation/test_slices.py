"""Parts on which a model is worse than on the whole."""

import pyarrow as pa
from pyspark.sql import SparkSession

from serving.bundle.manifest import SEVERAL
from spark_jobs.session import make_frame
from spark_jobs.slices import add_facts, find_worst_slices


def test_the_worst_first(spark: SparkSession) -> None:
    """Small pictures are mostly wrong; those of one camera sometimes; a rare folder is too rare."""
    rows = []
    for number in range(120):
        small, camera = number < 20, "night" if 20 <= number < 60 else "day"
        folder = "rare/" if number in (60, 61) else "shelf/"
        wrong = (small and number % 4) or (camera == "night" and number % 4 == 0)
        wrong = wrong or number in (60, 61)
        rows.append(
            {
                "sha256": f"{number:064}",
                "name": f"{folder}oak/{number}.png",
                "label": "oak",
                "predicted": "ash" if wrong else "oak",
                "width": 40 if small else 600,
                "height": 300,
                "group": None if small else camera,
                "added": "2026-01-02",
            }
        )
    names = list(rows[0])
    kinds = {"width": pa.int32(), "height": pa.int32()}
    table = pa.table(
        {
            name: pa.array([row[name] for row in rows], kinds.get(name, pa.string()))
            for name in names
        }
    )
    wrong = sum(row["predicted"] != "oak" for row in rows)
    seen = add_facts(make_frame(spark, table), None)
    found = find_worst_slices(seen, 1 - wrong / 120)
    assert (found[0].by, found[0].value, found[0].samples) == ("picture size", "below 64 px", 20)
    assert found[0].accuracy == 5 / 20
    assert found[0].interval.low < 5 / 20 < found[0].interval.high
    assert (found[1].by, found[1].value, found[1].accuracy) == ("group", "night", 30 / 40)
    # All came on one day, and the rare folder has two samples; a class is no slice.
    assert {(one.by, one.value) for one in found} <= {
        ("picture size", "below 64 px"),
        ("group", "night"),
        ("folder", "shelf"),
    }


def test_a_folder_that_is_named_like_one_of_the_labels_is_no_slice(spark: SparkSession) -> None:
    count = 40
    columns = {
        "sha256": [f"{number:064}" for number in range(count)],
        "name": [
            f"{'night/ash' if number < 20 else 'day/elm'}/{number}" for number in range(count)
        ],
        "label": ["ash|oak"] * count,
        "predicted": ["" if number < 10 else "ash|oak" for number in range(count)],
        **dict.fromkeys(("group", "added"), [None] * count),
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    for name in ("width", "height"):
        table = table.append_column(name, pa.array([300] * count, pa.int32()))
    seen = add_facts(make_frame(spark, table), None)
    (found,) = find_worst_slices(seen, 30 / 40, SEVERAL)
    assert (found.by, found.value, found.samples, found.accuracy) == ("folder", "night", 20, 0.5)
