"""A preset is a scheduled DAG, and its schedule really fires."""

import time
from collections.abc import Iterator

import pytest

from pipelines.airflow_api import AirflowApi, DagRun, open_airflow
from pipelines.local.configuration import ADMIN, read_admin_password
from pipelines.local.layout import read_layout
from tests.integration.stack import Stack

PRESET = """\
title: Every minute
cron: "* * * * *"
paused: false
request:
  dataset: {dataset}
  deploy: false
  budget_minutes: 1
"""


@pytest.fixture
def airflow(stack: Stack) -> Iterator[AirflowApi]:
    password = read_admin_password(read_layout(stack.settings))
    with open_airflow(stack.settings, ADMIN, password) as api:
        yield api


def test_scheduled_run_fires(stack: Stack, imported: str, airflow: AirflowApi) -> None:
    folder = stack.settings.own_presets
    folder.mkdir(exist_ok=True)
    preset = folder / "minutely.yaml"
    dag_id = "modelmill_nightly__minutely"
    preset.write_text(PRESET.format(dataset=imported))
    try:
        end = time.monotonic() + 400
        done: list[DagRun] = []
        # The first one may be for a minute before the import, and then finds nothing to train on.
        while not done:
            assert time.monotonic() < end, "no scheduled run has ended well"
            time.sleep(2)
            runs = airflow.list_runs(dag_id, 10)
            done = [run for run in runs if run.state == "success"]
        airflow.set_paused(dag_id, paused=True)
        assert done[0].run_type == "scheduled"
    finally:
        preset.unlink()


def test_shipped_preset_is_there_and_paused(airflow: AirflowApi) -> None:
    found = airflow.find_dag("modelmill_nightly__digits")
    assert found
    assert found.is_paused
    assert found.timetable_description
