"""An answer and its decision, the question's words, and the commands that answer."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from pipelines.airflow_api import AirflowApi, DagRun
from pipelines.artifacts import Artifacts
from pipelines.context import RunFiles
from pipelines.gate.answer import Answer, settle
from pipelines.gate.decision import GateDecision
from pipelines.gate.files import ASK, read_decision, read_question, write_answer, write_decision
from pipelines.gate.question import escape_markdown, write_question
from serving.job.errors import UserError
from tests.pipelines.literals import EVALUATE, GATE, RUN_ID

AT = datetime(2025, 3, 2, tzinfo=UTC)
ASKING = GateDecision(
    passed=False, good_enough=False, asks=True, reason="It may be chance.", numbers=GATE.numbers
)
RUN = DagRun(
    dag_id="modelmill_train",
    dag_run_id="manual__2025-03-01T02:00:00+00:00",
    state="running",
    run_type="manual",
    run_after=AT,
)


def make_answer(*, approved: bool, who: str = "ada", to: GateDecision = ASKING) -> Answer:
    return Answer(asked=to.fingerprint(), approved=approved, who=who, at=AT)


@pytest.mark.parametrize(
    ("approved", "who", "words"),
    [
        (True, "ada", "It may be chance. ada approved it."),
        (False, "ada", "It may be chance. ada rejected it."),
        (False, "", "It may be chance. Nobody answered within 24 hours, which is a no."),
    ],
)
def test_an_answer_settles_it(approved: bool, who: str, words: str) -> None:
    settled = settle(ASKING, make_answer(approved=approved, who=who))
    assert (settled.passed, settled.good_enough, settled.asks) == (approved, approved, False)
    assert settled.reason == words
    assert settled.numbers.answered_by == who


def test_an_answer_to_another_question_settles_nothing() -> None:
    other = ASKING.model_copy(update={"reason": "It may still be chance."})
    assert settle(ASKING, make_answer(approved=True, to=other)) == ASKING
    assert settle(ASKING, None) == ASKING
    assert settle(GATE, make_answer(approved=False, to=GATE)) == GATE


def test_a_runs_decision_is_read_with_its_answer(tmp_path: Path) -> None:
    artifacts = Artifacts(hdfs=tmp_path.as_uri(), scratch=tmp_path.as_uri())
    files = RunFiles(artifacts=artifacts, run_id=RUN_ID)
    with pytest.raises(FileNotFoundError):
        read_decision(files)
    write_decision(files, ASKING)
    assert read_decision(files).asks
    write_answer(files, make_answer(approved=True))
    assert read_decision(files).passed
    assert read_question(files) == ASKING
    write_decision(files, GATE)
    assert read_decision(files) == GATE


def test_the_question_shows_both_models_and_what_follows() -> None:
    subject, body = write_question(
        ASKING, EVALUATE, run_id=RUN_ID, deployment="boards", report_uri="http://c/report"
    )
    assert "boards" in subject
    for words in (
        "It may be chance.",
        "| accuracy | 0.7500 | 0.5000 |",
        "in service (version 2)",
        "**钢**, recall 0.5000 on 2",
        "[Report](http://c/report)",
        f"`./modelmill approve {RUN_ID}`",
        "24 hours",
    ):
        assert words in body


def test_a_class_name_cannot_write_markdown() -> None:
    assert escape_markdown("<b>|[x](http://y)\n*z*") == r"\<b\>\|\[x\](http://y) \*z\*"


def test_an_answer_reaches_the_task_that_asks() -> None:
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(409 if len(sent) > 1 else 200, json={"detail": "already updated"})

    with httpx.Client(base_url="http://a", transport=httpx.MockTransport(handle)) as client:
        api = AirflowApi(client)
        api.answer(RUN, ASK, "Approve")
        assert sent[0].method == "PATCH"
        assert sent[0].url.path.endswith("/taskInstances/ask/-1/hitlDetails")
        assert b'"Approve"' in sent[0].content
        with pytest.raises(UserError, match="already updated"):
            api.answer(RUN, ASK, "Reject")
