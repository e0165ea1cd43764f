"""Addresses of the pages that show a run to a person."""

from urllib.parse import quote


def locate_report(console_address: str, run_id: str) -> str:
    """The run's report in the console."""
    return f"{console_address}/runs/{run_id}/report"


def locate_mlflow_run(mlflow_address: str, mlflow_run_id: str) -> str:
    """The run's page in MLflow, whose path names the experiment too."""
    import httpx

    answer = httpx.get(
        f"{mlflow_address}/api/2.0/mlflow/runs/get", params={"run_id": mlflow_run_id}, timeout=10
    )
    if answer.status_code != httpx.codes.OK:
        return mlflow_address
    experiment = answer.json()["run"]["info"]["experiment_id"]
    return f"{mlflow_address}/#/experiments/{experiment}/runs/{mlflow_run_id}"


def locate_question(airflow_address: str, dag_id: str, dag_run_id: str) -> str:
    """Where a person answers what a run asks, in Airflow."""
    return f"{locate_airflow_run(airflow_address, dag_id, dag_run_id)}/required_actions"


def locate_airflow_run(airflow_address: str, dag_id: str, dag_run_id: str) -> str:
    """The run's page in Airflow."""
    return f"{airflow_address}/dags/{dag_id}/runs/{quote(dag_run_id, safe='')}"
