"""What came of a run: read from Airflow and from the outcomes of its committed attempts."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.airflow_api import AWAITING_INPUT, AirflowApi, DagRun, TaskRun
from pipelines.context import Installation, RunFiles
from pipelines.gate.files import ASK, read_decision, read_question
from pipelines.pages import locate_airflow_run, locate_question, locate_report
from pipelines.steps import BUILD_IMAGE, DEPLOY, EVALUATE, TASKS, TRAIN
from serving.bundle.manifest import ONE, Task
from serving.spec import BuildImageOutcome, DeployOutcome
from spark_jobs.spec import EvaluateOutcome
from training.spec import TrainOutcome

# XCom of a failed task: why, in a sentence.
REASON_KEY = "reason"
State = Literal["running", "waits_for_answer", "success", "stopped_by_gate", "failed"]


class RunResult(BaseModel):
    """What `train --wait` ends with; None where a run did not get so far. Times in seconds."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    run_id: str
    state: State
    reason: str = ""
    task: Task = ONE
    accuracy: float | None = None
    macro_f1: float | None = None
    test_samples: int | None = None
    weights_sha256: str | None = None
    model_version: int | None = None
    image_tag: str | None = None
    endpoint: str | None = None
    served_by: str | None = None
    report_uri: str | None = None
    question_uri: str | None = None
    airflow_uri: str
    seconds_per_task: dict[str, float] = {}
    seconds: float | None = None


def read_result(
    files: RunFiles, installation: Installation, *, state: State, reason: str, airflow_uri: str
) -> RunResult:
    """What the committed attempts of a run's tasks left."""
    train = files.find(TRAIN.task, TrainOutcome)
    evaluate = files.find(EVALUATE.task, EvaluateOutcome)
    image = files.find(BUILD_IMAGE.task, BuildImageOutcome)
    deployed = files.find(DEPLOY.task, DeployOutcome)
    console = installation.settings.console_address
    return RunResult(
        run_id=files.run_id,
        state=state,
        reason=reason,
        task=evaluate.task if evaluate else ONE,
        accuracy=evaluate and evaluate.accuracy,
        macro_f1=evaluate and evaluate.macro_f1,
        test_samples=evaluate and evaluate.test_samples,
        weights_sha256=train and train.weights_sha256,
        model_version=image and image.version,
        image_tag=image and image.image_tag,
        endpoint=deployed and deployed.endpoint,
        served_by=deployed and deployed.served_by,
        report_uri=locate_report(console, files.run_id) if evaluate else None,
        airflow_uri=airflow_uri,
    )


def describe_run(
    api: AirflowApi, run: DagRun, tasks: list[TaskRun], installation: Installation
) -> RunResult:
    """A run as far as it is."""
    files = RunFiles(artifacts=installation.artifacts, run_id=run.run_id)
    state, reason = _judge(api, run, tasks, files)
    address = installation.settings.airflow_address
    result = read_result(
        files,
        installation,
        state=state,
        reason=reason,
        airflow_uri=locate_airflow_run(address, run.dag_id, run.dag_run_id),
    )
    seconds = {
        task.task_id: round(task.duration, 1)
        for task in sort_tasks(tasks)
        if task.duration is not None and task.state != "skipped"
    }
    question = locate_question(address, run.dag_id, run.dag_run_id)
    return result.model_copy(
        update={
            "seconds_per_task": seconds,
            "seconds": run.seconds,
            "question_uri": question if state == "waits_for_answer" else None,
        }
    )


def waits_for_answer(tasks: list[TaskRun]) -> bool:
    """Whether a person has to approve or reject before the run goes on."""
    return any(task.task_id == ASK and task.state == AWAITING_INPUT for task in tasks)


def sort_tasks(tasks: list[TaskRun]) -> list[TaskRun]:
    """In the order of the run; tasks of another kind of DAG last."""
    places = {name: place for place, name in enumerate(TASKS)}
    return sorted(tasks, key=lambda task: places.get(task.task_id, len(places)))


def _judge(
    api: AirflowApi, run: DagRun, tasks: list[TaskRun], files: RunFiles
) -> tuple[State, str]:
    if run.state == "failed":
        return "failed", _find_reason(api, run, tasks)
    if run.state != "success":
        if waits_for_answer(tasks):
            return "waits_for_answer", read_question(files).reason
        return "running", ""
    try:
        gate = read_decision(files)
    except FileNotFoundError:
        return "success", ""
    if gate.passed and any(t.task_id == DEPLOY.task and t.state == "skipped" for t in tasks):
        # Somebody froze the deployment after the gate had let the model in.
        said = api.read_xcom(run, DEPLOY.task, REASON_KEY) or ""
        return "success", f"{gate.reason} {said}".strip()
    return ("success" if gate.good_enough else "stopped_by_gate"), gate.reason


def _find_reason(api: AirflowApi, run: DagRun, tasks: list[TaskRun]) -> str:
    for task in sort_tasks(tasks):
        if task.state == "failed":
            said = api.read_xcom(run, task.task_id, REASON_KEY)
            return f"{task.task_id}: {said or 'see the end of its log in Airflow'}"
    return "the run was marked as failed"
