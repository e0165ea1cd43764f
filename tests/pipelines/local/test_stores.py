"""A task waits for the stores that its installation starts, and for no others."""

import os
from collections.abc import Mapping

import pytest
import tenacity

from pipelines.local import stores
from pipelines.local.environment import SUPERVISOR_VARIABLE
from pipelines.local.layout import read_layout
from pipelines.local.services import Service
from pipelines.local.stores import wait_for_stores
from pipelines.settings import read_settings


class Starting:
    """Answers from the third time on."""

    def __init__(self) -> None:
        self.asked = 0

    def check(self, *_: object) -> str | None:
        self.asked += 1
        return None if self.asked > 2 else "is starting"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Starting]:
    monkeypatch.setenv(SUPERVISOR_VARIABLE, "/run/here")
    monkeypatch.setattr(stores._poll.retry, "wait", tenacity.wait_none())
    return {name: Starting() for name in ("mongo", "namenode", "console")}


def wait(asked: Mapping[str, Starting], environment: Mapping[str, str]) -> None:
    given = {name: value for name, value in os.environ.items() if not name.endswith("_URI")}
    settings = read_settings({**given, **environment})
    services = [Service(name, (), one.check, "mongo_uri") for name, one in asked.items()]
    wait_for_stores(settings, read_layout(settings), services)


def test_waits_until_all_stores_answer(asked: Mapping[str, Starting]) -> None:
    wait(asked, {})
    assert {name: one.asked for name, one in asked.items()} == {
        "mongo": 3,
        "namenode": 3,
        "console": 0,
    }


def test_ours_are_waited_for_where_their_addresses_are_settings(
    asked: Mapping[str, Starting],
) -> None:
    """As the supervisor's children have them."""
    wait(asked, {"MODELMILL_MONGO_URI": read_settings({}).mongo_address})
    assert asked["mongo"].asked == 3


def test_patience_ends(asked: Mapping[str, Starting], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores._poll.retry, "stop", tenacity.stop_after_attempt(2))
    wait(asked, {})
    assert asked["mongo"].asked == 2


def test_nothing_is_waited_for_that_is_not_ours(
    asked: Mapping[str, Starting], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"MONGO_URI": "mongodb://elsewhere:27017", "HDFS_URI": "hdfs://elsewhere:8020"}
    elsewhere |= {"WEBHDFS_URI": "http://elsewhere:9870"}
    wait(asked, {f"MODELMILL_{name}": uri for name, uri in elsewhere.items()})
    monkeypatch.delenv(SUPERVISOR_VARIABLE)
    wait(asked, {})
    assert {one.asked for one in asked.values()} == {0}
