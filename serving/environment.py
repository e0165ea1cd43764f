"""What serving's jobs read from the environment: addresses and folders, no secrets."""

import os
import socket
from contextlib import closing
from pathlib import Path

from serving.job.errors import UserError
from serving.limits import PREFIX, LimitsError, read_limits

REPO = Path(__file__).resolve().parents[1]


def read_variable(name: str, allowed: str) -> str:
    """A MODELMILL_* variable that has no default; raises UserError."""
    value = os.environ.get(name, "")
    if not value:
        raise UserError(f"Set {name} to {allowed}; ./modelmill up does it for its own services.")
    return value


def home() -> Path:
    """The installation's state folder."""
    return Path(read_variable("MODELMILL_HOME", "the installation's state folder"))


def server_settings() -> dict[str, str]:
    """The model servers' own MODELMILL_SERVE_* variables, which every server gets.

    Raises UserError where one cannot be used: before a server is started that would end at once.
    """
    given = {k: v for k, v in os.environ.items() if k.startswith(PREFIX) and v}
    try:
        read_limits(given)
    except LimitsError as error:
        raise UserError(f"{error}. Set it to another value, or unset it for its default.") from None
    return given


def kept_folder(deployment: str) -> Path:
    """Where a deployment's servers keep requests; no other one's."""
    return Path(os.environ.get("MODELMILL_KEEP_FOLDER") or home()) / "kept" / deployment


def make_kept_folder(deployment: str) -> Path | None:
    """Make it, in a folder of ours that nobody else may enter; None where nothing is kept.

    Raises UserError where that folder is there already, and open or another user's.
    """
    if not keep_settings(deployment):
        return None
    folder = kept_folder(deployment)
    guard = folder.parent
    guard.parent.mkdir(parents=True, exist_ok=True)
    try:
        guard.mkdir(mode=0o700)
    except FileExistsError:
        if guard.parent == home():
            guard.chmod(0o700)
        found = guard.stat()
        if found.st_mode & 0o077 or found.st_uid != os.geteuid():
            raise UserError(
                f"{guard} is open to others, or another user's: requests are not kept in it. Make "
                f"it yours alone (chmod 700 {guard}), or set MODELMILL_KEEP_FOLDER to another "
                "folder; unset it for MODELMILL_HOME/kept."
            ) from None
    folder.mkdir(exist_ok=True)
    return folder


def keep_settings(deployment: str, folder: str = "") -> dict[str, str]:
    """MODELMILL_KEEP_* variables of a server in service; none where nothing is kept.

    folder: where the server sees the kept ones, if that is elsewhere.
    """
    if not os.environ.get("MODELMILL_KEEP_REQUESTS"):
        return {}
    given = {k: v for k, v in os.environ.items() if k.startswith("MODELMILL_KEEP_") and v}
    return {**given, "MODELMILL_KEEP_FOLDER": folder or str(kept_folder(deployment))}


def host() -> str:
    """Address that every server listens on."""
    return os.environ.get("MODELMILL_HOST") or "127.0.0.1"


def _read_port(name: str, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isdigit() or not 1 <= int(value) <= 65535:
        raise UserError(f"{name}={value!r}: give a port, 1 to 65535.")
    return int(value)


def first_port() -> int:
    """First port of the deployments' APIs."""
    return _read_port("MODELMILL_PORT_SERVE", 8800)


def console_port() -> int:
    """Port of the console."""
    return _read_port("MODELMILL_PORT_CONSOLE", 8090)


def airflow_origin() -> str:
    """http://HOST:PORT of Airflow's pages, which show reports in a frame."""
    return f"http://{host()}:{_read_port('MODELMILL_PORT_AIRFLOW', 8080)}"


def is_port_free(port: int) -> bool:
    """True where nobody listens on host():port."""
    with closing(socket.socket()) as probe:
        # As servers do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host(), port))
        except OSError:
            return False
    return True


def find_free_port() -> int:
    """A port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind((host(), 0))
        return int(probe.getsockname()[1])
