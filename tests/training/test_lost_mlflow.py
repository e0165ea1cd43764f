"""An MLflow that goes away while a training runs: a sentence, and the retry goes on."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.training.conftest import REPO, make_input, start_ranks
from training.spec import ExportBackboneOutcome, TrainOutcome, TrainSpec

MakeSpec = Callable[..., TrainSpec]
MAIN = REPO / "training" / "main.py"
RUN = {"run": {"info": {"run_id": "r1", "experiment_id": "1"}, "data": {}}}
ANSWERS = {
    "experiments/get-by-name": {"experiment": {"experiment_id": "1", "name": "things"}},
    "runs/search": {},
    "runs/create": RUN,
    "runs/log-batch": {},
}


@pytest.fixture
def leaving() -> Iterator[str]:
    """Address of an MLflow that opens a run, takes its parameters, and knows nothing any more."""
    left = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer()

        def answer(self) -> None:
            asked = self.path.partition("?")[0].partition("mlflow/")[2]
            if left.is_set():
                # As a server does that is killed: no answer at all.
                self.connection.close()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(ANSWERS.get(asked, {})).encode())
            if asked == "runs/log-batch":
                left.set()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_lost_server_is_one_sentence_and_the_retry_goes_on(
    make_spec: MakeSpec,
    snapshot: Path,
    backbone: ExportBackboneOutcome,
    tmp_path: Path,
    leaving: str,
) -> None:
    given = make_input(snapshot / "features").model_copy(update={"backbone": backbone.file})

    def attempt(name: str, address: str) -> tuple[int, str, Path]:
        spec = make_spec(inputs=(given,), output_uri=(tmp_path / name).as_uri())
        environment = {"MODELMILL_MLFLOW_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        process = start_ranks(MAIN, spec, 1, tmp_path / f"work-{name}", **environment)
        printed, _ = process.communicate(timeout=300)
        return process.returncode, printed, tmp_path / name

    code, printed, folder = attempt("lost", leaving)
    assert code not in (0, 64), printed
    assert "Search ended after 4 trials" in printed
    last = printed.strip().splitlines()[-1]
    assert "MLflow failed: " in last, printed
    assert last.endswith("Run the task again once it answers.")
    assert "Traceback" not in printed
    assert not (folder / "outcome.json").exists()
    assert not (folder / "error.json").exists()

    code, printed, folder = attempt("retried", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert code == 0, printed
    assert "going on after 4 trials" in printed
    outcome = TrainOutcome.model_validate_json((folder / "outcome.json").read_bytes())
    assert outcome.trials == 4
