"""### Train a model and put it in service

**What you need:** a dataset (see `modelmill_import`); its name is enough, every other field of the
form has a default that suits most data.

| task | what it does |
|---|---|
| `plan` | checks the form and writes down everything that is decided beforehand |
| `etl` | a snapshot of the labels, checked pictures, their features, three sides (Spark) |
| `train` | a model on the train side, stopped early by the val side (Paddle, MLflow) |
| `evaluate` | the model on the test side, which no training has seen, and a report (Spark) |
| `gate` | stops here, green, when the model misses a floor or a limit, or is clearly worse |
| `ask` | waits for your *Approve* or *Reject* where the test side cannot tell; skipped otherwise |
| `build_image` | the model as a serving image (Docker) |
| `deploy` | real test samples first, then traffic |

**Where to look:** the report is on the run's page (tab *Report*) and on the task `evaluate`;
curves and parameters are in MLflow, linked from the task `train`. A failed task's last log line
says what to do. A retry reuses finished work; clearing a task makes it anew. Where data and
settings are those of an earlier run, nothing is trained, and the run says so.
"""

from airflow.sdk import DAG

from pipelines.form import make_params
from pipelines.request import RunRequest
from pipelines.tasks.flows import add_training

with DAG(
    dag_id="modelmill_train",
    dag_display_name="Train a model",
    description="From a dataset to a tested model behind an API",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    params=make_params(RunRequest),
    tags=["modelmill"],
):
    add_training()
