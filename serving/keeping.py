"""Requests kept for people to review: the doubtful ones, a share of the others; off by default.

In the folder, for each picture: <key>.bin with its bytes, <key>.json with a KeptRequest, and
<key>.feedback.json once somebody said what is right. A key is a hash: callers choose request ids.
"""

import hashlib
import logging
import os
import random
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.limits import LimitsError

LOGGER = logging.getLogger("serving.keeping")
# Writes that wait for the disk; what comes on top of them is not kept.
MAX_WAITING = 64
RESCAN_SECONDS = 60.0
VARIABLES = {
    "share": "MODELMILL_KEEP_REQUESTS",
    "folder": "MODELMILL_KEEP_FOLDER",
    "below": "MODELMILL_KEEP_BELOW",
    "megabytes": "MODELMILL_KEEP_MEGABYTES",
}


class Keeping(BaseModel):
    """What is kept, and where."""

    model_config = ConfigDict(frozen=True)

    share: float = Field(
        ge=0, le=1, description="Share of the confident answers that is kept; unset: nothing is"
    )
    folder: Path = Field(description="Where: in kept/NAME of this folder; default: HOME")
    below: float = Field(default=0.6, ge=0, le=1, description="Answers below are always kept")
    megabytes: int = Field(default=500, ge=1, description="Megabytes of all kept pictures")


class KeptRequest(BaseModel):
    """What was answered. sha256: of the picture, once its bytes have gone to the review queue.

    label: as an evaluation writes it; several as `a|b`, empty where none was said. score: how sure
    the answer was.
    """

    model_config = ConfigDict(frozen=True)

    request_id: str
    picture: int
    label: str
    score: float
    version: int
    at: datetime
    sha256: str = ""


def read_keeping(environment: Mapping[str, str]) -> Keeping | None:
    """None where nothing is kept, which is the default; raises LimitsError."""
    if not environment.get(VARIABLES["share"]):
        return None
    given = {f: environment[name] for f, name in VARIABLES.items() if environment.get(name)}
    try:
        return Keeping.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = VARIABLES[str(first["loc"][0])]
        raise LimitsError(f"{name}={given.get(str(first['loc'][0]))!r}: {first['msg']}") from None


def make_key(request_id: str, picture: int) -> str:
    """Name of a kept picture's files."""
    return hashlib.sha256(f"{request_id}/{picture}".encode()).hexdigest()[:32]


def replace_note(path: Path, text: str) -> None:
    """Write it as a whole, whoever wrote the one before: containers have a user of their own.

    Follows no link that somebody has put there.
    """
    handle, fresh = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(fresh).chmod(0o644)
        Path(fresh).replace(path)
    finally:
        Path(fresh).unlink(missing_ok=True)


class Keeper:
    """Writes on a thread of its own: a slow disk must not slow an answer down."""

    def __init__(self, keeping: Keeping, version: int) -> None:
        self._keeping, self._version = keeping, version
        keeping.folder.mkdir(parents=True, exist_ok=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="keep")
        self._waiting = 0
        self._bytes, self._scanned = 0, -RESCAN_SECONDS
        self._random = random.Random()  # noqa: S311 - a sample, no secret

    def wants(self, score: float) -> bool:
        """Whether a picture whose answer is so sure is kept."""
        sampled = self._random.random() < self._keeping.share
        return (score < self._keeping.below or sampled) and self._waiting < MAX_WAITING

    def keep(self, request_id: str, picture: int, data: bytes, label: str, score: float) -> None:
        """Keep one picture, soon."""
        kept = KeptRequest(
            request_id=request_id,
            picture=picture,
            label=label,
            score=score,
            version=self._version,
            at=datetime.now(UTC),
        )
        self._waiting += 1
        self._writer.submit(self._write, kept, data)

    def _write(self, kept: KeptRequest, data: bytes) -> None:
        try:
            if self._has_room(len(data)):
                path = self._keeping.folder / make_key(kept.request_id, kept.picture)
                path.with_suffix(".bin").write_bytes(data)
                replace_note(path.with_suffix(".json"), kept.model_dump_json())
                self._bytes += len(data)
        except OSError as error:
            LOGGER.error("a request could not be kept", exc_info=error)
        finally:
            self._waiting -= 1

    def _has_room(self, size: int) -> bool:
        """Counted again now and then: a review takes pictures away, other replicas add theirs.

        N of them may keep too much, by what they write between two counts.
        """
        limit = self._keeping.megabytes * 2**20
        now = time.monotonic()
        if now - self._scanned > RESCAN_SECONDS:
            self._bytes = sum(p.stat().st_size for p in self._keeping.folder.glob("*.bin"))
            self._scanned = now
            if self._bytes + size > limit:
                LOGGER.warning("no room for more kept requests: %d MB", limit >> 20)
        return self._bytes + size <= limit

    def add_feedback(self, request_id: str, picture: int, label: str) -> bool:
        """Write down what is right; False where that picture was not kept."""
        path = self._keeping.folder / make_key(request_id, picture)
        if not path.with_suffix(".json").is_file():
            return False
        said = {"label": label, "at": datetime.now(UTC)}
        text = Feedback.model_validate(said).model_dump_json()
        replace_note(path.with_suffix(".feedback.json"), text)
        return True

    def close(self) -> None:
        """Write what waits."""
        self._writer.shutdown(wait=True)


class Feedback(BaseModel):
    """What a caller said is right."""

    model_config = ConfigDict(frozen=True)

    label: str
    at: datetime
