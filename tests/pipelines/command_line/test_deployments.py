"""./modelmill deployments: what serves, and who did what to it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.command_line.deciding import read_rollout
from pipelines.gate.audit import record_refusal
from pipelines.gate.decision import decide_gate
from pipelines.request import RunRequest
from serving.job.mongo import MONGO_VARIABLE
from tests.pipelines.conftest import Run
from tests.pipelines.literals import EVALUATE

RUN = "20260101t000000-abcdef"


@pytest.fixture
def boards(database: Any, dataset: str, mongo_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(MONGO_VARIABLE, mongo_server)
    database["deployments"].insert_one(
        {
            "_id": dataset,
            "version": 2,
            "replaced_version": 1,
            "image_tag": "",
            "bundle_uri": "file:///nowhere",
            "port": 8811,
            "generation": 2,
        }
    )
    database["deployment_events"].insert_one(
        {
            "deployment": dataset,
            "generation": 2,
            "at": datetime(2026, 1, 2, tzinfo=UTC),
            "who": "ada",
            "why": "better",
            "from_version": 1,
            "to_version": 2,
        }
    )
    return dataset


def test_refusals_stand_among_what_was_deployed(run: Run, boards: str) -> None:
    request = RunRequest(dataset="boards", min_accuracy=1.0)
    decision = decide_gate(EVALUATE.model_copy(update={"accuracy": 0.5}), request)
    record_refusal(boards, RUN, decision, who="bob")
    done = run("deployments", boards, "--json")
    assert done.code == 0, done.err
    (found,) = json.loads(done.out)["deployments"]
    assert (found["version"], found["version_before"]) == (2, 1)
    refused, deployed = found["events"]
    assert (refused["action"], refused["who"]) == ("refuse", "bob")
    assert refused["generation"] is None
    assert (deployed["action"], deployed["from_version"], deployed["to_version"]) == (
        "deploy",
        1,
        2,
    )
    shown = run("deployments", boards).out
    assert "refuse" in shown
    assert "below the floor" in shown


def test_a_canary_is_shown(run: Run, boards: str, database: Any) -> None:
    since = datetime.now(UTC) - timedelta(seconds=59)
    canary = {"version": 3, "percent": 20, "minutes": 5.0, "since": since, "request_id": "r"}
    database["deployments"].update_one({"_id": boards}, {"$set": {"canary": canary}})
    shown = run("deployments", boards).out
    assert "tries version 3 with 20 % of the requests, for 4.0 minutes more" in shown
    (found,) = json.loads(run("deployments", boards, "--json").out)["deployments"]
    assert (found["canary"]["version"], found["canary"]["percent"]) == (3, 20)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("replica=3", "allowed are: replicas=…, canary_percent=…, canary_minutes=…"),
        ("replicas", "allowed are: replicas="),
        ("replicas=0", "greater than or equal to 1"),
        ("replicas=many", "valid integer"),
        ("canary_percent=99", "less than or equal to 50"),
        ("canary_minutes=0", "greater than 0"),
    ],
)
def test_settings_that_cannot_be(run: Run, setting: str, words: str) -> None:
    done = run("deploy", "boards", "--set", "canary_percent=0", "--set", setting)
    assert done.code == 2
    assert words in done.err


def test_several_settings_at_once() -> None:
    found = read_rollout(("replicas=3", "canary_percent=0", "canary_minutes=0.5"))
    assert found == {"replicas": 3, "canary_percent": 0, "canary_minutes": 0.5}
