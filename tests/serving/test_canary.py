"""Canaries in real containers behind HAProxy, under load: promoted, sent away, ended, resumed."""

import os
import re
import signal
import threading
import time
from datetime import timedelta
from functools import partial

import pytest
import requests

from serving import environment
from serving import publish as publishing
from serving.deploy import deploy
from serving.desired import DesiredState
from serving.job.errors import UserError
from serving.reconcile import reconcile
from serving.sandbox import find_containers
from serving.spec import DeployOutcome, PublishOutcome, PublishSpec
from serving.tokens import add_token, locate_tokens
from tests.serving.load import run_load
from tests.serving.shops import Background, Shop, run_driver
from tests.serving.tiny import make_failing_network, make_slow_at_grey_network

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("stores")]


def test_good_canary_is_promoted_and_costs_nothing(shop: Shop) -> None:
    shop.open(seconds=6, percent=20)
    spec = shop.register(sign=-1)
    with run_load(f"http://127.0.0.1:{shop.state().port}", callers=2, kept=1) as load:
        work = Background(lambda: deploy(spec))
        shop.wait_for_canary()
        before = load.answers.copy()
        time.sleep(4)
        while_tried = load.answers - before
        outcome = work.wait()
        load.wait_for_more("dark")
    assert load.failures == []
    assert isinstance(outcome, DeployOutcome), outcome
    assert outcome.version == 2
    assert "As a canary, 0 of its " in outcome.note
    assert while_tried.total() > 50
    assert 0.14 < while_tried["dark"] / while_tried.total() < 0.26
    assert (shop.state().canary, shop.versions(), shop.champion()) == (None, [2], "2")
    assert shop.actions() == ["canary", "deploy"]


def test_canary_that_fails_is_sent_away(shop: Shop) -> None:
    """Grey pictures make the canary answer 500: what it answered so is lost, and nothing else."""
    shop.open(seconds=60)
    spec = shop.register(sign=1, network=make_failing_network())
    with run_load(f"http://127.0.0.1:{shop.state().port}", callers=2, kept=1, grey=150) as load:
        work = Background(lambda: deploy(spec))
        outcome = work.wait()
        until = len(load.failures)
        load.wait_for_more("bright")
        assert len(load.failures) == until
    assert isinstance(outcome, UserError)
    assert "Version 2 was sent away after it had 50 % of the requests, and version 1" in str(
        outcome
    )
    assert "requests failed, and 0 of the" in str(outcome)
    assert load.failures
    # The canary's own answers, to the last one: no connection was lost, no request unanswered.
    assert {failure[:5] for failure in load.failures} == {"500: "}
    assert (shop.state().version, shop.versions(), shop.champion()) == (1, [1], "1")
    assert shop.actions() == ["canary", "canary_return"]
    assert shop.events()[-1]["why"] == str(outcome)
    # As Airflow's retry would: it does not try again what was sent away.
    with pytest.raises(UserError, match="Version 2 was sent away"):
        deploy(spec)


@pytest.mark.parametrize("asks", [False, True], ids=["open", "tokens"])
def test_slow_canary_is_sent_away(shop: Shop, asks: bool) -> None:
    """Its smoke samples are black and white, and quick. Where tokens are asked for, too."""
    tokens = locate_tokens(environment.home(), shop.deployment)
    token = add_token(tokens, "test")[0] if asks else ""
    shop.open(seconds=90)
    address = f"http://127.0.0.1:{shop.state().port}"
    spec = shop.register(sign=1, network=make_slow_at_grey_network())
    with run_load(address, callers=2, kept=1, grey=150, token=token) as load:
        work = Background(lambda: deploy(spec))
        shop.wait_for_canary()
        told = requests.get(f"{address}/replicas/1/metrics", timeout=30)
        outcome = work.wait()
        load.wait_for_more("bright")
    assert load.failures == []
    assert isinstance(outcome, UserError), outcome
    assert "answers took more than" in str(outcome)
    assert (shop.state().version, shop.versions()) == (1, [1])
    assert told.status_code == (401 if asks else 200)
    assert [path.name for path in tokens.parent.iterdir()] == [tokens.name] * asks


def test_canary_that_crashes_is_sent_away(shop: Shop) -> None:
    shop.open(seconds=60)
    spec = shop.register(sign=-1)
    with run_load(f"http://127.0.0.1:{shop.state().port}", callers=2, kept=1) as load:
        work = Background(lambda: deploy(spec))
        shop.wait_for_canary()
        load.wait_for_more("dark")
        replicas = find_containers(
            shop.client, deployment=shop.deployment, role="replica", version="2"
        )
        for replica in replicas:
            replica.reload()
            os.kill(replica.attrs["State"]["Pid"], signal.SIGKILL)
        outcome = work.wait()
        load.wait_for_more("bright")
    assert isinstance(outcome, UserError), outcome
    assert "a replica of it ended" in str(outcome)
    assert load.failures == []
    assert shop.versions() == [1]


def test_killed_driver_goes_on_where_it_is_tried_again(shop: Shop) -> None:
    shop.open(seconds=15)
    spec = shop.register(sign=-1)
    with run_load(f"http://127.0.0.1:{shop.state().port}", callers=2, kept=1) as load:
        driver = run_driver(spec)
        shop.wait_for_canary()
        driver.kill()
        driver.wait()
        left = shop.state()
        # As up does in between: what is desired stays true, and nothing begins anew.
        reconcile(shop.database, shop.deployment)
        assert shop.versions() == [1, 2]
        with pytest.raises(UserError, match=r"is trying version 2 with 50 % of its requests until"):
            deploy(spec.model_copy(update={"version": 3, "bundle_uri": f"{spec.bundle_uri}x"}))
        outcome = deploy(spec)
    assert load.failures == []
    assert outcome.version == 2
    assert left.canary is not None
    assert shop.state().generation == left.generation + 1
    assert shop.versions() == [2]
    assert shop.actions() == ["canary", "deploy"]


def test_abandoned_canary_goes_with_the_next_reconciliation(shop: Shop) -> None:
    shop.open(seconds=600)
    driver = run_driver(shop.register(sign=-1))
    shop.wait_for_canary()
    driver.kill()
    driver.wait()
    # Its window began long ago.
    shop.database["deployments"].update_one(
        {"_id": shop.deployment},
        {"$set": {"canary.since": shop.state().canary.since - timedelta(hours=1)}},  # type: ignore[union-attr]
    )
    reconcile(shop.database, shop.deployment)
    assert (shop.state().canary, shop.state().version, shop.versions()) == (None, 1, [1])
    assert shop.actions() == ["canary", "canary_return"]


def test_rollback_ends_the_canary_only(shop: Shop) -> None:
    shop.open(seconds=60)
    spec = shop.register(sign=-1)
    with run_load(f"http://127.0.0.1:{shop.state().port}", callers=2, kept=1) as load:
        work = Background(lambda: deploy(spec))
        shop.wait_for_canary()
        load.wait_for_more("dark")
        back = shop.say("rollback")
        outcome = work.wait()
    assert load.failures == []
    assert (back.version, back.frozen, shop.versions()) == (1, True, [1])
    assert str(outcome) == (
        "Version 2 was on trial with 50 % of the requests until test ended that: rollback (to see)."
    )
    assert shop.actions() == ["canary", "rollback"]


def test_promoted_version_is_tried_and_the_impatient_promote_it_again(shop: Shop) -> None:
    shop.open(seconds=60)
    shop.register(sign=-1)
    work = Background(lambda: shop.say("promote", "first", version=2))
    shop.wait_for_canary()
    assert shop.say("promote", "second", version=2).version == 2
    assert work.wait().version == 2
    assert (shop.state().version, shop.versions()) == (2, [2])
    assert shop.actions() == ["canary", "promote"]


def test_without_requests_the_canary_is_promoted_with_a_note(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.open(seconds=1)
    outcome = deploy(shop.register(sign=-1))
    assert outcome.note == "As a canary, no request came in; nothing could be compared."
    assert shop.events()[-1]["why"].endswith(outcome.note)
    assert re.search(r"Canary, version 2 with \d+ %: 0 requests, 0 failed", capsys.readouterr().out)


def test_of_two_publishes_at_once_one_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.open(seconds=1)
    shop.register(sign=-1)
    shop.register(sign=-1)
    both = threading.Barrier(2)

    def decide_together(state: DesiredState, spec: PublishSpec) -> DesiredState:
        both.wait(60)
        return decide(state, spec)

    decide = publishing.decide
    monkeypatch.setattr(publishing, "decide", decide_together)
    works = [Background(partial(shop.say, "promote", str(n), version=n)) for n in (2, 3)]
    outcomes = [work.wait() for work in works]
    (told,) = [one for one in outcomes if isinstance(one, UserError)]
    (done,) = [one for one in outcomes if isinstance(one, PublishOutcome)]
    assert "was changed by somebody else just now" in str(told)
    assert shop.versions() == [done.version]
    assert shop.actions() == ["canary", "promote"]
