"""A preset is a scheduled DAG, and its schedule really fires."""

import time

import httpx

from pipelines.local.configuration import read_admin_password
from pipelines.local.layout import read_layout
from tests.integration.stack import Stack

PRESET = """\
title: Every minute
cron: "* * * * *"
paused: false
request:
  dataset: {dataset}
  deploy: false
  max_epochs: 5
"""


def airflow(stack: Stack) -> httpx.Client:
    """A signed-in client of Airflow's API."""
    password = read_admin_password(read_layout(stack.settings))
    address = stack.settings.airflow_address
    token = httpx.post(
        f"{address}/auth/token", json={"username": "admin", "password": password}
    ).json()["access_token"]
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"})


def test_scheduled_run_fires(stack: Stack, imported: str) -> None:
    folder = stack.settings.own_presets
    folder.mkdir(exist_ok=True)
    preset = folder / "minutely.yaml"
    dag_id = "modelmill_nightly__minutely"
    with airflow(stack) as client:
        preset.write_text(PRESET.format(dataset=imported))
        try:
            end = time.monotonic() + 300
            while time.monotonic() < end:
                answer = client.get(f"/api/v2/dags/{dag_id}/dagRuns")
                runs = answer.json()["dag_runs"] if answer.status_code == 200 else []
                done = [run for run in runs if run["state"] in ("success", "failed")]
                if done:
                    break
                time.sleep(2)
            assert done, "no scheduled run ended within five minutes"
            assert done[0]["run_type"] == "scheduled"
            assert done[0]["state"] == "success"
        finally:
            client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": True})
            preset.unlink()


def test_shipped_preset_is_there_and_paused(stack: Stack) -> None:
    with airflow(stack) as client:
        found = client.get("/api/v2/dags/modelmill_nightly__digits").json()
    assert found["is_paused"] is True
    assert found["timetable_description"]
