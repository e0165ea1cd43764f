"""Who waits, who takes over, and who learns that he lost."""

import threading
import time
from typing import Any

import pytest

from spark_jobs.administration import lease
from spark_jobs.administration.lease import Lease, LostLeaseError, hold_lease


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    monkeypatch.setattr(lease, "SILENCE_S", 0.5)
    monkeypatch.setattr(lease, "POLL_S", 0.02)


def test_the_next_one_waits_for_the_end(
    database: Any, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []

    def wait_and_work() -> None:
        with hold_lease(database, dataset):
            order.append("second")

    with hold_lease(database, dataset):
        second = threading.Thread(target=wait_and_work)
        second.start()
        # Longer than a silence: a beating heart is not taken for a dead one.
        time.sleep(1)
        order.append("first")
    second.join()
    assert order == ["first", "second"]
    assert database["leases"].find_one({"_id": dataset}) is None
    assert capsys.readouterr().out.count("waiting until it has ended") == 1


def test_a_dead_ones_lease_is_taken_over(database: Any, dataset: str) -> None:
    dead = Lease(database["leases"], dataset)
    dead.take()
    with hold_lease(database, dataset) as living:
        living.confirm()
        # It was not dead: it stood still.
        with pytest.raises(LostLeaseError):
            dead.confirm()
        dead.release()
        living.confirm()
