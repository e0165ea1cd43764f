"""./modelmill deployments: what serves, and who did what to it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

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
