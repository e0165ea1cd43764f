"""Two installations as two machines: one is lost, the next try goes on; the model is of one's."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.local.second_home import find_free_ports, make_environment
from tests.training.conftest import REPO, MakeSpec, make_input, start_ranks
from training.search.study import find_finished, find_study_file, open_study
from training.spec import (
    ExportBackboneOutcome,
    ReplayOutcome,
    ReplaySpec,
    TrainOutcome,
    TrainSpec,
)

HOME = Path(sys.prefix).parents[1]
CONTROL = HOME / "venvs" / "control" / "bin" / "python"
FIRST = REPO / "tests" / "pipelines" / "tasks" / "train_on_machines.py"
Process = subprocess.Popen[str]
pytestmark = pytest.mark.integration


@pytest.fixture
def job_spec(make_spec: MakeSpec, snapshot: Path, backbone: ExportBackboneOutcome) -> TrainSpec:
    given = make_input(snapshot / "features").model_copy(update={"backbone": backbone.file})
    return make_spec(run_id="20260101T000000-abcdef", inputs=(given,), max_trials=30, max_epochs=30)


def start(folder: Path, *arguments: str, core: int, **settings: str) -> Process:
    """A command of an installation in a folder of its own, on one core: one rank."""
    environment = make_environment(folder, HOME, os.environ)
    return subprocess.Popen(
        ["taskset", "-c", str(core), str(CONTROL), "-P", *arguments],
        env={
            **environment,
            "PYTHONPATH": str(REPO),
            "AIRFLOW_HOME": str(folder / "af"),
            **settings,
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_trials(scratch: Path, trials: int) -> None:
    deadline = time.monotonic() + 120
    while not (
        find_study_file(scratch).is_file()
        and len(find_finished(open_study(find_study_file(scratch)))) >= trials
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def read_answer(leading: Process) -> dict[str, str]:
    """What the first machine's next try gave."""
    assert leading.stdout is not None
    answer: dict[str, str] = next(
        json.loads(line) for line in leading.stdout if line.startswith("{")
    )
    return answer


def replay(spec: TrainSpec, outcome: TrainOutcome, folder: Path) -> ReplayOutcome:
    """Its winner trained once more, by as many processes of one machine."""
    assert outcome.resolved is not None
    asked = ReplaySpec(
        output_uri=(folder / "out").as_uri(),
        train=spec.model_copy(update={"scratch_uri": (folder / "scratch").as_uri()}),
        resolved=outcome.resolved,
        weights_sha256=outcome.weights_sha256,
        code_version=spec.code_version,
    )
    process = start_ranks(REPO / "training" / "main.py", asked, outcome.ranks, folder)
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    return ReplayOutcome.model_validate_json((folder / "out" / "outcome.json").read_bytes())


def test_a_lost_machine_ends_the_try_and_the_next_one_gives_the_model_of_one_machine(
    job_spec: TrainSpec, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "spec.json").write_text(job_spec.model_dump_json())
    cores = sorted(os.sched_getaffinity(0))
    master = f"127.0.0.1:{find_free_ports(1)[0]}"
    node = ("-m", "pipelines.cli", "node", "--master", master, "--rank", "1", "--once")
    leading = start(
        first,
        *(str(FIRST), str(first)),
        core=cores[0],
        MODELMILL_TRAIN_NODES="2",
        MODELMILL_TRAIN_MASTER=master,
        MODELMILL_MLFLOW_URI=f"sqlite:///{tmp_path / 'mlflow.db'}",
    )
    try:
        lost = start(second, *node, core=cores[-1])
        wait_for_trials(tmp_path / "scratch", 3)
        lost.send_signal(signal.SIGKILL)
        lost.communicate(timeout=60)
        before = read_answer(leading)
        back = start(second, *node, core=cores[-1])
        printed, _ = leading.communicate(timeout=240)
        said, _ = back.communicate(timeout=60)
    finally:
        leading.kill()
    assert leading.returncode == 0, printed
    assert back.returncode == 0, said
    # The watch notices, or, where the search ends before that, the ranks themselves.
    noticed = ("Machine 1 has said nothing for 5 s", "Another process of this training has ended")
    assert any(sentence in before["reason"] for sentence in noticed), before["reason"]
    assert "An earlier attempt left its search: going on after" in printed
    assert "2 of 2 machines are here" in printed
    answer = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
    outcome_uri = f"{answer['uri']}/outcome.json".removeprefix("file://")
    outcome = TrainOutcome.model_validate_json(Path(outcome_uri).read_bytes())
    assert outcome.resolved is not None
    assert (outcome.ranks, outcome.resolved.nodes) == (2, 2)
    # Nothing stays on the other machine's disk.
    assert not list((second / "scratch").rglob("*.*"))
    again = replay(job_spec, outcome, tmp_path / "one")
    assert again.same
    assert again.differences == ("nodes 2 then, 1 now",)
