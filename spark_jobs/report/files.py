"""The report's files: the page, its numbers as JSON, and the schema of these."""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.bundle.manifest import Lineage
from serving.job import store
from serving.job.evaluation import BadCases, Evaluation
from serving.job.search import Search
from spark_jobs.report.data import (
    REPORT_JSON,
    SCHEMA_FILE,
    ReportData,
    ReportPictures,
    write_schema,
)
from spark_jobs.report.page import render_report
from spark_jobs.report.summary import summarise
from spark_jobs.report_models import EtlReport, Pictures
from spark_jobs.spec import Champion, EvaluateSpec

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class ReportFile:
    """For the run's folder, and for MLflow."""

    name: str
    content: bytes
    media_type: str


def make_report(
    spec: EvaluateSpec,
    *,
    evaluation: Evaluation,
    cases: BadCases,
    champion: Champion,
    reference: Champion | None = None,
    lineage: Lineage,
    thumbnails: Mapping[str, str],
) -> tuple[ReportFile, ...]:
    """The page first. thumbnails: of those to show, and of neighbours."""
    etl = store.read_model(spec.etl_report_uri, EtlReport)
    pictures = Pictures(pictures=())
    if etl.pictures_uri:
        pictures = store.read_model(etl.pictures_uri, Pictures)
    data = ReportData(
        run_id=spec.run_id,
        dataset=spec.dataset,
        deployment=spec.deployment,
        snapshot_id=spec.snapshot_id,
        lineage=lineage,
        seed=spec.seed,
        min_accuracy=spec.min_accuracy,
        summary=summarise(evaluation, cases.cases, etl, spec.min_accuracy),
        evaluation=evaluation,
        cases=cases.cases,
        cases_left_out=cases.left_out,
        champion=champion,
        reference=reference,
        etl=etl,
        search=store.read_model(spec.search_uri, Search) if spec.search_uri else None,
        cost=spec.train_cost,
    )
    page = render_report(data, ReportPictures(thumbnails=thumbnails, etl=pictures))
    numbers = data.model_dump_json(indent=1)
    return (
        ReportFile(REPORT_FILE, page.encode(), "text/html"),
        ReportFile(REPORT_JSON, numbers.encode(), "application/json"),
        ReportFile(SCHEMA_FILE, write_schema().encode(), "application/schema+json"),
    )
