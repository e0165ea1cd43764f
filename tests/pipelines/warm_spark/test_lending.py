"""Which jobs ask for the warm JVM, and when two of them mean the same one."""

import json
from pathlib import Path

import pytest

from pipelines.commands import Command, SparkMaster
from pipelines.context import Installation
from pipelines.local.layout import Layout
from pipelines.plan import etl_spec
from pipelines.request import RunRequest
from pipelines.settings import Settings
from pipelines.steps import Surroundings, submit_spark
from pipelines.warm_spark.lending import make_fingerprint
from serving.job.spec import JobSpec
from spark_jobs.spec import ImportCollectionSpec
from tests.pipelines.literals import ARTIFACTS, ATTEMPT, plan_of

ETL = etl_spec(plan_of(RunRequest(dataset="boards")), ATTEMPT)
IMPORT = ImportCollectionSpec(
    output_uri=ATTEMPT, dataset="boards", database="shop", collection="photos", raw_uri="hdfs://r"
)
WARM, COLD = "pipelines.warm_spark.borrow", "--master"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    layout = Layout(home=tmp_path, runtime=tmp_path / "run")
    layout.runtime.mkdir()
    return Installation(settings=Settings(home=tmp_path), layout=layout, artifacts=ARTIFACTS)


def submit(installation: Installation, spec: JobSpec, master: str = "local[*]") -> tuple[str, ...]:
    around = Surroundings(installation, SparkMaster(master=master), gpus=0)
    return submit_spark(spec, around).argv


def test_without_a_keeper_jobs_are_submitted(installation: Installation) -> None:
    argv = submit(installation, ETL)
    assert (Path(argv[0]).name, WARM in argv) == ("spark-submit", False)


def test_with_one_the_same_job_is_offered_to_it_first(installation: Installation) -> None:
    plain = submit(installation, ETL)
    installation.layout.warm_spark_socket.touch()
    argv = submit(installation, ETL)
    at = argv.index(WARM)
    assert argv[at + 1] == str(installation.layout.warm_spark_socket)
    assert argv[-len(plain) :] == plain
    assert json.loads(argv[-1])["kind"] == "etl"


def test_clusters_and_jobs_with_secrets_have_jvms_of_their_own(installation: Installation) -> None:
    installation.layout.warm_spark_socket.touch()
    assert WARM not in submit(installation, ETL, "spark://m:7077")
    assert WARM not in submit(installation, IMPORT)


def test_other_code_options_and_settings_mean_another_jvm() -> None:
    command, environment = Command(argv=("a", "b")), {"MODELMILL_STAGES": "/s", "PATH": "/bin"}
    same = make_fingerprint(command, environment)
    assert same == make_fingerprint(command, {**environment, "PATH": "/usr/bin"})
    others = [
        make_fingerprint(Command(argv=("a", "c")), environment),
        make_fingerprint(command, {**environment, "MODELMILL_STAGES": "/t"}),
        make_fingerprint(command, {**environment, "SPARK_HOME": "/spark"}),
    ]
    assert len({same, *others}) == 4
