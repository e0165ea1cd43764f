from collections.abc import Callable
from pathlib import Path

from tests.training.conftest import start_ranks
from training.spec import TrainSpec

MakeSpec = Callable[..., TrainSpec]
# Rank 0 comes when the other one has looked for it in vain.
SCRIPT = """
import os
import time

from training.ranks import join_ranks

if os.environ["PADDLE_TRAINER_ID"] == "0":
    time.sleep(2)
ranks = join_ranks("cpu")
content = ranks.broadcast(b"told" if ranks.leads else b"")
print(ranks.rank, content, flush=True)
"""
# Only the second one asks for a card, of which the build for CPU knows none.
ONE_FAILS = """
import os
import time

from serving.job.errors import UserError
from training.ranks import join_ranks

rank = int(os.environ["PADDLE_TRAINER_ID"])
try:
    join_ranks("gpu" if rank else "cpu")
except UserError as error:
    print(rank, "heard:", error, flush=True)
# The others ask the first one what there is to hear.
time.sleep(2 * (rank == 0))
"""
# Paddle's word for it; it looks again three seconds later.
IN_VAIN = "Retry to connect"


def test_rank_that_comes_first_does_not_look_for_the_leader_in_vain(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    script = tmp_path / "join.py"
    script.write_text(SCRIPT)
    process = start_ranks(script, make_spec(), 2, tmp_path / "work", GLOG_minloglevel="0")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    log = (tmp_path / "work" / "logs" / "workerlog.1").read_text()
    assert "1 b'told'" in log
    assert "Successfully connected" in log
    assert IN_VAIN not in log


def test_a_card_that_one_rank_lacks_is_an_error_on_all(make_spec: MakeSpec, tmp_path: Path) -> None:
    script, folder = tmp_path / "join.py", tmp_path / "work"
    script.write_text(ONE_FAILS)
    process = start_ranks(script, make_spec(), 2, folder)
    try:
        printed, _ = process.communicate(timeout=60)
    finally:
        # Ranks that wait for ever would stay.
        process.terminate()
    assert process.returncode == 0, printed
    for rank in range(2):
        log = (folder / "logs" / f"workerlog.{rank}").read_text()
        assert f"{rank} heard: devices=gpu, but" in log
