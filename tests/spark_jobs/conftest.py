"""One Spark session and one database for the whole folder; both real."""

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from serving.job.inputs import BackboneFile, Input
from spark_jobs.context import CachedInput, StageContext
from spark_jobs.etl import run_etl
from spark_jobs.facts import FactsCache
from spark_jobs.findings import Findings
from spark_jobs.importing.job import run_import
from spark_jobs.importing.source import ROOTS_VARIABLE
from spark_jobs.pairs import PairsCache
from spark_jobs.session import open_session
from spark_jobs.spec import EtlOutcome, EtlSpec, ImportSpec, StageSpec
from spark_jobs.tables import FeatureCache, RawContent
from tests.mongo_server import find_jars
from tests.spark_jobs.cluster import Cluster, run_cluster
from tests.spark_jobs.tiny import PREPROCESSING, write_backbone
from tests.spark_jobs.whole_chain import CHAIN as WHOLE_CHAIN
from tests.spark_jobs.whole_chain import RunEtl

CHAIN = ("decode_image", "compute_features", "assign_sides")
MakeSpec = Callable[..., EtlSpec]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    jars = ":".join(str(path) for path in find_jars("spark"))
    arguments = ["--master", "local[2]", "--driver-memory", "1g"]
    arguments += ["--conf", f"spark.local.dir={tmp_path_factory.mktemp('spark')}"]
    arguments += ["--conf", "spark.driver.host=127.0.0.1"]
    arguments += ["--conf", "spark.driver.bindAddress=127.0.0.1"]
    if jars:
        arguments += ["--driver-class-path", jars]
    java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f'{" ".join(arguments)} --driver-java-options "{java}" pyspark-shell'
    )
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    session = open_session("tests")
    yield session
    session.stop()


@pytest.fixture
def connector() -> None:
    if not find_jars("spark"):
        pytest.skip("set MODELMILL_HOME to an installation: the Mongo Spark connector is there")


@pytest.fixture
def dataset() -> str:
    """A name that no other test has: the database is shared."""
    return f"spark-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def import_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "import"
    root.mkdir()
    monkeypatch.setenv(ROOTS_VARIABLE, str(root))
    return root


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> BackboneFile:
    return write_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture
def context(spark: SparkSession, backbone: BackboneFile, tmp_path: Path) -> StageContext:
    return StageContext(
        spark=spark,
        dataset="d",
        seed=0,
        cutoff=datetime.now(UTC),
        inputs=(
            CachedInput(
                Input(backbone=backbone, preprocessing=PREPROCESSING),
                FeatureCache(spark, tmp_path.as_uri(), "key"),
            ),
        ),
        facts=FactsCache(spark, tmp_path.as_uri()),
        pairs=PairsCache(spark, (tmp_path / "pairs").as_uri()),
        raw=RawContent(spark, ()),
        findings=Findings(),
    )


@pytest.fixture
def run_import_of(
    import_root: Path, tmp_path: Path, dataset: str, database: Any
) -> Callable[[], None]:
    spec = ImportSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        source_uri=import_root.as_uri(),
        raw_uri=(tmp_path / "raw").as_uri(),
    )
    return lambda: print(run_import(spec))


@pytest.fixture
def make_spec(
    spark: SparkSession, connector: None, tmp_path: Path, dataset: str, backbone: BackboneFile
) -> MakeSpec:
    def make(**changes: Any) -> EtlSpec:
        fields: dict[str, Any] = {
            "output_uri": (tmp_path / "etl").as_uri(),
            "dataset": dataset,
            "cutoff": datetime.now(UTC) + timedelta(seconds=5),
            "seed": 0,
            "raw_uri": (tmp_path / "raw").as_uri(),
            "snapshots_uri": (tmp_path / "snapshots").as_uri(),
            "features_uri": (tmp_path / "features").as_uri(),
            "facts_uri": (tmp_path / "facts").as_uri(),
            "pairs_uri": (tmp_path / "pairs").as_uri(),
            "inputs": (Input(backbone=backbone, preprocessing=PREPROCESSING),),
            "stages": tuple(StageSpec(name=name) for name in CHAIN),
        }
        return EtlSpec(**fields | changes)

    return make


@pytest.fixture
def etl(make_spec: MakeSpec) -> RunEtl:
    def run(*, snapshot_id: str = "", **params: dict[str, Any]) -> EtlOutcome:
        stages = tuple(StageSpec(name=n, params=params.get(n, {})) for n in WHOLE_CHAIN)
        return run_etl(make_spec(stages=stages, snapshot_id=snapshot_id))

    return run


@pytest.fixture
def bare_worker(tmp_path: Path) -> Iterator[Cluster]:
    with run_cluster(tmp_path / "elsewhere", workers=1, cores=2) as cluster:
        yield cluster
