"""Bearer tokens of a deployment: a file of hashes, which a server reads and a person changes.

A token holds 256 random bits, so that one round of SHA-256 hides it: there is nothing to guess.
No file: everybody may ask. A file without tokens: nobody may.
"""

import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

PREFIX = "mm_"
FOLDER = "tokens"
# How old what the server knows of the file may be.
FRESH_SECONDS = 1.0
# No watch over a canary lasts longer (a day is the most).
LENT = timedelta(days=2)
LOGGER = logging.getLogger("serving.tokens")


class Token(BaseModel):
    """What is kept of a token: enough to know it again, not enough to use it."""

    model_config = ConfigDict(frozen=True)

    id: str
    sha256: str
    created_at: datetime
    note: str = ""


class TokenFile(BaseModel):
    """A deployment's tokens."""

    model_config = ConfigDict(frozen=True)

    tokens: tuple[Token, ...] = ()


def locate_tokens(home: Path, deployment: str) -> Path:
    """The deployment's file; may be missing."""
    return home / FOLDER / f"{deployment}.json"


def locate_watch(path: Path) -> Path:
    """Beside a deployment's file: the token that opens its metrics alone; mostly missing."""
    return path.with_suffix(".watch.json")


def hash_token(token: str) -> str:
    """What is kept of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(path: Path) -> TokenFile | None:
    """None where there is no file; raises ValueError where it was damaged."""
    try:
        return TokenFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ValueError(f"{path} is no file of tokens: {error.errors()[0]['msg']}") from None


def _write(path: Path, tokens: tuple[Token, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(TokenFile(tokens=tokens).model_dump_json(indent=1))
    # A container's user reads it, too; it holds no secret.
    fresh.chmod(0o644)
    fresh.replace(path)


def add_token(path: Path, note: str) -> tuple[str, Token]:
    """Make one more; its text is told once and kept nowhere."""
    known = read_tokens(path) or TokenFile()
    made = secrets.token_hex(4)
    text = f"{PREFIX}{made}_{secrets.token_urlsafe(32)}"
    token = Token(id=made, sha256=hash_token(text), created_at=datetime.now(UTC), note=note)
    _write(path, (*known.tokens, token))
    return text, token


@contextmanager
def lend_token(path: Path) -> Iterator[str]:
    """A token for one of this installation's watches over a deployment; gone at the end.

    path: of locate_watch; other watches' tokens there stay, for an attempt that is given up may
    still be at work. What one that was killed has left opens nothing: nobody knows it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path.parent):
        _take_back(path)
        text, token = add_token(path, "watch")
    try:
        yield text
    finally:
        with _lock(path.parent):
            _take_back(path, token.id)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One at a time writes what is lent. Beside the folder, which containers see."""
    with folder.with_name(f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _take_back(path: Path, own: str = "") -> None:
    """Remove a watch's token and those that were left behind; with the last one, the file."""
    try:
        lent = (read_tokens(path) or TokenFile()).tokens
    except ValueError:
        lent = ()
    first = datetime.now(UTC) - LENT
    left = tuple(one for one in lent if one.id != own and one.created_at > first)
    if left:
        _write(path, left)
    else:
        path.unlink(missing_ok=True)


def revoke_tokens(path: Path, ids: tuple[str, ...]) -> tuple[Token, ...]:
    """Those that are left; raises KeyError with the ids that are not there."""
    known = (read_tokens(path) or TokenFile()).tokens
    missing = set(ids) - {one.id for one in known}
    if missing:
        raise KeyError(*sorted(missing))
    left = tuple(one for one in known if one.id not in ids)
    _write(path, left)
    return left


class TokenGate:
    """The server's side: a revoked token is refused within FRESH_SECONDS, without a restart.

    open_without: whether everybody may ask where there is no file; else nobody may.
    """

    def __init__(self, path: Path | None, *, open_without: bool = True) -> None:
        self._path = path
        self._without: tuple[bytes, ...] | None = None if open_without else ()
        self._looked = -FRESH_SECONDS
        self._seen: tuple[int, int, int] | None = None
        # None: everybody may ask.
        self._hashes: tuple[bytes, ...] | None = self._without

    def _look(self) -> None:
        now = time.monotonic()
        if self._path is None or now - self._looked < FRESH_SECONDS:
            return
        self._looked = now
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except FileNotFoundError:
            self._seen, self._hashes = None, self._without
            return
        if seen == self._seen:
            return
        try:
            found = read_tokens(self._path)
        except (ValueError, OSError) as error:
            # Whoever made the file wanted a closed door.
            LOGGER.error("tokens cannot be read: nobody may ask", exc_info=error)
            self._seen, self._hashes = None, ()
            return
        self._seen = seen
        hashes = None if found is None else tuple(t.sha256.encode() for t in found.tokens)
        self._hashes = self._without if hashes is None else hashes

    def admits(self, authorization: str) -> bool:
        """Whether an Authorization header opens the door; the time tells nothing of the tokens."""
        self._look()
        if self._hashes is None:
            return True
        kind, _, token = authorization.partition(" ")
        given = hash_token(token.strip()).encode()
        # Every one is compared, whichever fits.
        fits = [hmac.compare_digest(given, one) for one in self._hashes]
        return kind.lower() == "bearer" and any(fits)
