"""Who may review a dataset: a one-time token in an address, which becomes a session's cookie.

Files of hashes in the installation's secrets, which only its owner reads: <hash>.json of an
invitation, or of a session. Both hold 256 random bits, so that one round of SHA-256 hides them.
"""

import contextlib
import hashlib
import os
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

FOLDER = "review-sessions"
INVITATION = timedelta(hours=1)
SESSION = timedelta(hours=12)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}")


class Session(BaseModel):
    """Whom it was given to, as histories name them, and for which dataset."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    by: str
    expires_at: datetime


def locate_sessions(home: Path) -> Path:
    """The folder; may be missing."""
    return home / "secrets" / FOLDER


def invite(folder: Path, dataset: str, by: str) -> str:
    """A token that opens one session, once, within an hour."""
    _sweep(folder)
    return _write(folder / "invitations", dataset, by, INVITATION)


def redeem(folder: Path, token: str, dataset: str) -> tuple[str, Session] | None:
    """The cookie of a new session; None where the token is unknown, used, old or of another."""
    found = _find(folder / "invitations", token, dataset)
    if found is None:
        return None
    path, invitation = found
    try:
        # Of two that come at once, one removes it.
        path.unlink()
    except FileNotFoundError:
        return None
    cookie = _write(folder / "sessions", dataset, invitation.by, SESSION)
    opened = _find(folder / "sessions", cookie, dataset)
    return None if opened is None else (cookie, opened[1])


def find_session(folder: Path, cookie: str, dataset: str) -> Session | None:
    """None where it is unknown, old or of another dataset."""
    found = _find(folder / "sessions", cookie, dataset)
    return None if found is None else found[1]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _write(folder: Path, dataset: str, by: str, lasting: timedelta) -> str:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    token = secrets.token_urlsafe(32)
    session = Session(dataset=dataset, by=by, expires_at=datetime.now(UTC) + lasting)
    path = folder / f"{_hash(token)}.json"
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(session.model_dump_json())
    fresh.replace(path)
    return token


def _read(path: Path) -> Session | None:
    try:
        return Session.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _find(folder: Path, token: str, dataset: str) -> tuple[Path, Session] | None:
    if not _TOKEN.fullmatch(token):
        return None
    # Looked up by its hash: how long that takes tells nothing of the token.
    path = folder / f"{_hash(token)}.json"
    session = _read(path)
    if session is None or session.dataset != dataset or session.expires_at <= datetime.now(UTC):
        return None
    return path, session


def _sweep(folder: Path) -> None:
    """Remove what has ended."""
    for path in folder.glob("*/*.json"):
        session = _read(path)
        if session is None or session.expires_at <= datetime.now(UTC):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
