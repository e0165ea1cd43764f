"""`up` and ports that are still taken."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.local.bring_up import await_ports
from pipelines.local.services import SERVICES
from pipelines.settings import Settings
from serving.job.errors import UserError

MONGO = [service for service in SERVICES if service.name == "mongo"]
HOLD = (
    "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
    "print(s.getsockname()[1], flush=True); time.sleep(600)"
)


def test_a_port_that_a_killed_server_still_holds_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        settings = Settings(home=tmp_path, port_mongo=int(holder.stdout.readline()))
        killer = threading.Timer(0.5, holder.kill)
        killer.start()
        await_ports(MONGO, settings, patience_s=60)
        killer.join()
    assert "still taken; waiting up to 60 s" in capsys.readouterr().err


def test_a_port_that_stays_taken_gets_its_sentence(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} of .* set MODELMILL_PORT_MONGO"):
            await_ports(MONGO, Settings(home=tmp_path, port_mongo=port), patience_s=0.3)


def test_free_ports_are_not_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    await_ports(MONGO, Settings(home=tmp_path, port_mongo=port))
    assert capsys.readouterr().err == ""
