"""Spec → argv."""

import json
import shlex
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from pipelines.commands import (
    Command,
    SparkMaster,
    describe_command,
    local_folder,
    python_command,
    read_spark_master,
    spark_command,
    train_command,
    warm_command,
)
from pipelines.devices import Devices
from pipelines.local.layout import REPO, Layout
from pipelines.nodes.place import Place
from pipelines.plan import deploy_spec, etl_spec, train_spec
from pipelines.request import RunRequest
from serving.job.spec import JobSpec
from tests.pipelines.literals import ATTEMPT, ETL, EVALUATE, GATE, IMAGE, TRAIN, plan_of

PLAN = plan_of(RunRequest(dataset="boards"))
ETL_SPEC = etl_spec(PLAN, ATTEMPT)
TRAIN_SPEC = train_spec(PLAN, ETL, ATTEMPT)
DEPLOY_SPEC = deploy_spec(PLAN, ATTEMPT, train=TRAIN, evaluate=EVALUATE, gate=GATE, image=IMAGE)
LOCAL, CLUSTER = SparkMaster(master="local[*]"), SparkMaster(master="spark://m:7077")
CODE = Path("/home/code/abc.zip")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(home=tmp_path, runtime=tmp_path / "run")


def submit(
    layout: Layout, master: SparkMaster = LOCAL, *, archive_classes: bool = False
) -> tuple[str, ...]:
    command = spark_command(
        layout,
        ETL_SPEC,
        master=master,
        archive=CODE,
        name="modelmill etl",
        archive_classes=archive_classes,
    )
    assert command.environment == {}
    return command.argv


def options(argv: tuple[str, ...], flag: str) -> list[str]:
    return [value for name, value in pairwise(argv) if name == flag]


def java_options(argv: tuple[str, ...]) -> list[str]:
    """As Spark's launcher splits them: at blanks outside quotes."""
    (words,) = options(argv, "--driver-java-options")
    return shlex.split(words)


def spec_of(argv: tuple[str, ...]) -> object:
    assert argv[-2] == "--spec"
    return json.loads(argv[-1])


def test_python_job_is_one_process_of_the_jobs_environment(layout: Layout) -> None:
    command = python_command(layout, "serving.main", DEPLOY_SPEC)
    assert command.argv[:-1] == (
        str(layout.home / "venvs/jobs/bin/python"), "-m", "serving.main", "--spec",
    )  # fmt: skip
    assert spec_of(command.argv) == DEPLOY_SPEC.model_dump(mode="json")
    assert command.environment == {}


def test_spark_submit_runs_main_with_one_spec(layout: Layout) -> None:
    argv = submit(layout)
    assert argv[0] == str(layout.home / "venvs/jobs/bin/spark-submit")
    assert argv[-3] == str(REPO / "spark_jobs" / "main.py")
    assert Path(argv[-3]).is_file()
    assert spec_of(argv) == ETL_SPEC.model_dump(mode="json")
    assert options(argv, "--name") == ["modelmill etl"]
    assert options(argv, "--master") == ["local[*]"]


def test_a_warm_jvm_is_set_up_as_a_jobs_own(layout: Layout) -> None:
    warm = warm_command(layout, master=LOCAL, archive=CODE).argv
    own = submit(layout)
    assert warm[-1] == "pyspark-shell"
    assert {*options(own, "--conf")} == {*options(warm, "--conf")}
    for flag in ("--master", "--driver-memory", "--py-files"):
        assert options(own, flag) == options(warm, flag) != []
    assert {*java_options(own)} < {*java_options(warm)}


@pytest.mark.parametrize("master", [LOCAL, CLUSTER])
def test_executors_get_the_code_and_the_interpreter(layout: Layout, master: SparkMaster) -> None:
    argv = submit(layout, master)
    assert options(argv, "--py-files") == [str(CODE)]
    conf = dict(pair.split("=", 1) for pair in options(argv, "--conf"))
    assert conf["spark.pyspark.python"] == str(layout.home / "venvs/jobs/bin/python")
    assert conf["spark.local.dir"] == str(layout.scratch / "spark")


@pytest.mark.parametrize(("master", "bound"), [(LOCAL, True), (CLUSTER, False)])
def test_only_a_local_driver_hides_on_this_machine(
    layout: Layout, master: SparkMaster, bound: bool
) -> None:
    conf = options(submit(layout, master), "--conf")
    assert ("spark.driver.bindAddress=127.0.0.1" in conf) is bound
    assert ("spark.driver.host=127.0.0.1" in conf) is bound


def test_jars_go_to_the_class_path_and_to_a_clusters_executors(layout: Layout) -> None:
    assert options(submit(layout, CLUSTER), "--jars") == []
    assert options(submit(layout), "--driver-class-path") == []
    folder = layout.jars("spark")
    folder.mkdir(parents=True)
    for name in ("b.jar", "a.jar", "notes.txt"):
        (folder / name).touch()
    first, second = str(folder / "a.jar"), str(folder / "b.jar")
    assert options(submit(layout), "--driver-class-path") == [f"{first}:{second}"]
    assert options(submit(layout), "--jars") == []
    assert options(submit(layout, CLUSTER), "--jars") == [f"{first},{second}"]


def test_class_archive_is_used_where_it_is_there_and_written_where_asked(layout: Layout) -> None:
    used = f"-XX:SharedArchiveFile={layout.spark_archive}"
    written = f"-XX:ArchiveClassesAtExit={layout.spark_archive}"
    assert not {used, written} & set(java_options(submit(layout)))
    layout.spark_archive.parent.mkdir(parents=True)
    layout.spark_archive.touch()
    assert {used, written} & set(java_options(submit(layout))) == {used}
    writing = java_options(submit(layout, archive_classes=True))
    assert {used, written} & set(writing) == {written}


def test_class_archive_below_a_home_with_a_blank_is_one_option(tmp_path: Path) -> None:
    layout = Layout(home=tmp_path / "my home", runtime=tmp_path)
    written = f"-XX:ArchiveClassesAtExit={layout.spark_archive}"
    assert written in java_options(submit(layout, archive_classes=True))


def launch(layout: Layout, devices: Devices) -> Command:
    return train_command(layout, TRAIN_SPEC, devices=devices, log_folder=Path("/logs/attempt-1"))


def test_training_on_the_cpu_hides_every_card(layout: Layout) -> None:
    command = launch(layout, Devices(kind="cpu", ranks=3))
    python = str(layout.home / "venvs/jobs/bin/python")
    assert command.argv[:3] == (python, "-m", "paddle.distributed.launch")
    assert options(command.argv, "--nproc_per_node") == ["3"]
    assert options(command.argv, "--devices") == []
    assert command.environment["CUDA_VISIBLE_DEVICES"] == "-1,-1,-1"


def test_training_on_cards_starts_one_process_each(layout: Layout) -> None:
    command = launch(layout, Devices(kind="gpu", ranks=2))
    assert options(command.argv, "--nproc_per_node") == ["2"]
    assert options(command.argv, "--devices") == []


def test_training_on_cards_takes_those_that_the_caller_left(layout: Layout) -> None:
    assert "CUDA_VISIBLE_DEVICES" not in launch(layout, Devices(kind="gpu", ranks=2)).environment


PLACE = Place(
    master="10.0.0.1:7100", nodes=3, node=1, address="10.0.0.2", interface="eth0", job="r-attempt-1"
)


def test_one_machine_is_met_by_nobody_else(layout: Layout) -> None:
    command = launch(layout, Devices(kind="cpu", ranks=2))
    assert command.environment["POD_IP"] == "127.0.0.1"
    interface = command.environment["GLOO_SOCKET_IFNAME"]
    assert any(one.address == "127.0.0.1" for one in psutil.net_if_addrs()[interface])
    assert not {"--master", "--nnodes", "--rank"} & {*command.argv}


def test_several_machines_meet_at_the_first_ones_address(layout: Layout) -> None:
    command = train_command(
        layout,
        TRAIN_SPEC,
        devices=Devices(kind="cpu", ranks=2),
        log_folder=Path("/logs"),
        place=PLACE,
    )
    flags = ("--master", "--nnodes", "--rank", "--job_id", "--nproc_per_node")
    assert [options(command.argv, flag) for flag in flags] == [
        ["10.0.0.1:7100"], ["3"], ["1"], ["r-attempt-1"], ["2"],
    ]  # fmt: skip
    names = ("POD_IP", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    assert [command.environment[name] for name in names] == ["10.0.0.2", "eth0", "eth0"]
    assert spec_of(command.argv) == TRAIN_SPEC.model_dump(mode="json")


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_training_has_one_thread_per_process_and_its_own_log(layout: Layout, kind: str) -> None:
    command = launch(layout, Devices.model_validate({"kind": kind, "ranks": 2}))
    assert command.environment["OMP_NUM_THREADS"] == "1"
    assert options(command.argv, "--log_dir") == ["/logs/attempt-1"]
    assert command.argv[-3] == str(REPO / "training" / "main.py")
    assert Path(command.argv[-3]).is_file()
    assert spec_of(command.argv) == TRAIN_SPEC.model_dump(mode="json")


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("python", DEPLOY_SPEC, "python -m serving.main … kind=deploy"),
        ("spark", ETL_SPEC, "spark-submit --master local[*] … kind=etl"),
        ("train", TRAIN_SPEC, "python -m paddle.distributed.launch … kind=train"),
    ],
)
def test_log_line_names_the_job_and_not_its_spec(
    layout: Layout, kind: str, spec: JobSpec, words: str
) -> None:
    argv = {
        "python": python_command(layout, "serving.main", spec).argv,
        "spark": submit(layout),
        "train": launch(layout, Devices(kind="cpu", ranks=1)).argv,
    }[kind]
    assert describe_command(argv) == f"{words} output={ATTEMPT}"


@pytest.mark.parametrize(
    ("host", "port", "master"),
    [
        ("local[*]", None, "local[*]"),
        ("local[2]", 7077, "local[2]"),
        ("yarn", None, "yarn"),
        ("spark://m", 7077, "spark://m:7077"),
        ("spark://m:7077", None, "spark://m:7077"),
        ("k8s://https://m", 6443, "k8s://https://m:6443"),
        ("spark://m", 0, "spark://m"),
    ],
)
def test_master_of_an_airflow_connection(host: str, port: int | None, master: str) -> None:
    found = read_spark_master(host, port)
    assert found.master == master
    assert found.is_local is master.startswith("local[")


def test_path_of_a_file_uri_is_decoded() -> None:
    assert local_folder("file:///my%20home/scratch") == Path("/my home/scratch")
