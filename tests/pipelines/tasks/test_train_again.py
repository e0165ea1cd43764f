"""The training's operator starts nothing where an earlier run has trained on the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.pipelines.mlflow_server import serve_mlflow

REPO = Path(__file__).parents[3]


def test_the_second_run_starts_nothing_and_a_cleared_one_does(tmp_path: Path) -> None:
    script = Path(__file__).with_name("train_thrice.py")
    with serve_mlflow() as (address, _):
        done = subprocess.run(
            [sys.executable, "-P", str(script), address, str(tmp_path)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(REPO),
                "AIRFLOW_HOME": str(tmp_path / "airflow"),
                "MODELMILL_HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    first, second, cleared = answer["given"]
    assert answer["started"] == 2
    page = "http://127.0.0.1:8080/dags/modelmill_train/runs"
    assert answer["addresses"] == [f"{page}/run-1", f"{page}/run-3"]
    assert (first["reused_from"], cleared["reused_from"]) == ("", "")
    assert second["reused_from"] == first["run"]
    assert second["bundle_uri"] == first["bundle_uri"]
    assert f"run {first['run']}: its model is taken" in done.stdout + done.stderr
