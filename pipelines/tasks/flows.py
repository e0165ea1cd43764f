"""How the tasks of a DAG follow one another."""

from airflow.sdk import TriggerRule, chain

from pipelines.gate.files import ASK, GATE
from pipelines.predict_request import PREDICT_TASK
from pipelines.steps import BUILD_IMAGE, DEPLOY, ETL, EVALUATE, PLAN, TRAIN
from pipelines.tasks.asking import AskOperator
from pipelines.tasks.decisions import GateOperator, PlanOperator
from pipelines.tasks.deploying import DeployOperator
from pipelines.tasks.jobs import EvaluateOperator, ImportOperator, JobOperator
from pipelines.tasks.predict import PredictOperator
from pipelines.tasks.publish import PublishOperator
from pipelines.tasks.training import TrainOperator


def add_training() -> None:
    """Add the tasks of a training run to the DAG at hand."""
    plan = PlanOperator(
        task_id=PLAN, doc_md="Checks the form, and decides everything before the first job."
    )
    gate = GateOperator(
        task_id=GATE, doc_md="Is it good enough, and no worse than what serves now?"
    )
    ask = AskOperator(
        task_id=ASK,
        doc_md="A person approves or rejects what the test side cannot tell; skipped otherwise.",
    )
    # After an ask that was skipped, the run goes on.
    image = JobOperator(step=BUILD_IMAGE, trigger_rule=TriggerRule.NONE_FAILED)
    chain(
        plan,
        JobOperator(step=ETL),
        TrainOperator(step=TRAIN),
        EvaluateOperator(step=EVALUATE),
        gate,
        ask,
        image,
        DeployOperator(step=DEPLOY),
    )
    # So that an image which is cleared after the gate said no is not built all the same.
    gate >> image


def add_import() -> None:
    """Add the one task of an import to the DAG at hand."""
    ImportOperator(
        task_id="import",
        doc_md="Bytes into HDFS, labels into MongoDB; what cannot be used is listed with a reason.",
    )


def add_publishing() -> None:
    """Add the one task of a decision about a deployment to the DAG at hand."""
    PublishOperator(task_id="publish")


def add_predicting() -> None:
    """Add the one task of a batch prediction to the DAG at hand."""
    PredictOperator(task_id=PREDICT_TASK)
