"""What came of a run, from files laid out as the tasks leave them and from Airflow's answers."""

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from pipelines.airflow_api import AirflowApi, DagRun, TaskRun
from pipelines.artifacts import Artifacts
from pipelines.attempts import Work, acquire, commit
from pipelines.context import Installation, RunFiles
from pipelines.gate.decision import decide_gate
from pipelines.gate.files import write_decision
from pipelines.local.layout import read_layout
from pipelines.request import RunRequest
from pipelines.results import RunResult, describe_run, sort_tasks
from pipelines.settings import Settings
from pipelines.steps import TASKS
from serving.job import store
from serving.job.spec import OUTCOME_FILE, Spec
from tests.pipelines.literals import DEPLOYED, ETL, EVALUATE, IMAGE, TRAIN

WORK = Work(spec_hash="f", code_version="c")
RUN = DagRun.model_validate(
    {
        "dag_id": "modelmill_train",
        "dag_run_id": "manual__2025-03-01T02:00:00+00:00",
        "state": "success",
        "run_type": "manual",
        "run_after": "2025-03-01T02:00:00Z",
        "end_date": "2025-03-01T02:01:40Z",
    }
)
TRAINED: Mapping[str, Spec] = {"etl": ETL, "train": TRAIN, "evaluate": EVALUATE}
SERVED: Mapping[str, Spec] = {**TRAINED, "build_image": IMAGE, "deploy": DEPLOYED}
DONE = [TaskRun(task_id=name, state="success", duration=1.26) for name in reversed(TASKS)]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    settings = Settings(home=tmp_path)
    artifacts = Artifacts(hdfs=tmp_path.as_uri(), scratch="file:///scratch")
    return Installation(settings=settings, layout=read_layout(settings), artifacts=artifacts)


@pytest.fixture
def files(installation: Installation) -> RunFiles:
    return RunFiles(artifacts=installation.artifacts, run_id=RUN.run_id)


def lay_out(files: RunFiles, outcomes: Mapping[str, Spec]) -> None:
    """As the tasks do: an attempt each, its outcome, its commit."""
    for task, outcome in outcomes.items():
        attempt = acquire(files.task_uri(task), 1, 1, WORK)
        store.write_model(store.join(attempt.uri, OUTCOME_FILE), outcome)
        commit(attempt)


def lay_out_gate(files: RunFiles, *, min_accuracy: float, deploy: bool = True) -> None:
    form = RunRequest(dataset="boards", min_accuracy=min_accuracy, deploy=deploy)
    decision = decide_gate(EVALUATE, form)
    write_decision(files, decision)


def describe(
    installation: Installation,
    run: DagRun = RUN,
    tasks: list[TaskRun] = DONE,
    said: Mapping[str, str] | None = None,
) -> RunResult:
    """said: task → the reason that Airflow keeps of it."""

    def handle(request: httpx.Request) -> httpx.Response:
        task = request.url.path.split("/taskInstances/")[1].split("/")[0]
        assert request.url.path.endswith("/xcomEntries/reason")
        reason = (said or {}).get(task)
        if reason is None:
            return httpx.Response(404, json={"detail": "none"})
        return httpx.Response(200, json={"value": reason})

    with httpx.Client(base_url="http://a", transport=httpx.MockTransport(handle)) as client:
        return describe_run(AirflowApi(client), run, tasks, installation)


def test_success_has_every_number(installation: Installation, files: RunFiles) -> None:
    lay_out(files, SERVED)
    lay_out_gate(files, min_accuracy=0.5)
    result = describe(installation)
    assert result.state == "success"
    assert "0.7500" in result.reason
    assert (result.accuracy, result.macro_f1, result.test_samples) == (0.75, 0.7333, 4)
    assert (result.model_version, result.image_tag) == (7, "modelmill/boards:7")
    assert (result.endpoint, result.served_by) == ("http://127.0.0.1:8800", "container")
    assert result.weights_sha256 == TRAIN.weights_sha256
    assert result.report_uri == f"http://127.0.0.1:8090/runs/{RUN.run_id}/report"
    assert result.airflow_uri.startswith("http://127.0.0.1:8080/dags/modelmill_train/runs/manual__")
    assert "+" not in result.airflow_uri
    assert result.seconds == 100.0
    assert list(result.seconds_per_task.items()) == [(name, 1.3) for name in TASKS]


def test_stopped_by_the_gate_says_why(installation: Installation, files: RunFiles) -> None:
    lay_out(files, TRAINED)
    lay_out_gate(files, min_accuracy=0.9)
    tasks = [
        *DONE[3:],
        TaskRun(task_id="ask", state="skipped", duration=0.0),
        TaskRun(task_id="build_image", state="skipped", duration=0.0),
        TaskRun(task_id="deploy", state="skipped", duration=0.0),
    ]
    result = describe(installation, tasks=tasks)
    assert result.state == "stopped_by_gate"
    assert "below the floor of 0.9000" in result.reason
    assert (result.accuracy, result.endpoint, result.model_version) == (0.75, None, None)
    assert list(result.seconds_per_task) == list(TASKS[:5])


def test_without_deployment_a_good_model_is_a_success(
    installation: Installation, files: RunFiles
) -> None:
    lay_out(files, TRAINED)
    lay_out_gate(files, min_accuracy=0.5, deploy=False)
    result = describe(installation)
    assert (result.state, result.endpoint) == ("success", None)
    assert "do not put in service" in result.reason


def test_without_deployment_a_bad_model_is_stopped(
    installation: Installation, files: RunFiles
) -> None:
    lay_out(files, TRAINED)
    lay_out_gate(files, min_accuracy=0.9, deploy=False)
    assert describe(installation).state == "stopped_by_gate"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"train": "No class has two samples."}, "train: No class has two samples."),
        ({}, "train: see the end of its log in Airflow"),
    ],
)
def test_failure_gives_the_first_failed_tasks_reason(
    installation: Installation, files: RunFiles, said: dict[str, str], reason: str
) -> None:
    lay_out(files, {"etl": ETL})
    tasks = [
        TaskRun(task_id="evaluate", state="upstream_failed"),
        TaskRun(task_id="train", state="failed", duration=3.04),
        TaskRun(task_id="etl", state="success", duration=2.0),
    ]
    run = RUN.model_copy(update={"state": "failed"})
    result = describe(installation, run, tasks, said)
    assert (result.state, result.reason) == ("failed", reason)
    assert (result.accuracy, result.report_uri) == (None, None)
    assert result.seconds_per_task == {"etl": 2.0, "train": 3.0}


def test_failure_of_no_task_was_a_persons_doing(installation: Installation) -> None:
    run = RUN.model_copy(update={"state": "failed"})
    result = describe(installation, run, [])
    assert (result.state, result.reason) == ("failed", "the run was marked as failed")


@pytest.mark.parametrize("state", ["queued", "running"])
def test_run_that_has_not_ended_shows_what_is_there(
    installation: Installation, files: RunFiles, state: str
) -> None:
    lay_out(files, TRAINED)
    lay_out_gate(files, min_accuracy=0.9)
    run = RUN.model_copy(update={"state": state, "end_date": None})
    result = describe(installation, run)
    assert (result.state, result.reason, result.accuracy) == ("running", "", 0.75)
    assert result.seconds is None


def test_run_that_asks_says_so(installation: Installation, files: RunFiles) -> None:
    lay_out(files, TRAINED)
    lay_out_gate(files, min_accuracy=0.5)
    run = RUN.model_copy(update={"state": "running", "end_date": None})
    result = describe(installation, run, [TaskRun(task_id="ask", state="awaiting_input")])
    assert result.state == "waits_for_answer"
    assert "0.7500" in result.reason
    assert result.question_uri == f"{result.airflow_uri}/required_actions"
    waiting = [TaskRun(task_id="ask", state="scheduled")]
    assert describe(installation, run, waiting).question_uri is None


def test_attempt_that_was_not_committed_does_not_count(
    installation: Installation, files: RunFiles
) -> None:
    attempt = acquire(files.task_uri("evaluate"), 1, 1, WORK)
    store.write_model(store.join(attempt.uri, OUTCOME_FILE), EVALUATE)
    assert describe(installation, RUN.model_copy(update={"state": "running"})).accuracy is None
    commit(attempt)
    assert describe(installation, RUN.model_copy(update={"state": "running"})).accuracy == 0.75


def test_accuracy_of_zero_is_a_number(installation: Installation, files: RunFiles) -> None:
    lay_out(files, {"evaluate": EVALUATE.model_copy(update={"accuracy": 0.0})})
    assert describe(installation).accuracy == 0.0


def test_tasks_stand_in_the_order_of_the_run() -> None:
    tasks = [TaskRun(task_id=name) for name in ("import", *reversed(TASKS))]
    assert [task.task_id for task in sort_tasks(tasks)] == [*TASKS, "import"]
