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
