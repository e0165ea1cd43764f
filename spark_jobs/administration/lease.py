"""One worker at a time, on however many machines: a lease in MongoDB.

Its holder counts a beat up. Whoever else wants it waits, and takes it over once the beat has stood
still for a while: so no machine's clock is compared with another's.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.errors import DuplicateKeyError, PyMongoError

from serving.job.errors import UserError

BEAT_S = 2.0
# Many beats: a busy machine may be late with some.
SILENCE_S = 30.0
POLL_S = 0.5


class LostLeaseError(UserError):
    """Somebody took the lease over: this process stood still for too long."""


class Lease:
    """A lease on one name; not held before `take`."""

    def __init__(self, leases: Any, name: str) -> None:
        self._leases, self._name = leases, name
        self._token = uuid.uuid4().hex

    def take(self) -> None:
        """Wait until it is free, or until its holder has died."""
        seen, since, told = None, time.monotonic(), False
        while not self._insert():
            held = self._leases.find_one({"_id": self._name})
            if held is None:
                continue
            if (held["token"], held["beat"]) != seen:
                seen, since = (held["token"], held["beat"]), time.monotonic()
            elif time.monotonic() - since > SILENCE_S and self._take_over(*seen):
                return
            if not told:
                print(f"Another {self._name} is at work: waiting until it has ended", flush=True)
                told = True
            time.sleep(POLL_S)

    def _insert(self) -> bool:
        try:
            self._leases.insert_one({"_id": self._name, "token": self._token, "beat": 0})
        except DuplicateKeyError:
            return False
        return True

    def _take_over(self, token: str, beat: int) -> bool:
        stalled = {"_id": self._name, "token": token, "beat": beat}
        mine = {"$set": {"token": self._token, "beat": 0}}
        return bool(self._leases.update_one(stalled, mine).matched_count)

    def confirm(self) -> None:
        """Count the beat up; raises LostLeaseError."""
        mine = {"_id": self._name, "token": self._token}
        if not self._leases.update_one(mine, {"$inc": {"beat": 1}}).matched_count:
            raise LostLeaseError(f"Another {self._name} took over from this one: start it again.")

    def release(self) -> None:
        """Let the next one in."""
        self._leases.delete_one({"_id": self._name, "token": self._token})


@contextmanager
def hold_lease(database: Any, name: str) -> Iterator[Lease]:
    """Take it, keep its beat, and release it. Confirm it before each change that others may see."""
    lease = Lease(database["leases"], name)
    lease.take()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            # The one who works learns of it from `confirm`.
            with contextlib.suppress(LostLeaseError, PyMongoError):
                lease.confirm()

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield lease
    finally:
        ended.set()
        heart.join()
        lease.release()
