"""The report's first three lines, whatever the task. Pure."""

from collections.abc import Sequence

from serving.bundle.manifest import SEVERAL
from serving.job.evaluation import BadCase, Evaluation
from spark_jobs.report import advice, advice_several
from spark_jobs.report.data import Summary
from spark_jobs.report_models import EtlReport


def summarise(
    evaluation: Evaluation, cases: Sequence[BadCase], etl: EtlReport, min_accuracy: float
) -> Summary:
    """The three lines. cases: all of them."""
    if not evaluation.samples:
        return Summary(
            good="Nothing was tested: the test side is empty.",
            sure="So nothing is known about how good this model is.",
            next="Import pictures, or give some of them to the test side.",
        )
    if evaluation.task == SEVERAL:
        return Summary(
            good=advice_several.say_how_good(evaluation, min_accuracy),
            sure=advice.say_how_sure(evaluation, etl),
            next=advice_several.say_what_next(evaluation, cases, etl.counts),
        )
    return Summary(
        good=advice.say_how_good(evaluation, min_accuracy),
        sure=advice.say_how_sure(evaluation, etl),
        next=advice.say_what_next(evaluation, cases, etl.counts),
    )
