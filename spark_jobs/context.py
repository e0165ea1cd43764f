"""What the few stages that need a store are given."""

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import SparkSession

from serving.bundle.manifest import Preprocessing
from spark_jobs.facts import FactsCache
from spark_jobs.findings import Findings
from spark_jobs.pairs import PairsCache
from spark_jobs.spec import BackboneFile
from spark_jobs.tables import FeatureCache, RawContent


@dataclass(frozen=True)
class StageContext:
    """The run around a stage.

    cutoff: the time as of which the samples are read, with a time zone. snapshot_id: what is
    trained on again, empty for what is there.
    """

    spark: SparkSession
    dataset: str
    seed: int
    cutoff: datetime
    backbone: BackboneFile
    preprocessing: Preprocessing
    features: FeatureCache
    facts: FactsCache
    pairs: PairsCache
    raw: RawContent
    findings: Findings
    snapshot_id: str = ""
