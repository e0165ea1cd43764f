"""Everything that the report says, as one model: report.json of an evaluation.

Pictures stand beside it: the page needs them, and no program that reads the numbers does.
"""

import json
from collections.abc import Mapping

from serving.bundle.manifest import Lineage
from serving.job.evaluation import BadCase, Evaluation
from serving.job.search import Cost, Search
from serving.job.spec import Spec
from spark_jobs.report_models import EtlReport, Pictures
from spark_jobs.spec import Champion

REPORT_JSON = "report.json"
SCHEMA_FILE = "report.schema.json"


class Summary(Spec):
    """The top of the page for somebody who knows pictures, not networks; a sentence or two each.

    good: how good it is. sure: how far that can be trusted. next: what would help most.
    """

    good: str
    sure: str
    next: str


class ReportData(Spec):
    """Numbers of one evaluation, and where they come from.

    cases: all bad cases, the surest mistakes first, but for as many as were left out beyond what
    anybody looks at. search, cost: None where the caller did not know them.
    """

    run_id: str
    dataset: str
    deployment: str
    snapshot_id: str
    lineage: Lineage
    seed: int = 0
    min_accuracy: float
    summary: Summary
    evaluation: Evaluation
    cases: tuple[BadCase, ...]
    cases_left_out: int = 0
    champion: Champion
    reference: Champion | None = None
    etl: EtlReport
    search: Search | None = None
    cost: Cost | None = None


class ReportPictures(Spec):
    """thumbnails: sha256 → data: URI, of bad cases and neighbours; etl: of the data section."""

    thumbnails: Mapping[str, str] = {}
    etl: Pictures = Pictures(pictures=())


def write_schema() -> str:
    """JSON Schema of report.json."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ReportData.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False)
