"""Minutes of a small load: the server's memory stays what it was. Its figure: bench serve."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.environment import REPO, find_free_port
from serving.smoke import read_health
from tests.serving.measuring.picture import make_jpeg
from tests.serving.measuring.soak import MAX_GROWTH, SHORT_MINUTES, soak

# A small part of what a core can do, so that the tests beside it do not wait.
CLIENTS, RATE = 8, 40.0


@pytest.fixture
def server(bundle: Path) -> Iterator[tuple[int, int]]:
    """Its port and process id."""
    port = find_free_port()
    argv = [sys.executable, "-m", "serving.server", "--bundle", str(bundle), "--port", str(port)]
    process = subprocess.Popen(
        [*argv, "--deployment", "soak", "--version", "1"], cwd=REPO, stdout=subprocess.DEVNULL
    )
    try:
        while read_health(f"http://127.0.0.1:{port}") is None:
            assert process.poll() is None
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def test_memory_stays_what_it_was(server: tuple[int, int]) -> None:
    answers, memory = soak(*server, make_jpeg(), minutes=SHORT_MINUTES, clients=CLIENTS, rate=RATE)
    assert answers.failures == 0
    assert answers.refused == []
    # Fewer where others keep the machine busy.
    assert len(answers.seconds) > 0.5 * SHORT_MINUTES * 60 * RATE
    assert [one.pid for one in memory] == [server[1]]
    assert {one.pid: one.growth for one in memory if one.growth > MAX_GROWTH} == {}
