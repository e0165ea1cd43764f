"""The launcher's own store of texts, and a call of a tiny training."""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipelines.code import code_version
from pipelines.devices import find_paddle
from pipelines.local.second_home import find_free_ports
from pipelines.nodes import node, watch
from pipelines.nodes.board import Board, Call, SilentError
from pipelines.plan import train_spec
from pipelines.request import RunRequest
from tests.pipelines.literals import ETL, plan_of

JOBS = Path(os.environ.get("MODELMILL_HOME", "")) / "venvs" / "jobs"
SERVE = (
    "import sys; from paddle.distributed.launch.utils.kv_server import KVServer\n"
    "KVServer(int(sys.argv[1])).serve_forever()"
)


@pytest.fixture(scope="session")
def store_address() -> Iterator[str]:
    """IP:PORT of a store as Paddle's launcher serves it, for all tests of the folder."""
    master = f"127.0.0.1:{find_free_ports(1)[0]}"
    process = subprocess.Popen(
        [str(JOBS / "bin" / "python"), "-c", SERVE, master.partition(":")[2]],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                Board(master).read_call()
                break
            except SilentError:
                assert time.monotonic() < end
                time.sleep(0.1)
        yield master
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life ten times a second."""
    for module in (node, watch):
        monkeypatch.setattr(module, "BEAT_SECONDS", 0.1)


@pytest.fixture
def launcher(store_address: str) -> str:
    """The same with nothing in it."""
    with httpx.Client(base_url=f"http://{store_address}", trust_env=False) as client:
        found = client.get("/modelmill/")
        for key in found.json() if found.status_code == httpx.codes.OK else ():
            client.delete(key)
    return store_address


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Of this very code, on two machines; every test's is another."""
    (tmp_path / "labels").touch()
    output_uri = (tmp_path / uuid.uuid4().hex / "attempt-1").as_uri()
    spec = train_spec(plan_of(RunRequest(dataset="boards")), ETL, output_uri)
    return Call(
        nodes=2,
        kind="cpu",
        code_version=code_version(),
        paddle=find_paddle(JOBS),
        webhdfs="http://127.0.0.1:1",
        spec=spec.model_copy(update={"labels_uri": (tmp_path / "labels").as_uri()}),
    )
