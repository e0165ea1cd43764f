"""The tasks that decide: plan, gate, and the one that stands in for a preset nobody can use."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.skipmixin import SkipMixin

from pipelines.context import Installation
from pipelines.form import read_form
from pipelines.gate.audit import record_refusal
from pipelines.gate.decision import decide_gate, note_frozen
from pipelines.gate.files import ASK, read_cost, write_decision
from pipelines.gate.rules import find_misses
from pipelines.planning import plan_run
from pipelines.request import RunRequest
from pipelines.tasks.base import Operator, actor_of, run_files
from pipelines.unchanged import note_unchanged
from serving.job import store
from serving.job.errors import UserError
from serving.job.freezing import explain_freeze
from serving.job.mongo import use_database
from spark_jobs.spec import EvaluateOutcome
from training.spec import TrainOutcome

if TYPE_CHECKING:
    from airflow.sdk import Context


class PlanOperator(Operator):
    """Form → plan.json."""

    def work(self, context: "Context", installation: Installation) -> dict[str, Any]:
        """Check the form against what is there, and write the plan down."""
        request = read_form(RunRequest, dict(context["params"]))
        files = run_files(context, installation)
        cutoff: datetime = context["dag_run"].run_after.astimezone(UTC)
        plan = plan_run(
            request,
            run_id=files.run_id,
            cutoff=cutoff,
            actor=actor_of(context),
            installation=installation,
        )
        store.write_model(installation.artifacts.plan(files.run_id), plan)
        self.log.info("Run %s: dataset %s, labels as of %s", plan.run_id, request.dataset, cutoff)
        return {"run_id": plan.run_id, "code_version": plan.code_version}


class GateOperator(Operator, SkipMixin):
    """Stops the run's tail, green, where the challenger must not go in service.

    A person is asked by the next task, which is skipped where there is nothing to ask.
    """

    ui_color = "#f5e6a8"

    def work(self, context: "Context", installation: Installation) -> dict[str, Any]:
        """Decide, write gate.json, and skip what must not follow."""
        files = run_files(context, installation)
        plan = files.plan()
        request = plan.request
        evaluate = files.read("evaluate", EvaluateOutcome)
        train = files.find("train", TrainOutcome)
        cost = None if train is None else read_cost(train)
        decision = decide_gate(evaluate, request, cost)
        if train is not None and not find_misses(evaluate, request, cost):
            decision = note_unchanged(decision, evaluate, train)
        with use_database() as database:
            explained = explain_freeze(database, request.served_as)
        unfrozen, decision = decision, note_frozen(decision, explained)
        write_decision(files, decision)
        shown: dict[str, Any] = decision.model_dump(mode="json")
        if decision.asks:
            self.log.warning("A person decides. %s", decision.reason)
            return shown
        followers = context["task"].get_flat_relatives(upstream=False)
        if decision.passed:
            self.log.info("Passed. %s", decision.reason)
            followers = [task for task in followers if task.task_id == ASK]
        else:
            self.log.warning("Stopped here. %s", decision.reason)
            if not decision.good_enough or decision != unfrozen:
                record_refusal(request.served_as, files.run_id, decision, who=plan.actor)
        # Skipping ends this method.
        context["ti"].xcom_push(key="return_value", value=shown)
        self.skip(context["ti"], followers)
        return shown


class RefuseOperator(Operator):
    """Fails at once with one sentence."""

    def __init__(self, *, reason: str, **options: Any) -> None:
        super().__init__(**options)
        self.reason = reason

    def work(self, context: "Context", installation: Installation) -> None:  # noqa: ARG002 - as the base has it
        """Say it."""
        raise UserError(self.reason)
