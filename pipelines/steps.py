"""The jobs of a run: for each task its outcome, how its spec is bound, and what runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.code import code_version, write_archive
from pipelines.commands import (
    Command,
    SparkMaster,
    local_folder,
    python_command,
    spark_command,
    train_command,
    warm_command,
)
from pipelines.context import Installation, RunFiles
from pipelines.devices import Devices, choose_devices, count_cores, find_paddle, has_cuda_build
from pipelines.gate.files import ASK, GATE, read_decision
from pipelines.local.environment import bypass_proxy
from pipelines.nodes.board import Call
from pipelines.nodes.place import MASTER_SETTING, NODES_SETTING, Place, find_place
from pipelines.plan import (
    RunPlan,
    build_image_spec,
    deploy_spec,
    etl_spec,
    evaluate_spec,
    train_spec,
)
from pipelines.warm_spark.lending import KINDS, borrow_command, make_fingerprint
from serving.job.errors import UserError
from serving.job.spec import JobSpec, Spec
from serving.spec import BuildImageOutcome, DeployOutcome
from spark_jobs.spec import EtlOutcome, EvaluateOutcome
from training.spec import TrainOutcome, TrainSpec

PLAN = "plan"
HEAVY_POOL = "heavy"


@dataclass(frozen=True)
class Surroundings:
    """What a command depends on beside its spec."""

    installation: Installation
    master: SparkMaster
    gpus: int


@dataclass(frozen=True)
class Step:
    """One job of a run. `heavy` ones take turns in Airflow's pool of that name."""

    task: str
    outcome: type[Spec]
    bind: Callable[[RunPlan, RunFiles, str], JobSpec]
    command: Callable[[JobSpec, Surroundings], Command]
    heavy: bool
    doc: str


def _bind_etl(plan: RunPlan, _: RunFiles, output_uri: str) -> JobSpec:
    return etl_spec(plan, output_uri)


def _bind_train(plan: RunPlan, files: RunFiles, output_uri: str) -> JobSpec:
    return train_spec(plan, files.read_etl(plan), output_uri)


def _bind_evaluate(plan: RunPlan, files: RunFiles, output_uri: str) -> JobSpec:
    etl, train = files.read_etl(plan), files.read("train", TrainOutcome)
    return evaluate_spec(plan, etl, train, output_uri)


def _bind_build_image(plan: RunPlan, files: RunFiles, output_uri: str) -> JobSpec:
    train, evaluate = files.read("train", TrainOutcome), files.read("evaluate", EvaluateOutcome)
    return build_image_spec(plan, train, evaluate, output_uri)


def _bind_deploy(plan: RunPlan, files: RunFiles, output_uri: str) -> JobSpec:
    return deploy_spec(
        plan,
        output_uri,
        train=files.read("train", TrainOutcome),
        evaluate=files.read("evaluate", EvaluateOutcome),
        gate=read_decision(files),
        image=files.read("build_image", BuildImageOutcome),
    )


def submit_spark(spec: JobSpec, around: Surroundings) -> Command:
    """spark-submit, with the code's archive in place; in the JVM that is kept warm where one is."""
    layout = around.installation.layout
    kind = str(getattr(spec, "kind", "job"))
    archive = write_archive(layout.code)
    command = spark_command(
        layout, spec, master=around.master, archive=archive, name=f"modelmill {kind}"
    )
    if kind not in KINDS or not around.master.is_local or not layout.warm_spark_socket.exists():
        return command
    warm = warm_command(layout, master=around.master, archive=archive)
    fingerprint = make_fingerprint(warm, around.installation.job_environment())
    return borrow_command(layout, command, fingerprint)


def launch_training(spec: JobSpec, around: Surroundings, place: Place | None = None) -> Command:
    """paddle.distributed.launch, one process per device; raises DeviceError, UserError.

    place: this machine's; by default the first of those that the settings name.
    """
    if not isinstance(spec, TrainSpec):
        raise TypeError(f"{type(spec).__name__} is no training")
    layout, devices = around.installation.layout, _find_devices(spec, around)
    attempt = Path(spec.output_uri).name
    log_folder = local_folder(spec.scratch_uri) / "ranks" / attempt
    place = place or find_first_place(spec, around.installation)
    command = train_command(layout, spec, devices=devices, log_folder=log_folder, place=place)
    if place is None:
        return command
    host = place.master.partition(":")[0]
    direct = bypass_proxy(around.installation.job_environment(), host)
    return command.model_copy(update={"environment": command.environment | direct})


def _find_devices(spec: TrainSpec, around: Surroundings) -> Devices:
    """What a training gets of this machine; DeviceError."""
    cuda_build = has_cuda_build(around.installation.layout.jobs)
    return choose_devices(spec.devices, around.gpus, cuda_build, count_cores())


def find_first_place(spec: TrainSpec, installation: Installation) -> Place | None:
    """This machine's place, the first; None where the settings name no others. UserError."""
    settings = installation.settings
    if settings.train_nodes == 1:
        return None
    if not settings.train_master:
        raise UserError(
            f"{NODES_SETTING} is {settings.train_nodes}, but {MASTER_SETTING} is empty: it must "
            "be HOST:PORT, an address of this machine that the others reach, and a free port."
        )
    return find_place(settings.train_master, nodes=settings.train_nodes, node=0, job=name_job(spec))


def name_job(spec: TrainSpec) -> str:
    """Name of one attempt's training, the same on every machine."""
    return f"{spec.run_id}-{Path(spec.output_uri).name}"


def make_call(spec: TrainSpec, around: Surroundings) -> Call:
    """What the other machines are asked."""
    installation = around.installation
    return Call(
        nodes=installation.settings.train_nodes,
        kind=_find_devices(spec, around).kind,
        code_version=code_version(),
        paddle=find_paddle(installation.layout.jobs),
        webhdfs=installation.settings.webhdfs_address,
        spec=spec,
    )


def run_serving(spec: JobSpec, around: Surroundings) -> Command:
    """serving.main in one process."""
    return python_command(around.installation.layout, "serving.main", spec)


ETL = Step(
    "etl",
    EtlOutcome,
    _bind_etl,
    submit_spark,
    heavy=True,
    doc="Snapshot of the labels, checked pictures, features, sides (Spark).",
)
TRAIN = Step(
    "train",
    TrainOutcome,
    _bind_train,
    launch_training,
    heavy=True,
    doc="A head on the features, one process per device; model and curves in MLflow (Paddle).",
)
EVALUATE = Step(
    "evaluate",
    EvaluateOutcome,
    _bind_evaluate,
    submit_spark,
    heavy=True,
    doc="The bundle that would be served, and the champion, on the test side; report (Spark).",
)
BUILD_IMAGE = Step(
    "build_image",
    BuildImageOutcome,
    _bind_build_image,
    run_serving,
    heavy=False,
    doc="The model as the deployment's next version, baked into a serving image (Docker).",
)
DEPLOY = Step(
    "deploy",
    DeployOutcome,
    _bind_deploy,
    run_serving,
    heavy=False,
    doc="Smoke test with real test samples, then traffic and the alias champion.",
)
# Every task of a training run, in order.
TASKS = (PLAN, ETL.task, TRAIN.task, EVALUATE.task, GATE, ASK, BUILD_IMAGE.task, DEPLOY.task)
