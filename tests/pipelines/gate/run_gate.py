"""Run in a process of its own: training DAGs from the gate on, as Airflow itself runs them.

run_gate.py OUTPUT. AIRFLOW_HOME is a fresh folder, the installation that of the environment; what
the jobs before and after the gate would do is marked as done.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from pipelines.airflow_api import AirflowApi, DagRun
from pipelines.artifacts import make_run_id
from pipelines.attempts import Work, acquire, commit
from pipelines.context import Installation, RunFiles, publish_addresses, read_installation
from pipelines.gate.files import ASK
from pipelines.request import RunRequest
from pipelines.results import describe_run, waits_for_answer
from pipelines.tasks.jobs import JobOperator
from serving.job import store
from serving.job.errors import UserError
from serving.job.evaluation import Paired
from serving.job.freezing import explain_freeze
from serving.job.mongo import use_database
from serving.job.spec import OUTCOME_FILE
from spark_jobs.spec import Champion, EvaluateOutcome
from tests.pipelines.literals import EVALUATE, plan_of

DAG_ID = "modelmill_train"
BEFORE_AND_AFTER = "plan|etl|train|evaluate|build_image|deploy"
UNSURE = Paired(both=140, challenger_only=4, champion_only=5, neither=4)
WORSE = Paired(both=140, challenger_only=1, champion_only=9, neither=3)
# Name → what the evaluation compared, what the form says, and what a person answers; None: nobody
# is there, and the time is over at once.
SCENARIOS: dict[str, tuple[Paired | None, dict[str, object], str | None]] = {
    "first": (None, {}, "Reject"),
    "worse": (WORSE, {}, "Approve"),
    "approved": (UNSURE, {}, "Approve"),
    "rejected": (UNSURE, {}, "Reject"),
    "unanswered": (UNSURE, {}, None),
    "kept": (UNSURE, {"on_unsure": "keep"}, "Approve"),
    "frozen": (None, {}, "Approve"),
    "frozen, unsure": (UNSURE, {}, "Approve"),
    "frozen late": (None, {}, "Approve"),
}


@contextmanager
def freeze(name: str) -> Iterator[None]:
    """Freeze the deployment for the scenarios that are called so; late: once its job has begun."""
    with use_database() as database, ExitStack() as stack:
        state = {"_id": "boards", "version": 2, "frozen": True}
        by_hand = {"deployment": "boards", "action": "freeze", "who": "ada", "why": "wrong light"}
        at = datetime(2025, 2, 28, 9, 30, tzinfo=UTC)

        def set_frozen() -> None:
            database["deployments"].insert_one(state)
            database["deployment_events"].insert_one({**by_hand, "at": at})

        def work(*_: object) -> None:
            set_frozen()
            raise UserError(explain_freeze(database, "boards"))

        if name == "frozen late":
            stack.enter_context(mock.patch.object(JobOperator, "work", work))
        elif name.startswith("frozen"):
            set_frozen()
        yield
        database["deployments"].delete_one({"_id": "boards"})


def read_refusal(run_id: str) -> dict[str, Any]:
    """What the deployment's history keeps of a run."""
    with use_database() as database:
        found = database["deployment_events"].find_one({"run_id": run_id}) or {}
        return {key: found.get(key) for key in ("action", "who", "why")}


def open_api() -> AirflowApi:
    """Airflow's own API in this process, where everybody is its administrator."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    client = TestClient(create_app(apps="core"))
    token = client.get("/auth/token").json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return AirflowApi(client)


def lay_out(
    installation: Installation, run_id: str, paired: Paired | None, form: dict[str, object]
) -> None:
    """What plan and evaluate would have left."""
    files = RunFiles(artifacts=installation.artifacts, run_id=run_id)
    request = RunRequest.model_validate({"dataset": "boards", "min_accuracy": 0.5, **form})
    changes = {"artifacts": installation.artifacts, "run_id": run_id}
    plan = plan_of(request).model_copy(update=changes)
    store.write_model(installation.artifacts.plan(run_id), plan)
    champion = Champion(generation=0)
    if paired:
        champion = Champion(generation=3, version=2, accuracy=0.95, macro_f1=0.9, paired=paired)
    outcome: EvaluateOutcome = EVALUATE.model_copy(update={"champion": champion})
    attempt = acquire(files.task_uri("evaluate"), 1, 1, Work(spec_hash="f", code_version="c"))
    store.write_model(store.join(attempt.uri, OUTCOME_FILE), outcome)
    commit(attempt)


def answer_when_asked(api: AirflowApi, run: DagRun, option: str | None, seen: list[Any]) -> None:
    """Wait until the run asks; say what it then shows, and answer."""
    installation = read_installation()
    while True:
        time.sleep(0.3)
        try:
            now, tasks = api.read_run(run), api.list_tasks(run)
        except UserError:
            # There is no run yet.
            continue
        if now.state in ("success", "failed"):
            return
        if not waits_for_answer(tasks):
            continue
        found = describe_run(api, now, tasks, installation).model_dump(mode="json")
        seen.append({**found, "question": read_question(run)})
        if option:
            api.answer(run, ASK, option)
        else:
            let_time_pass()
        return


def read_question(run: DagRun) -> dict[str, str]:
    """What Airflow shows to a person."""
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session

    with create_session() as session:
        for detail in session.query(HITLDetail):
            if detail.task_instance.run_id == run.dag_run_id:
                return {"subject": detail.subject, "body": detail.body or ""}
    return {}


def let_time_pass() -> None:
    """The scheduler's own sweep, a day later."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        for ti in session.query(TaskInstance).filter_by(state="awaiting_input"):
            ti.trigger_timeout = datetime.now(UTC) - timedelta(seconds=1)
    job = Job()  # type: ignore[no-untyped-call]
    SchedulerJobRunner(job=job).check_awaiting_input_timeouts()


def run_scenario(
    api: AirflowApi, test: Callable[..., Any], name: str, run_after: datetime
) -> dict[str, Any]:
    """States of the tasks, and what the run is said to have come to."""
    paired, form, option = SCENARIOS[name]
    dag_run_id = f"manual__{run_after.isoformat()}"
    installation = read_installation()
    lay_out(installation, make_run_id(DAG_ID, dag_run_id, run_after), paired, form)
    run = DagRun(
        dag_id=DAG_ID,
        dag_run_id=dag_run_id,
        state="running",
        run_type="manual",
        run_after=run_after,
    )
    asked: list[Any] = []
    person = threading.Thread(target=answer_when_asked, args=(api, run, option, asked))
    person.start()
    done = BEFORE_AND_AFTER.removesuffix("|deploy") if name == "frozen late" else BEFORE_AND_AFTER
    with freeze(name):
        test(
            run_after=run_after,
            logical_date=run_after,
            run_conf={"dataset": "boards"},
            mark_success_pattern=done,
        )
    person.join()
    run = api.read_run(run)
    tasks = api.list_tasks(run)
    result = describe_run(api, run, tasks, installation)
    return {
        "states": {task.task_id: task.state for task in tasks},
        "result": result.model_dump(mode="json"),
        "asked": asked,
        "refusal": read_refusal(result.run_id),
    }


def main(output: Path) -> None:
    """Write what came of each scenario."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    publish_addresses(read_installation())
    dags = Path(__file__).parents[3] / "dags" / f"{DAG_ID}.py"
    test = DagBag(str(dags)).dags[DAG_ID].test
    api = open_api()
    start = datetime(2025, 3, 1, 2, tzinfo=UTC)
    found = {
        name: run_scenario(api, test, name, start + timedelta(hours=hour))
        for hour, name in enumerate(SCENARIOS)
    }
    output.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
