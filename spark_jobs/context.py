"""What the few stages that need a store are given."""

from dataclasses import dataclass

from pyspark.sql import SparkSession

from serving.bundle.manifest import Preprocessing
from serving.job.inputs import BackboneFile
from spark_jobs.facts import FactsCache
from spark_jobs.findings import Findings
from spark_jobs.tables import FeatureCache, RawContent


@dataclass(frozen=True)
class StageContext:
    """The run around a stage. snapshot_id: what is trained on again, empty for what is there."""

    spark: SparkSession
    dataset: str
    seed: int
    backbone: BackboneFile
    preprocessing: Preprocessing
    features: FeatureCache
    facts: FactsCache
    raw: RawContent
    findings: Findings
    snapshot_id: str = ""
