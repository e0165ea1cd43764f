"""Parts of the test side on which a model is worse than on the whole."""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from serving.bundle.manifest import ONE, Task
from serving.job.evaluation import Slice
from spark_jobs.facts import MEASURES, FactsCache
from spark_jobs.metrics.membership import split_column
from spark_jobs.metrics.sureness import Z_SURE, find_wilson_interval
from spark_jobs.stages.flag_quality import Params, list_conditions

WORST = 5
FEWEST = 10
# Upper bounds of the shorter side in pixels, and of the middle grey level.
SIDES = ((64, "below 64 px"), (256, "64 to 255 px"), (1024, "256 to 1023 px"))
LARGE = "1024 px and more"
GREYS = ((85, "dark"), (170, "medium"))
BRIGHT = "bright"


def add_facts(samples: DataFrame, facts: FactsCache | None) -> DataFrame:
    """Add MEASURES from the cache, null where it has none, and `flags` by the default bounds."""
    if facts is None:
        known = samples.select("*", *(F.lit(None).cast("float").alias(name) for name in MEASURES))
    else:
        wanted = F.broadcast(samples.select("sha256"))
        rows = facts.read().select("sha256", *MEASURES).join(wanted, on="sha256", how="left_semi")
        known = samples.join(rows.dropDuplicates(["sha256"]), on="sha256", how="left")
    conditions = list_conditions(Params())
    raised = [F.when(condition, F.lit(flag)) for flag, condition in conditions.items()]
    return known.withColumn("flags", F.array_compact(F.array(*raised)))


def _pick(value: Column, bounds: Sequence[tuple[int, str]], beyond: str) -> Column:
    steps = [F.when(value < bound, F.lit(name)) for bound, name in bounds]
    return F.coalesce(*steps, F.when(value.isNotNull(), F.lit(beyond)))


def _list_parts(task: Task) -> dict[str, Column]:
    """by → its value for a sample; null where it has none."""
    path = F.split("name", "/")
    folder = F.slice(path, F.lit(1), F.size(path) - 1)
    # A folder that is named like its class tells no more than the class.
    last = F.try_element_at(folder, F.lit(-1))
    own = F.array_contains(split_column(F.col("label"), task), last)
    above = F.when(own, F.slice(folder, F.lit(1), F.size(folder) - 1)).otherwise(folder)
    return {
        "picture size": _pick(F.least("width", "height"), SIDES, LARGE),
        "brightness": _pick((F.col("darkest") + F.col("brightest")) / 2, GREYS, BRIGHT),
        "sharpness": F.when(
            F.col("sharpness").isNotNull(),
            F.when(F.array_contains("flags", "blurred"), F.lit("blurred")).otherwise("sharp"),
        ),
        "folder": F.nullif(F.array_join(above, "/"), F.lit("")),
        "group": F.col("group"),
        "time added": F.col("added"),
    }


def _upper_bound(hits: Column, total: Column) -> Column:
    """Of Wilson's interval, as find_wilson_interval has it."""
    z, share = Z_SURE, hits / total
    spread = z * F.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (share + z * z / (2 * total) + spread) / (1 + z * z / total)


def find_worst_slices(test: DataFrame, accuracy: float, task: Task = ONE) -> tuple[Slice, ...]:
    """The five whose accuracy is most surely low; rows: as of add_facts, with `added`, a day.

    Only parts of ten samples or more that are not the whole side, and worse than it.
    """
    parts = [
        F.struct(F.lit(by).alias("by"), value.cast("string").alias("value"))
        for by, value in _list_parts(task).items()
    ]
    right = (F.col("predicted") == F.col("label")).cast("long").alias("right")
    rows = test.select(right, F.explode(F.array(*parts)).alias("part")).select("right", "part.*")
    counted = rows.where(F.col("value").isNotNull()).groupBy("by", "value")
    sums = counted.agg(F.count(F.lit(1)).alias("samples"), F.sum("right").alias("hits"))
    conditions = [
        F.col("samples") >= FEWEST,
        F.col("samples") < test.count(),
        F.col("hits") / F.col("samples") < accuracy,
    ]
    worst = sums.where(reduce(Column.__and__, conditions)).orderBy(
        _upper_bound(F.col("hits"), F.col("samples")), "by", "value"
    )
    return tuple(
        Slice(
            by=row["by"],
            value=row["value"],
            samples=row["samples"],
            accuracy=row["hits"] / row["samples"],
            interval=find_wilson_interval(row["hits"], row["samples"]),
        )
        for row in worst.limit(WORST).collect()
    )
