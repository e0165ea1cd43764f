"""Give each sample its side - train, val or test - for life."""

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from serving.job.errors import UserError
from spark_jobs.arrays import make_array
from spark_jobs.context import StageContext
from spark_jobs.session import make_frame
from spark_jobs.sides import SIDES, SideRequest, assign_sides, count_sides
from spark_jobs.spec import Side, StageParams
from spark_jobs.tables import claim_sides


class Params(StageParams):
    """Quotas of the two smaller sides; train has the rest."""

    val: float = Field(default=0.15, gt=0, lt=0.5)
    test: float = Field(default=0.15, gt=0, lt=0.5)


def check_sides(labels: dict[str, str], sides: dict[str, Side], dataset: str) -> None:
    """UserError where there is one class only, or a class that is missing on a side."""
    counts = count_sides(labels, sides)
    if len(counts) < 2:
        raise UserError(
            f"Dataset {dataset!r} has {len(labels)} usable samples of "
            f"{len(counts)} class{'' if len(counts) == 1 else 'es'}"
            f"{''.join(f' ({name!r})' for name in counts)} as of the run's cut-off "
            "time: at least two classes are needed."
        )
    small = {name: by for name, by in counts.items() if not all(by[side] for side in SIDES)}
    if small:
        numbers = "; ".join(
            f"{name!r}: {', '.join(f'{by[side]} {side}' for side in SIDES)}"
            for name, by in sorted(small.items())
        )
        raise UserError(
            f"Dataset {dataset!r} has classes without a sample on every side ({numbers}). Each "
            "class needs at least 3 samples, one each to train on, to stop by and to test on: "
            "import more pictures of these classes, or take their folders out."
        )


def run(samples: DataFrame, params: Params, context: StageContext) -> DataFrame:
    """Sides are decided in the driver, from labels alone, and written where none stands."""
    usable = samples.where(F.col("reject_reason").isNull())
    rows = usable.select("sha256", "label", "split", "side").toArrow().to_pylist()
    labels = {row["sha256"]: row["label"] for row in rows}
    wanted = assign_sides(
        [SideRequest(**row) for row in rows],
        quotas={"train": 1 - params.val - params.test, "val": params.val, "test": params.test},
        seed=context.seed,
    )
    check_sides(labels, wanted, context.dataset)
    fresh = {row["sha256"]: wanted[row["sha256"]] for row in rows if row["side"] is None}
    sides = wanted | claim_sides(context.dataset, fresh)
    table = pa.table(
        {
            "sha256": make_array(list(sides.keys()), pa.string()),
            "side": make_array(list(sides.values()), pa.string()),
        }
    )
    decided = make_frame(context.spark, table)
    return samples.drop("side").join(F.broadcast(decided), on="sha256", how="left")
