"""Tags and the description of a run in a real MLflow."""

import requests

from spark_jobs.tracking import NOTE_TAG, MlflowRun


def read_tags(server: str, run_id: str) -> dict[str, str]:
    asked = {"run_id": run_id}
    answer = requests.get(f"{server}/api/2.0/mlflow/runs/get", params=asked, timeout=60)
    return {tag["key"]: tag["value"] for tag in answer.json()["run"]["data"].get("tags", ())}


def test_a_tag_is_replaced_and_a_description_is_not(mlflow_server: str, mlflow_run: str) -> None:
    for address in ("http://127.0.0.1:8090/a", "http://127.0.0.1:8090/b"):
        run = MlflowRun(mlflow_run)
        run.set_tags({"modelmill.report": address})
        run.describe(f"[Report]({address})")
    tags = read_tags(mlflow_server, mlflow_run)
    assert tags["modelmill.report"] == "http://127.0.0.1:8090/b"
    assert tags[NOTE_TAG] == "[Report](http://127.0.0.1:8090/a)"


def test_what_a_person_wrote_stays(mlflow_server: str, mlflow_run: str) -> None:
    MlflowRun(mlflow_run).set_tags({NOTE_TAG: "With the new lamp."})
    MlflowRun(mlflow_run).describe("[Report](http://127.0.0.1:8090/a)")
    assert read_tags(mlflow_server, mlflow_run)[NOTE_TAG] == "With the new lamp."
    MlflowRun(mlflow_run).set_tags({NOTE_TAG: " "})
    MlflowRun(mlflow_run).describe("[Report](http://127.0.0.1:8090/a)")
    assert read_tags(mlflow_server, mlflow_run)[NOTE_TAG].startswith("[Report]")
