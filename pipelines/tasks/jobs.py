"""The tasks that run a job: its process group, its attempt, its commit."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from pipelines.attempts import Attempt, StaleAttemptError, Work, acquire, commit
from pipelines.code import code_version
from pipelines.commands import (
    Command,
    describe_command,
    python_command,
)
from pipelines.connections import ENVIRONMENT_PREFIX
from pipelines.context import Installation, headline
from pipelines.devices import count_gpus
from pipelines.form import read_form
from pipelines.import_request import ImportRequest
from pipelines.nodes.watch import Watch
from pipelines.pages import locate_report
from pipelines.plan import import_collection_spec, import_spec
from pipelines.planning import resolve_import
from pipelines.process import end_group, tie_to_parent
from pipelines.steps import HEAVY_POOL, Step, Surroundings, submit_spark
from pipelines.tasks.base import RETRIES, Operator, actor_of, end_with_reason, run_files
from pipelines.tasks.connections import read_master, read_mongo_uri
from pipelines.tasks.links import ReportLink
from serving.job import store
from serving.job.errors import UserError
from serving.job.spec import ERROR_FILE, OUTCOME_FILE, JobError, JobSpec, Spec
from spark_jobs.spec import SOURCE_MONGO_VARIABLE, ImportCollectionSpec, ImportOutcome

if TYPE_CHECKING:
    from airflow.sdk import Context


class ProcessOperator(Operator):
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

    def secrets(self, context: "Context") -> dict[str, str]:  # noqa: ARG002 - for who overrides it
        """Environment variables for this job alone: what no spec, argv or log may hold."""
        return {}

    def locate(self, outcome: Spec, installation: Installation, run_id: str) -> str:  # noqa: ARG002 - for who overrides it
        """Address of the page that shows what came out; empty where there is none."""
        return ""

    def find_finished(self, spec: JobSpec, installation: Installation) -> Spec | None:  # noqa: ARG002 - for who overrides it
        """What another run's equal work has left; None where there is none."""
        return None

    def remember(self, spec: JobSpec, installation: Installation) -> None:
        """Let other runs find this one's work, which is committed."""

    def accompany(
        self,
        spec: JobSpec,  # noqa: ARG002 - for who overrides it
        around: Surroundings,  # noqa: ARG002 - as above
    ) -> AbstractContextManager[Watch | None]:
        """What goes on beside the job, and may end it."""
        return nullcontext()

    outcome_model: type[Spec]
    shown_at = ""

    def work(self, context: "Context", installation: Installation) -> dict[str, Any]:
        """Acquire, run, commit; or take over what an earlier attempt has finished."""
        ti, files = context["ti"], run_files(context, installation)
        task_uri = files.task_uri(self.task_id)
        work = Work(
            spec_hash=self.bind(context, installation, "").fingerprint_work(),
            code_version=code_version(),
        )
        # Clearing a task sets max_tries to the tries so far plus its retries: what was tried
        # before the last clear has smaller numbers than this.
        first = ti.max_tries - RETRIES + 1
        try:
            attempt = acquire(task_uri, ti.try_number, first, work)
            if attempt.reused:
                self.log.info("Attempt %s finished this very work: it is reused", attempt.number)
            else:
                self._work_anew(attempt, context, installation, cleared=first > 1)
        except StaleAttemptError as error:
            end_with_reason(self, context, str(error), SystemExit)
        outcome = store.read_model(store.join(attempt.uri, OUTCOME_FILE), self.outcome_model)
        self.shown_at = self.locate(outcome, installation, files.run_id)
        return {"uri": attempt.uri, **headline(outcome)}

    def _work_anew(
        self, attempt: Attempt, context: "Context", installation: Installation, *, cleared: bool
    ) -> None:
        """Run and commit. Who clears a task wants it done, whatever other runs have left."""
        spec = self.bind(context, installation, attempt.uri)
        found = None if cleared else self.find_finished(spec, installation)
        if found is not None:
            store.write_model(store.join(attempt.uri, OUTCOME_FILE), found)
            commit(attempt)
            return
        self._run(spec, attempt, context, installation)
        commit(attempt)
        self.remember(spec, installation)

    def _run(
        self, spec: JobSpec, attempt: Attempt, context: "Context", installation: Installation
    ) -> None:
        from airflow.providers.standard.hooks.subprocess import SubprocessHook

        environment = installation.job_environment(self.secrets(context))
        around = Surroundings(installation, read_master(installation), count_gpus(environment))
        command = self.command(spec, around)
        self.log.info("Starting %s", describe_command(command.argv))
        self._hook = SubprocessHook()
        with self.accompany(spec, around) as watch:
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
            if watch is not None and isinstance(watch.problem, UserError):
                raise watch.problem from None
            if watch is not None and watch.problem is not None:
                end_with_reason(self, context, str(watch.problem), SystemExit)
            reason = f"{self.task_id} ended with exit code {done.exit_code}: {done.output}"
            end_with_reason(self, context, reason, SystemExit)
        raise UserError(error.message)

    def on_kill(self) -> None:
        """End the job with all its processes."""
        process = getattr(self._hook, "sub_process", None)
        if process is not None:
            # The hook starts the job as the leader of a session, so of a group too.
            end_group(process.pid)


class JobOperator(ProcessOperator):
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


class EvaluateOperator(JobOperator):
    """The evaluation; links to its report."""

    operator_extra_links = (ReportLink(),)

    def bind(self, context: "Context", installation: Installation, output_uri: str) -> JobSpec:
        """With the address of the report's page, to which the run in MLflow links."""
        spec, files = (
            super().bind(context, installation, output_uri),
            run_files(context, installation),
        )
        found = locate_report(installation.settings.console_address, files.run_id)
        return spec.model_copy(update={"report_address": found})

    def locate(self, outcome: Spec, installation: Installation, run_id: str) -> str:  # noqa: ARG002 - as the base has it
        """The report's page in the console."""
        return locate_report(installation.settings.console_address, run_id)


class ImportOperator(ProcessOperator):
    """A folder, a table or a collection of pictures into a dataset."""

    outcome_model = ImportOutcome

    def __init__(self, **options: Any) -> None:
        options.setdefault("pool", HEAVY_POOL)
        super().__init__(**options)

    def bind(self, context: "Context", installation: Installation, output_uri: str) -> JobSpec:
        """From the form."""
        request = read_form(ImportRequest, dict(context["params"]))
        artifacts, actor = installation.artifacts, actor_of(context)
        if request.mongo_connection:
            return import_collection_spec(request, artifacts, actor=actor, output_uri=output_uri)
        source_uri = resolve_import(request.source, installation.settings.allowed_import_roots)
        return import_spec(
            request, artifacts, source_uri=source_uri, actor=actor, output_uri=output_uri
        )

    def secrets(self, context: "Context") -> dict[str, str]:
        """The address of the user's MongoDB."""
        connection = read_form(ImportRequest, dict(context["params"])).mongo_connection
        if connection.startswith(ENVIRONMENT_PREFIX):
            # A form could otherwise look into this process's environment.
            raise UserError(
                f"mongo_connection was {connection!r}, but the form takes the id of an Airflow "
                "connection; env:VARIABLE is for ./modelmill import."
            )
        return {SOURCE_MONGO_VARIABLE: read_mongo_uri(connection)} if connection else {}

    def command(self, spec: JobSpec, around: Surroundings) -> Command:
        """A collection through Spark; files in one process, which starts no Spark session."""
        if isinstance(spec, ImportCollectionSpec):
            return submit_spark(spec, around)
        return python_command(around.installation.layout, "spark_jobs.main", spec)
