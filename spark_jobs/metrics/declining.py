""" "None of these": a threshold on the best probability, below which a model declines.

Maximum softmax probability (Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and
Out-of-Distribution Examples in Neural Networks", ICLR 2017): all that a served bundle answers with.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from serving.job.evaluation import Declining

KIND = "max_probability"
# Share of the val side that is accepted.
ACCEPTED = 0.95


def choose_threshold(val: DataFrame) -> float | None:
    """The best probability that all but 5 % of the val side reach; None: it has no scores."""
    ((found,),) = (
        val.where(F.col("scores").isNotNull()).agg(F.percentile("score", 1 - ACCEPTED)).collect()
    )
    return None if found is None else float(found)


def measure_declining(test: DataFrame, threshold: float) -> Declining:
    """What the threshold does on the test side."""
    declined = F.col("scores").isNotNull() & (F.col("score") < threshold)
    wrong = declined & (F.col("predicted") != F.col("label"))
    ((count, dropped, dropped_wrong),) = test.agg(
        F.count(F.lit(1)), F.count(F.when(declined, 1)), F.count(F.when(wrong, 1))
    ).collect()
    return Declining(
        kind=KIND,
        threshold=threshold,
        declined=dropped / count if count else 0.0,
        declined_wrong=dropped_wrong / count if count else 0.0,
    )
