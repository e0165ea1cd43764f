"""Flag pictures that are blurred, too dark, too bright or too small; reject them only on request.

A flag is a hint for a person: night shots and white products are right in some datasets.
"""

from typing import Literal

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.context import StageContext
from spark_jobs.facts import add_looks
from spark_jobs.near_duplicates.look import WORKING_SIDE
from spark_jobs.spec import StageParams

Flag = Literal["blurred", "too_dark", "too_bright", "too_small"]


class Params(StageParams):
    """reject: flags that leave a picture out.

    min_sharpness: variance of the Laplacian over the picture's variance, at 256 × 256 pixels. For a
    picture whose shorter side is smaller by a factor s it is smaller by s⁴: so much does enlarging
    take away, sharp as the picture may be.
    dark, bright: grey levels that 95 % of the pixels lie below or above.
    min_side: shorter side, pixels.
    """

    min_sharpness: float = Field(default=0.01, ge=0)
    dark: float = Field(default=50, ge=0, le=255)
    bright: float = Field(default=205, ge=0, le=255)
    min_side: int = Field(default=64, ge=1)
    reject: tuple[Flag, ...] = ()


def list_conditions(params: Params) -> dict[Flag, Column]:
    """When each flag is raised, from facts.MEASURES, width and height."""
    shorter = F.least("width", "height")
    scale = F.least(F.lit(1.0), shorter / WORKING_SIDE)
    return {
        "blurred": F.col("sharpness") < params.min_sharpness * scale**4,
        "too_dark": F.col("brightest") < params.dark,
        "too_bright": F.col("darkest") > params.bright,
        "too_small": shorter < params.min_side,
    }


def run(samples: DataFrame, params: Params, context: StageContext) -> DataFrame:
    """Set `flags`, empty where all is well; null where a picture was rejected before."""
    looked = add_looks(samples, context.facts)
    conditions = list_conditions(params)
    raised = [F.when(condition, F.lit(flag)) for flag, condition in conditions.items()]
    # The cast lets elements be null, as the column's type in SAMPLES has it.
    flags = F.array_compact(F.array(*raised)).cast("array<string>")
    flagged = looked.withColumn("flags", F.when(F.col("reject_reason").isNull(), flags))
    unwanted = F.array_intersect("flags", F.array(*map(F.lit, params.reject)).cast("array<string>"))
    reason = F.concat(F.lit("quality: "), F.array_join(unwanted, ", "))
    first = F.col("reject_reason").isNull() & (F.size(unwanted) > 0)
    return flagged.withColumn(
        "reject_reason", F.when(first, reason).otherwise(F.col("reject_reason"))
    )
