"""Rollouts that are cut short, or meet each other, while callers ask: real containers, real jobs.

A canary's own faults are in test_canary.py; here new versions get all requests at once.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import onnx
import pytest

from serving.deploy import deploy
from serving.desired import PastVersion, compare_and_set
from serving.environment import REPO
from serving.job.errors import UserError
from serving.reconcile import reconcile
from serving.sandbox import find_containers
from serving.spec import DeploySpec
from tests.serving.load import run_load
from tests.serving.shops import Background, Shop, run_driver, run_publisher
from tests.serving.tiny import make_broken_network, make_nan_network, make_slow_network

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("stores")]

# Only this deployment: reconcile_all would touch those of everybody else on this machine.
RECONCILE_ONE = """
import sys
from serving.job.mongo import use_database
from serving.reconcile import reconcile

with use_database() as database:
    reconcile(database, sys.argv[1])
"""

# An idle machine takes less than 5 s; other tests may keep this one busy.
ROLLBACK_SECONDS = 40.0
# What the native API says of a picture.
ANSWER = {
    "results": [{"label": "bright", "score": 0.9}],
    "request_id": "1",
    "model": {"deployment": "d", "version": 2, "snapshot_id": "", "run_id": ""},
}


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """Serves its first version; what comes next gets all requests."""
    deploy(shop.register(sign=1))
    return shop


def address_of(shop: Shop) -> str:
    return f"http://127.0.0.1:{shop.state().port}"


def serve_later(shop: Shop, spec: DeploySpec) -> None:
    """Desire a version, and leave it to others to make it true."""
    state = shop.state()
    target = PastVersion(version=spec.version, image_tag=spec.image_tag, bundle_uri=spec.bundle_uri)
    assert compare_and_set(shop.database, state.serve_next(target), state.generation)


def reconcile_apart(shop: Shop) -> subprocess.Popen[bytes]:
    """reconcile as a process of its own, which can be killed."""
    return subprocess.Popen(
        [sys.executable, "-c", RECONCILE_ONE, shop.deployment],
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )


def kill_once(happened: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 180
    try:
        while not happened():
            assert time.monotonic() < end
            assert process.poll() is None, "the job ended before it could be killed"
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()


def count_replicas(shop: Shop, version: int) -> int:
    found = find_containers(
        shop.client, deployment=shop.deployment, role="replica", version=str(version)
    )
    return len(found)


def test_reconcile_that_is_killed_half_way_is_finished_by_the_next(shop: Shop) -> None:
    """Killed as soon as it has made a replica, and again once the gateway sends requests there."""
    serve_later(shop, shop.register(sign=-1))
    with run_load(address_of(shop), callers=2, kept=1) as load:
        load.wait_for_more("bright")
        first = reconcile_apart(shop)
        kill_once(lambda: count_replicas(shop, 2) > 0, first)
        # Nobody was sent to a version that is half there.
        load.wait_for_more("bright")
        assert load.answers["dark"] == 0
        second = reconcile_apart(shop)
        kill_once(lambda: load.answers["dark"] > 0, second)
        # The old replicas are there still, and get nothing.
        assert count_replicas(shop, 1) > 0
        reconcile(shop.database, shop.deployment)
        load.wait_for_more("dark")
    assert load.failures == []
    assert (shop.versions(), shop.champion()) == ([2, 2], "2")
    assert len(find_containers(shop.client, deployment=shop.deployment, role="gateway")) == 1


def test_publish_that_is_killed_in_its_rollout_goes_on_where_it_is_tried_again(shop: Shop) -> None:
    shop.register(sign=-1)
    with run_load(address_of(shop), callers=2, kept=1) as load:
        load.wait_for_more("bright")
        killed = run_publisher(shop.spec("promote", "one", version=2))
        kill_once(lambda: count_replicas(shop, 2) > 0, killed)
        generation = shop.state().generation
        outcome = shop.say("promote", "one", version=2)
        load.wait_for_more("dark")
    assert load.failures == []
    assert (outcome.version, shop.state().generation) == (2, generation)
    assert (shop.versions(), shop.champion()) == ([2, 2], "2")
    assert [event["action"] for event in shop.events()] == ["deploy", "promote"]


def test_two_publishes_at_once_leave_one_version(shop: Shop) -> None:
    """Two jobs; whichever comes second is told, or follows the first: never half of each."""
    for sign in (-1, -1):
        shop.register(sign=sign)
    with run_load(address_of(shop), callers=2, kept=1) as load:
        load.wait_for_more("bright")
        jobs = [run_publisher(shop.spec("promote", str(n), version=n)) for n in (2, 3)]
        codes = sorted(job.wait(180) for job in jobs)
        load.wait_for_more("dark")
    assert load.failures == []
    # 64: what was asked could not be done, and a sentence says why.
    assert codes in ([0, 0], [0, 64])
    state = shop.state()
    assert (shop.versions(), shop.champion()) == ([state.version] * 2, str(state.version))
    assert shop.events()[-1]["to_version"] == state.version
    assert len(shop.events()) == 1 + codes.count(0)


def test_new_version_that_answers_nonsense_gets_no_request(shop: Shop) -> None:
    """By a run and by hand; some answer with status 200 what a server of another kind would say."""
    kinds: list[tuple[onnx.ModelProto | None, str, str]] = [
        (make_broken_network(), "", r"answered with 5\d\d"),
        (make_nan_network(), "", "answered with 500: .*no numbers"),
        (None, '{"results": [{"label": "bright", "sco', "malformed answer: .*Invalid JSON"),
        (None, "<html>welcome</html>", "malformed answer: .*Invalid JSON"),
        (None, json.dumps(ANSWER).replace("0.9", "NaN"), "malformed answer: .*equal to 1"),
    ]
    with run_load(address_of(shop), callers=2, kept=1) as load:
        load.wait_for_more("bright")
        for network, answer, words in kinds:
            spec = shop.register(sign=1, network=network)
            if answer:
                shop.spoil(spec.version, answer)
            by_hand = partial(shop.say, "promote", f"by hand {answer}", version=spec.version)
            for attempt in (partial(deploy, spec), by_hand):
                with pytest.raises(UserError, match=f"(?s){words}"):
                    attempt()
        load.wait_for_more("bright")
    assert load.failures == []
    assert set(load.answers) == {"bright"}
    assert (shop.state().version, shop.versions(), shop.champion()) == (1, [1, 1], "1")


def test_new_version_that_is_slow_gets_no_request(shop: Shop) -> None:
    """By a run and by hand; its answers are right, and nobody has asked for a canary."""
    spec = shop.register(sign=1, network=make_slow_network())
    by_hand = partial(shop.say, "promote", "by hand", version=2)
    sentence = r"takes \d+\.\d+ s a picture .*, and the version in service \d+\.\d+ s on the same"
    with run_load(address_of(shop), callers=2, kept=1) as load:
        load.wait_for_more("bright")
        for attempt in (partial(deploy, spec), by_hand):
            with pytest.raises(UserError, match=sentence):
                attempt()
        load.wait_for_more("bright")
    assert load.failures == []
    assert (shop.state().version, shop.versions(), shop.champion()) == (1, [1, 1], "1")
    assert find_containers(shop.client, deployment=shop.deployment, role="candidate") == []


def test_rollback_is_soon_done_and_loses_nothing(shop: Shop) -> None:
    deploy(shop.register(sign=-1))
    with run_load(address_of(shop), callers=2, kept=1) as load:
        load.wait_for_more("dark")
        begin = time.monotonic()
        work = Background(lambda: shop.say("rollback"))
        load.wait_for_more("bright", count=1, seconds=ROLLBACK_SECONDS)
        taken = time.monotonic() - begin
        outcome = work.wait()
        before = load.answers["dark"]
        load.wait_for_more("bright")
        assert load.answers["dark"] == before
    print(f"The version before answered after {taken:.1f} s")
    assert load.failures == []
    assert (outcome.version, outcome.frozen) == (1, True)
    assert (shop.versions(), shop.champion()) == ([1, 1], "1")


def test_freeze_ends_a_canary_and_costs_nobody_an_answer(shop: Shop) -> None:
    shop.say("set", canary_percent=50, canary_minutes=2)
    driver = run_driver(shop.register(sign=-1))
    with run_load(address_of(shop), callers=2, kept=1) as load:
        shop.wait_for_canary()
        load.wait_for_more("dark")
        frozen = shop.say("freeze")
        assert driver.wait(180) == 64
        load.wait_for_more("bright")
    assert load.failures == []
    assert (frozen.version, frozen.frozen, shop.state().canary) == (1, True, None)
    assert (shop.versions(), shop.champion()) == ([1, 1], "1")
    assert shop.actions() == ["canary", "freeze"]
