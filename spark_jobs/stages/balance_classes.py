"""Balance the classes of the train side, after assign_sides: samples of rare ones count more.

weights: inverse class frequency, n_samples / (n_classes * n_class) over the train samples, as
scikit-learn's class_weight="balanced" has it; where none is capped, their mean is 1.
oversample: the trainer sees a sample n_largest / n_class times an epoch, rounded.
Where a sample has several labels it counts in n_class of each, and gets what its rarest class gets;
weights are divided by their mean, which would be above 1.
Samples that a later stage rejects are counted, too. Val and test are left as they are.
"""

import math
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
from pydantic import Field, ValidationInfo, field_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from serving.bundle.manifest import ONE, Task
from serving.job.errors import UserError
from serving.job.labels import list_classes
from spark_jobs.arrays import make_array
from spark_jobs.context import StageContext
from spark_jobs.report_models import Balance, BalanceMode
from spark_jobs.sample_weights import MOST
from spark_jobs.session import make_frame
from spark_jobs.spec import StageParams

KINDS: dict[BalanceMode, pa.DataType] = {"weights": pa.float64(), "oversample": pa.int64()}


class Params(StageParams):
    """mode: count a sample's loss more (weights), or show it more often (oversample).

    max_weight: the most that one sample counts, or is seen, however rare its class is.
    """

    comes_after = ("assign_sides",)

    mode: BalanceMode = "weights"
    max_weight: float = Field(default=10, ge=1, le=MOST)

    @field_validator("max_weight")
    @classmethod
    def _must_repeat(cls, value: float, others: ValidationInfo) -> float:
        if others.data.get("mode") == "oversample" and value < 2:
            raise ValueError("below 2 no sample is seen twice, so give at least 2")
        return value


def weigh_classes(counts: Mapping[str, int], most: float) -> dict[str, float]:
    """Class → weight of each of its samples."""
    total = sum(counts.values())
    return {label: min(total / (len(counts) * count), most) for label, count in counts.items()}


def repeat_classes(counts: Mapping[str, int], most: float) -> dict[str, int]:
    """Class → how often each of its samples is seen in an epoch, at least once."""
    largest = max(counts.values(), default=0)
    return {label: min(round(largest / count), int(most)) for label, count in counts.items()}


def count_train(samples: DataFrame) -> dict[str, int]:
    """Label as it is stored → usable samples of the train side; UserError where sides are missing.

    Sorted.
    """
    usable = samples.where(F.col("reject_reason").isNull())
    rows = usable.groupBy("label", "side").agg(F.count(F.lit(1)).alias("samples")).collect()
    without = sum(row["samples"] for row in rows if row["side"] is None)
    if without:
        raise UserError(
            f"{without} samples have no side yet, so 'balance_classes' cannot know which are "
            "trained on: name it after 'assign_sides'."
        )
    train = {row["label"]: int(row["samples"]) for row in rows if row["side"] == "train"}
    return dict(sorted(train.items()))


def count_classes(labels: Mapping[str, int], task: Task) -> dict[str, int]:
    """Class → samples, sorted, of the samples a stored label; one with several counts for each."""
    counts: Counter[str] = Counter()
    for label, samples in labels.items():
        counts.update(dict.fromkeys(list_classes(label, task), samples))
    return dict(sorted(counts.items()))


def weigh_labels(labels: Mapping[str, int], task: Task, most: float) -> dict[str, float]:
    """Class → weight of the samples that have no rarer one. labels: stored label → samples."""
    counts = count_classes(labels, task)
    if task == ONE or not counts:
        return weigh_classes(counts, most)
    free = weigh_classes(counts, math.inf)
    total = sum(
        samples * max(free[name] for name in list_classes(one, task))
        for one, samples in labels.items()
    )
    mean = total / sum(labels.values())
    return {name: min(weight / mean, most) for name, weight in free.items()}


def run(samples: DataFrame, params: Params, context: StageContext) -> DataFrame:
    """Set sample_weight or sample_repeats, 1 outside the train side."""
    labels = count_train(samples)
    by_class: Mapping[str, float]
    if params.mode == "weights":
        column = "sample_weight"
        by_class = weigh_labels(labels, context.task, params.max_weight)
    else:
        column = "sample_repeats"
        by_class = repeat_classes(count_classes(labels, context.task), params.max_weight)
    context.findings.balance = Balance(mode=params.mode, per_class=dict(by_class))
    # No class that is rarer has the smaller number.
    values = [max(by_class[name] for name in list_classes(one, context.task)) for one in labels]
    decided = {
        "label": make_array(list(labels), pa.string()),
        column: make_array(values, KINDS[params.mode]),
    }
    frame = make_frame(context.spark, pa.table(decided))
    rows = samples.drop(column).join(F.broadcast(frame), on="label", how="left")
    here = F.when(F.col("side") == "train", F.col(column))
    return rows.withColumn(column, F.coalesce(here, F.lit(1)))
