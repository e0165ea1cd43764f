"""Airflow operators: plan, jobs, gate. What they decide is in the pure modules beside this one."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseHook, BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.bases.skipmixin import SkipMixin

from pipelines.artifacts import make_run_id
from pipelines.attempts import Attempt, StaleAttemptError, Work, acquire, commit, fingerprint
from pipelines.code import code_version
from pipelines.commands import Command, SparkMaster, describe_command, read_spark_master
from pipelines.context import (
    Installation,
    RunFiles,
    headline,
    publish_addresses,
    read_installation,
)
from pipelines.devices import DeviceError, count_gpus
from pipelines.form import FormError, read_form
from pipelines.gate import decide_gate
from pipelines.links import MlflowLink, ReportLink
from pipelines.planning import plan_run, resolve_import
from pipelines.plan import import_spec
from pipelines.process import end_group, tie_to_parent
from pipelines.request import ImportRequest, RunRequest
from pipelines.steps import GATE_FILE, HEAVY_POOL, Step, Surroundings, submit_spark
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import ERROR_FILE, JobError, JobSpec, Spec, OUTCOME_FILE
from spark_jobs.spec import EvaluateOutcome, ImportOutcome

if TYPE_CHECKING:
    from airflow.sdk import Context

SPARK_CONNECTION = "spark_default"
RETRIES = 2


class UserErrorExit(SystemExit):
    """Ends a task with a sentence, and without the stack trace that Airflow adds to exceptions."""


# A user's error is not tried again; every other failure is.
_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=UserErrorExit,
            action=RetryAction.FAIL,
            reason="The sentence above says what to mend; trying again would not help.",
        )
    ]
)
_MENDABLE = (UserError, FormError, DeviceError)


class _Operator(BaseOperator):
    """Shared by all: run id, run folder, retries, and sentences instead of stack traces."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("retries", RETRIES)
        options.setdefault("retry_delay", timedelta(seconds=5))
        options.setdefault("retry_policy", _POLICY)
        super().__init__(**options)

    def execute(self, context: "Context") -> Any:
        """Do the work; what a person can mend ends the task at once with its sentence."""
        installation = read_installation()
        publish_addresses(installation)
        try:
            return self.work(context, installation)
        except _MENDABLE as error:
            self.log.error("%s", error)
            raise UserErrorExit(str(error)) from None

    def work(self, context: "Context", installation: Installation) -> Any:
        """What this operator does."""
        raise NotImplementedError


def run_files(context: "Context", installation: Installation) -> RunFiles:
    """The folder of this DAG run: the same for every task, retry and clear."""
    run = context["dag_run"]
    run_id = make_run_id(run.dag_id, run.run_id, run.run_after)
    return RunFiles(artifacts=installation.artifacts, run_id=run_id)


def actor_of(context: "Context") -> str:
    """Who asked for this run."""
    return context["dag_run"].triggering_user_name or "schedule"


class PlanOperator(_Operator):
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


class _ProcessOperator(_Operator):
    """Runs one job in its own process group, in an attempt of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._hook: Any = None

    def bind(self, context: "Context", installation: Installation, output_uri: str) -> JobSpec:
        """The job's spec."""
        raise NotImplementedError

    def command(self, spec: JobSpec, around: Surroundings) -> Command:
        """What runs it."""
        raise NotImplementedError

    def environment(self, spec: JobSpec, installation: Installation) -> dict[str, str]:
        """What it runs in."""
        return installation.job_environment()

    outcome_model: type[Spec]

    def work(self, context: "Context", installation: Installation) -> dict[str, Any]:
        """Acquire, run, commit; or take over what an earlier attempt has finished."""
        ti, files = context["ti"], run_files(context, installation)
        task_uri = files.task_uri(self.task_id)
        work = Work(
            spec_hash=fingerprint(self.bind(context, installation, "")),
            code_version=code_version(),
        )
        # Clearing a task sets max_tries to the tries so far plus its retries: what was tried
        # before the last clear has smaller numbers than this.
        first = ti.max_tries - int(self.retries) + 1
        try:
            attempt = acquire(task_uri, ti.try_number, first, work)
            if attempt.reused:
                self.log.info("Attempt %s finished this very work: it is reused", attempt.number)
            else:
                self._run(attempt, context, installation)
                commit(attempt)
        except StaleAttemptError as error:
            self.log.error("%s", error)
            raise SystemExit(str(error)) from None
        outcome = store.read_model(store.join(attempt.uri, OUTCOME_FILE), self.outcome_model)
        return {"uri": attempt.uri, **headline(outcome)}

    def _run(self, attempt: Attempt, context: "Context", installation: Installation) -> None:
        from airflow.providers.standard.hooks.subprocess import SubprocessHook

        spec = self.bind(context, installation, attempt.uri)
        environment = self.environment(spec, installation)
        around = Surroundings(installation, read_master(installation), count_gpus(environment))
        command = self.command(spec, around)
        self.log.info("Starting %s", describe_command(command.argv))
        self._hook = SubprocessHook()
        done = self._hook.run_command(
            tie_to_parent(command.argv), env={**environment, **command.environment}
        )
        # What a job leaves behind in its group would go on writing.
        self.on_kill()
        if done.exit_code == 0:
            return
        try:
            # A launcher in between may end with another exit code than the job did.
            error = store.read_model(store.join(attempt.uri, ERROR_FILE), JobError)
        except FileNotFoundError:
            raise SystemExit(
                f"{self.task_id} ended with exit code {done.exit_code}: {done.output}"
            ) from None
        raise UserError(error.message)

    def on_kill(self) -> None:
        """End the job with all its processes."""
        process = getattr(self._hook, "sub_process", None)
        if process is not None:
            # The hook starts the job as the leader of a session, so of a group too.
            end_group(process.pid)


def read_master(installation: Installation) -> SparkMaster:
    """Spark's master from Airflow's connection, or from the settings where there is none."""
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

    try:
        connection = BaseHook.get_connection(SPARK_CONNECTION)
    except (AirflowNotFoundException, AirflowRuntimeError):
        return SparkMaster(master=installation.settings.spark_master)
    return read_spark_master(
        connection.host or installation.settings.spark_master, connection.port
    )


class JobOperator(_ProcessOperator):
    """One step of a training run."""

    def __init__(self, *, step: Step, **options: Any) -> None:
        options.setdefault("doc_md", step.doc)
        if step.heavy:
            options.setdefault("pool", HEAVY_POOL)
        super().__init__(task_id=step.task, **options)
        self.step = step
        self.outcome_model = step.outcome

    def bind(self, context: "Context", installation: Installation, output_uri: str) -> JobSpec:
        """From the plan and what the tasks before this one left."""
        files = run_files(context, installation)
        return self.step.bind(files.plan(), files, output_uri)

    def command(self, spec: JobSpec, around: Surroundings) -> Command:
        """By the step's own engine."""
        return self.step.command(spec, around)


class TrainOperator(JobOperator):
    """The training; links to its run in MLflow."""

    operator_extra_links = (MlflowLink(),)


class EvaluateOperator(JobOperator):
    """The evaluation; links to its report."""

    operator_extra_links = (ReportLink(),)


class ImportOperator(_ProcessOperator):
    """A tree of pictures into a dataset."""

    outcome_model = ImportOutcome

    def bind(self, context: "Context", installation: Installation, output_uri: str) -> JobSpec:
        """From the form."""
        request = read_form(ImportRequest, dict(context["params"]))
        return import_spec(
            request,
            installation.artifacts,
            source_uri=resolve_import(request.source, installation.settings.allowed_import_roots),
            actor=actor_of(context),
            output_uri=output_uri,
        )

    def command(self, spec: JobSpec, around: Surroundings) -> Command:
        """By Spark's own entry."""
        return submit_spark(spec, around)


class GateOperator(_Operator, SkipMixin):
    """Stops the run's tail, green, where the challenger must not go in service."""

    ui_color: ClassVar[str] = "#f5e6a8"

    def work(self, context: "Context", installation: Installation) -> dict[str, Any]:
        """Decide, write gate.json, and skip all that follows where the answer is no."""
        files = run_files(context, installation)
        request = files.plan().request
        decision = decide_gate(
            files.read("evaluate", EvaluateOutcome),
            min_accuracy=request.min_accuracy,
            deploy=request.deploy,
        )
        store.write_model(store.join(files.task_uri(self.task_id), GATE_FILE), decision)
        shown: dict[str, Any] = decision.model_dump(mode="json")
        if decision.passed:
            self.log.info("Passed. %s", decision.reason)
            return shown
        self.log.warning("Stopped here. %s", decision.reason)
        context["ti"].xcom_push(key="return_value", value=shown)
        self.skip(context["ti"], context["task"].get_flat_relatives(upstream=False))
        return shown
