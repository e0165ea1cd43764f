"""The tab that a run's page in Airflow has: Airflow loads it, and it leads to the report."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from pipelines.artifacts import make_run_id
from pipelines.local.configuration import PLUGIN_SOURCE
from pipelines.pages import locate_report

REPO = Path(__file__).parents[2]
DAG, RUN = "modelmill_nightly__boards", "scheduled__2025-03-01T12:00:00+00:00"


def test_the_tab_of_a_run_leads_to_its_report(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "modelmill_plugin.py").write_text(PLUGIN_SOURCE)
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("load_plugin.py")), DAG, RUN],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(REPO),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
            "MODELMILL_HOME": str(tmp_path),
            "MODELMILL_PORT_CONSOLE": "4711",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == []
    view = found["view"]
    assert (view["destination"], view["url_route"]) == ("dag_run", "modelmill-report")
    run_id = make_run_id(DAG, RUN, datetime(2025, 3, 1, 12, 0, tzinfo=UTC))
    report = locate_report("http://127.0.0.1:4711", run_id)
    assert found["answers"] == [[307, report], [404, ""]]
