"""A whole etl over many small pictures, and once more after one in a hundred came new."""

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from serving.job.inputs import Input
from serving.job.mongo import MONGO_VARIABLE
from spark_jobs.etl import run_etl
from spark_jobs.importing.job import run_import
from spark_jobs.importing.source import ROOTS_VARIABLE
from spark_jobs.spec import EtlOutcome, EtlSpec, ImportSpec, StageSpec
from tests.mongo_server import find_jars, run_mongo
from tests.spark_jobs.measuring.processes import Cost, measure
from tests.spark_jobs.near_duplicates.pictures import make_small_picture
from tests.spark_jobs.tiny import PREPROCESSING, write_backbone
from tests.spark_jobs.whole_chain import CHAIN, read_report

CLASSES = 4


class Growth(NamedTuple):
    """imported, first, grown: costs; made: features that the second etl made.

    compared: pairs; steps: seconds of each; both of the first etl, and of the one after.
    """

    imported: Cost
    first: Cost
    grown: Cost
    made: int
    added: int
    compared: int
    compared_after: int
    steps: dict[str, float]
    steps_after: dict[str, float]


def read_findings(outcome: EtlOutcome) -> tuple[int, dict[str, float]]:
    """Pairs that were compared, and the seconds of each step."""
    report = read_report(outcome)
    near = report.near_duplicates
    seconds = {step: round(value, 1) for step, value in report.seconds.items()}
    return (near.compared or 0) if near else 0, seconds


def write_small_pictures(folder: Path, first: int, count: int) -> None:
    """Files of `make_small_picture`, in a sub-folder per class."""
    for number in range(first, first + count):
        place = folder / f"class {number % CLASSES}"
        place.mkdir(exist_ok=True)
        (place / f"{number:06}.jpg").write_bytes(make_small_picture(number))


def prepare_spark(memory: str, master: str = "local[*]") -> None:
    """Spark's driver is its only executor here; it reads this when the first session opens."""
    jars = ":".join(str(path) for path in find_jars("spark"))
    # As the product starts it, see pipelines/commands.py. Another collector breaks: G1 leaves holes
    # between the large pieces that are kept, and Spark then finds no place for a page.
    java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    conf = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.python.daemon.module": "spark_jobs.worker_daemon",
        "spark.sql.adaptive.enabled": "false",
    }
    options = " ".join(f"--conf {key}={value}" for key, value in conf.items())
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f"--master {master} --driver-memory {memory} --driver-class-path {jars} "
        f"--driver-java-options '{java}' {options} pyspark-shell"
    )
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"


def grow(folder: Path, count: int) -> Growth:
    """Import `count` pictures and run the etl; the same with a hundredth more."""
    pictures, dataset = folder / "pictures", f"bench-{uuid.uuid4().hex[:8]}"
    pictures.mkdir()
    os.environ[ROOTS_VARIABLE] = str(pictures)
    backbone = write_backbone(folder)

    def take_in() -> None:
        uri, raw = pictures.as_uri(), (folder / "raw").as_uri()
        out = (folder / "import").as_uri()
        run_import(ImportSpec(output_uri=out, dataset=dataset, source_uri=uri, raw_uri=raw))

    def prepare() -> EtlOutcome:
        return run_etl(
            EtlSpec(
                output_uri=(folder / "etl").as_uri(),
                dataset=dataset,
                cutoff=datetime.now(UTC) + timedelta(seconds=5),
                seed=0,
                raw_uri=(folder / "raw").as_uri(),
                snapshots_uri=(folder / "snapshots").as_uri(),
                features_uri=(folder / "features").as_uri(),
                facts_uri=(folder / "facts").as_uri(),
                pairs_uri=(folder / "pairs").as_uri(),
                inputs=(Input(backbone=backbone, preprocessing=PREPROCESSING),),
                stages=tuple(StageSpec(name=name) for name in CHAIN),
            )
        )

    (folder / "mongo").mkdir()
    with run_mongo(find_jars("mongo"), folder / "mongo") as address:
        os.environ[MONGO_VARIABLE] = address
        write_small_pictures(pictures, 0, count)
        found: list[EtlOutcome] = []
        imported, first = measure(take_in), measure(lambda: found.append(prepare()))
        compared, steps = read_findings(found[0])
        added = max(1, count // 100)
        write_small_pictures(pictures, count, added)
        take_in()
        grown = measure(lambda: found.append(prepare()))
        compared_after, steps_after = read_findings(found[1])
    return Growth(
        imported=imported,
        first=first,
        grown=grown,
        made=found[1].features_made,
        added=added,
        compared=compared,
        compared_after=compared_after,
        steps=steps,
        steps_after=steps_after,
    )
