"""What the few stages that need a store are given."""

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import SparkSession

from serving.bundle.manifest import ONE, Task
from serving.job.inputs import Input
from spark_jobs.facts import FactsCache
from spark_jobs.findings import Findings
from spark_jobs.pairs import PairsCache
from spark_jobs.tables import FeatureCache, RawContent


@dataclass(frozen=True)
class CachedInput:
    """What a model may be given, and the vectors that are there for it."""

    input: Input
    cache: FeatureCache


@dataclass(frozen=True)
class StageContext:
    """The run around a stage. inputs: at least one; pixels are fitted as the first one says.

    cutoff: the time as of which the samples are read, with a time zone. snapshot_id: what is
    trained on again, empty for what is there. task: with several labels a sample, its `label` holds
    all of them; serving.job.labels.list_classes tells which.
    """

    spark: SparkSession
    dataset: str
    seed: int
    cutoff: datetime
    inputs: tuple[CachedInput, ...]
    facts: FactsCache
    pairs: PairsCache
    raw: RawContent
    findings: Findings
    snapshot_id: str = ""
    task: Task = ONE
