"""Links from Airflow's pages to MLflow and to the reports."""

from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

from pipelines.pages import locate_report
from pipelines.settings import read_settings
from pipelines.tasks.links import MlflowLink, ReportLink

if TYPE_CHECKING:
    from fastapi import FastAPI

# Where Airflow serves the redirects of this plugin.
PREFIX = "/modelmill"


def make_redirects() -> "FastAPI":
    """/report/DAG/RUN → the console's page: Airflow's run ids are not ours, nor HDFS's."""
    from fastapi import FastAPI, HTTPException
    from fastapi.responses import RedirectResponse

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/report/{dag_id}/{airflow_run_id}")
    def report(dag_id: str, airflow_run_id: str) -> RedirectResponse:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        from pipelines.artifacts import make_run_id

        with create_session() as session:
            query = session.query(DagRun.run_after)
            found = query.filter_by(dag_id=dag_id, run_id=airflow_run_id).one_or_none()
        if found is None:
            raise HTTPException(404, f"Airflow knows no run {airflow_run_id} of {dag_id}.")
        run_id = make_run_id(dag_id, airflow_run_id, found[0])
        return RedirectResponse(locate_report(read_settings().console_address, run_id))

    return app


class ModelmillPlugin(AirflowPlugin):
    """What Airflow loads."""

    name = "modelmill"
    fastapi_apps = [{"app": make_redirects(), "url_prefix": PREFIX, "name": "modelmill links"}]
    external_views = [
        {
            "name": "Report",
            "href": f"{PREFIX}/report/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            # Without a route of its own Airflow shows no tab.
            "url_route": "modelmill-report",
        }
    ]
    operator_extra_links = [MlflowLink(), ReportLink()]
