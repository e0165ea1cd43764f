"""The gate in Airflow: what follows it, who is asked, and what an answer does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[3]
GREEN = dict.fromkeys(("plan", "etl", "train", "evaluate", "gate"), "success")
SKIPPED = "skipped"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, mongo_server: str) -> dict[str, dict[str, Any]]:
    """Each scenario of run_gate.py, run by Airflow's own scheduling in a process of its own."""
    folder = tmp_path_factory.mktemp("gate")
    output = folder / "found.json"
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("run_gate.py")), str(output)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(REPO),
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API_AUTH__JWT_SECRET": "long enough for a test" * 4,
            "MODELMILL_HOME": str(folder / "home"),
            "MODELMILL_HDFS_URI": (folder / "hdfs").as_uri(),
            "MODELMILL_MONGO_URI": mongo_server,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5_000:]
    answer: dict[str, dict[str, Any]] = json.loads(output.read_text())
    return answer


@pytest.mark.parametrize(
    ("name", "ask", "tail", "words"),
    [
        ("first", SKIPPED, "success", "no champion"),
        ("worse", SKIPPED, SKIPPED, "clearly worse"),
        ("approved", "success", "success", "approved it."),
        ("rejected", "success", SKIPPED, "rejected it."),
        ("unanswered", "success", SKIPPED, "Nobody answered within 24 hours"),
        ("kept", SKIPPED, SKIPPED, "on_unsure: keep"),
    ],
)
def test_what_follows_the_gate(
    found: dict[str, dict[str, Any]], name: str, ask: str, tail: str, words: str
) -> None:
    seen = found[name]
    assert seen["states"] == {**GREEN, "ask": ask, "build_image": tail, "deploy": tail}
    assert seen["result"]["state"] == ("stopped_by_gate" if tail == SKIPPED else "success")
    assert words in seen["result"]["reason"]
    assert seen["result"]["question_uri"] is None


@pytest.mark.parametrize("name", ["approved", "rejected", "unanswered"])
def test_a_run_that_asks_says_so_meanwhile(found: dict[str, dict[str, Any]], name: str) -> None:
    (waiting,) = found[name]["asked"]
    assert waiting["state"] == "waits_for_answer"
    assert "may be chance" in waiting["reason"]
    assert waiting["question_uri"].endswith("/required_actions")
    assert "boards" in waiting["question"]["subject"]
    body = waiting["question"]["body"]
    for words in ("0.9412", "0.7500", waiting["report_uri"], waiting["run_id"], "24 hours"):
        assert words in body


@pytest.mark.parametrize("name", ["first", "worse", "kept"])
def test_nobody_is_asked_in_vain(found: dict[str, dict[str, Any]], name: str) -> None:
    assert found[name]["asked"] == []


@pytest.mark.parametrize(
    ("name", "who", "answered_by"),
    [
        ("worse", "ada", None),
        ("kept", "ada", None),
        ("rejected", "Anonymous", "Anonymous"),
        ("unanswered", "nobody", ""),
    ],
)
def test_each_refusal_is_in_the_deployments_history(
    found: dict[str, dict[str, Any]], database: Any, name: str, who: str, answered_by: str | None
) -> None:
    result = found[name]["result"]
    (event,) = database["deployment_events"].find({"run_id": result["run_id"]})
    assert (event["deployment"], event["who"], event["why"]) == ("boards", who, result["reason"])
    assert (event["from_version"], event["to_version"]) == (2, 2)
    assert event["gate"]["answered_by"] == answered_by
    assert event["gate"]["compared_samples"] == 153


@pytest.mark.parametrize("name", ["first", "approved"])
def test_what_goes_in_is_written_down_by_the_deployment(
    found: dict[str, dict[str, Any]], database: Any, name: str
) -> None:
    run_id = found[name]["result"]["run_id"]
    assert database["deployment_events"].count_documents({"run_id": run_id}) == 0


FROZEN = (
    "Deployment 'boards' is frozen at version 2: freeze by ada, 2025-02-28 09:30 UTC (wrong light)."
    " ./modelmill release boards lets new versions in again."
)


@pytest.mark.parametrize(
    ("name", "image", "state"),
    [
        ("frozen", SKIPPED, "success"),
        ("frozen, unsure", SKIPPED, "stopped_by_gate"),
        ("frozen late", "success", "success"),
    ],
)
def test_a_frozen_deployment_ends_the_run_green_and_says_who_froze_it(
    found: dict[str, dict[str, Any]], name: str, image: str, state: str
) -> None:
    seen = found[name]
    assert seen["states"] == {**GREEN, "ask": SKIPPED, "build_image": image, "deploy": SKIPPED}
    assert seen["result"]["state"] == state
    assert seen["result"]["reason"].endswith(FROZEN)
    assert seen["asked"] == []
    assert seen["refusal"]["action"] == "refuse"
    assert seen["refusal"]["why"].endswith(FROZEN)


def test_what_is_let_in_leaves_no_refusal(found: dict[str, dict[str, Any]]) -> None:
    assert found["first"]["refusal"]["action"] is None
    assert found["worse"]["refusal"]["action"] == "refuse"
