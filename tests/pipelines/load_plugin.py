"""Run in a process of its own: what Airflow's pages get of the plugin, and where its tab leads.

load_plugin.py DAG RUN: both as Airflow names them. Prints JSON. AIRFLOW_HOME is a fresh folder.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import httpx
from airflow import plugins_manager, settings
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun

AT = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def add_run(dag_id: str, run_id: str) -> None:
    """A run as Airflow keeps it."""
    import_all_models()  # type: ignore[no-untyped-call]
    engine = settings.engine
    assert engine is not None
    Base.metadata.create_all(engine)
    row: dict[str, Any] = {"dag_id": dag_id, "run_id": run_id, "run_after": AT, "clear_number": 0}
    row |= {"run_type": "manual", "state": "success", "scheduled_by_job_id": None}
    with engine.begin() as connection:
        connection.execute(DagRun.__table__.insert().values(**row))


async def ask(app: Any, path: str) -> httpx.Response:
    """As Airflow's server has the plugin's app asked."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        return await client.get(path)


def main(dag_id: str, run_id: str) -> None:
    add_run(dag_id, run_id)
    plugins_manager.ensure_plugins_loaded()
    (plugin,) = (one for one in plugins_manager.get_plugin_info() if one["name"] == "modelmill")
    (view,) = plugin["external_views"]
    apps, _ = plugins_manager.get_fastapi_plugins()
    (mounted,) = (one for one in apps if one["name"] == "modelmill links")
    answers = []
    for run in (run_id, "unheard-of"):
        href = view["href"].replace("{DAG_ID}", dag_id).replace("{RUN_ID}", run)
        assert href.startswith(mounted["url_prefix"])
        answer = asyncio.run(ask(mounted["app"], href.removeprefix(mounted["url_prefix"])))
        answers.append([answer.status_code, answer.headers.get("location", "")])
    errors = list(plugins_manager.get_import_errors())
    print(json.dumps({"view": view, "answers": answers, "errors": errors}))


if __name__ == "__main__":
    main(*sys.argv[1:])
