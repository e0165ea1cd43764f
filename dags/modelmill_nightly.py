"""### Scheduled training

One DAG per preset: a YAML file in `pipelines/presets/`, or in the folder of the setting
`MODELMILL_PRESETS`. The file's name is the end of the DAG's name; adding a file adds a DAG. Its
tasks are those of `modelmill_train`, filled in with the preset's values; where the test side cannot
tell whether a model is worse, the one in service stays, unless the preset says otherwise.
"""

import hashlib
import re

from airflow.sdk import DAG

from pipelines.form import make_params
from pipelines.presets import SHIPPED, PresetError, list_presets, read_preset
from pipelines.request import RunRequest
from pipelines.settings import read_settings
from pipelines.tasks.decisions import RefuseOperator
from pipelines.tasks.flows import add_training


def name_dag(preset: str) -> str:
    """A file may be called anything; a DAG may not. A changed name gets a hash, to stay apart."""
    name = re.sub("[^A-Za-z0-9_-]", "_", preset)[:60]
    if name != preset:
        name = f"{name}_{hashlib.sha256(preset.encode()).hexdigest()[:6]}"
    return f"modelmill_nightly__{name}"


for name, path in list_presets(SHIPPED, read_settings().own_presets).items():
    dag_id = name_dag(name)
    try:
        preset = read_preset(path)
    except PresetError as error:
        # One bad file must not hide the others' DAGs.
        with DAG(
            dag_id=dag_id,
            dag_display_name=f"{name}: cannot be used",
            description=str(error),
            doc_md=f"### This preset cannot be used\n\n{error}",
            schedule=None,
            tags=["modelmill", "nightly", "broken"],
        ):
            RefuseOperator(task_id="preset", reason=str(error))
    else:
        with DAG(
            dag_id=dag_id,
            dag_display_name=preset.title,
            description=f"Nightly training on {preset.request.dataset}",
            doc_md=__doc__,
            schedule=preset.cron,
            catchup=False,
            max_active_runs=1,
            is_paused_upon_creation=preset.paused,
            params=make_params(RunRequest, preset.request.model_dump(mode="json")),
            tags=["modelmill", "nightly"],
        ):
            add_training()
