"""Jobs in the warm JVM, and everything that may befall it: the job is done all the same."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.process import end_group
from tests.pipelines.warm_spark.conftest import Job, Keep, Kept, wait_for

pytestmark = pytest.mark.integration

SUM = str(sum(range(1000)))
LONG = 600


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def check_submitted(job: Job, tries: int, reason: str) -> None:
    """Done in the end, by spark-submit, which the log says in a line."""
    code, log = job.finish()
    assert code == 0, log
    assert job.result == SUM
    assert len({jvm for jvm, _ in job.tries}) == len(job.tries) == tries
    (line,) = (line for line in log.splitlines() if "spark-submit starts instead" in line)
    assert reason in line


def test_jobs_take_turns_in_one_jvm_and_each_has_its_own_driver(keep: Keep) -> None:
    kept = keep()
    jobs = [kept.borrow() for _ in range(1)]
    assert jobs[0].finish()[0] == 0
    kept.wait_until_free()
    # A sentence for the user is final, whatever runs the job.
    jobs.append(kept.borrow(exit=64))
    assert jobs[1].finish()[0] == 64
    kept.wait_until_free()
    jobs.append(kept.borrow())
    assert jobs[2].finish()[0] == 0
    assert [job.result for job in jobs] == [SUM] * 3
    pairs = [pair for job in jobs for pair in job.tries]
    assert len({jvm for jvm, _ in pairs}) == 1
    assert len({driver for _, driver in pairs}) == 3
    assert all("spark-submit" not in job.finish()[1] for job in jobs)


def test_a_job_that_fails_is_tried_by_spark_submit(keep: Keep) -> None:
    kept = keep()
    job = kept.borrow(exit=3)
    code, log = job.finish()
    assert (code, len(job.tries)) == (3, 2), log
    assert "ended with exit code 3" in log
    # What it may have left in there has gone with its JVM.
    assert is_gone(job.tries[0][0])
    kept.wait_until_free()
    assert kept.borrow().finish()[0] == 0


def test_who_comes_second_does_not_wait(keep: Keep) -> None:
    kept = keep()
    first = kept.borrow(wait=30)
    warm = first.wait_until_running()
    check_submitted(kept.borrow(), 1, "another job has the JVM")
    assert first.finish()[0] == 0
    assert [jvm for jvm, _ in first.tries] == [warm]


def test_other_code_or_settings_end_the_keeper(keep: Keep) -> None:
    kept = keep()
    check_submitted(kept.borrow(fingerprint="another"), 1, "other code or other settings")
    assert kept.process.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_keeper_that_is_dead_or_hangs_is_not_waited_for(keep: Keep, number: int) -> None:
    kept = keep()
    os.kill(kept.process.pid, number)
    check_submitted(kept.borrow(), 1, "its keeper does not answer")


def kill_keeper(kept: Kept, _: int) -> None:
    os.kill(kept.process.pid, signal.SIGKILL)


def kill_jvm(_: Kept, jvm: int) -> None:
    os.kill(jvm, signal.SIGKILL)


def stop_jvm(_: Kept, jvm: int) -> None:
    os.kill(jvm, signal.SIGSTOP)


@pytest.mark.parametrize("befall", [kill_keeper, kill_jvm, stop_jvm])
def test_a_job_survives_what_ends_its_jvm(keep: Keep, befall: Callable[[Kept, int], None]) -> None:
    kept = keep()
    job = kept.borrow(wait=LONG)
    warm = job.wait_until_running()
    befall(kept, warm)
    check_submitted(job, 2, "")
    wait_for(lambda: is_gone(warm), "the JVM is still there")
    if befall is not kill_keeper:
        kept.wait_until_free()
        after = kept.borrow()
        assert after.finish()[0] == 0
        assert len(after.tries) == 1


def test_a_hung_jvm_is_found_before_a_job_starts_in_it(keep: Keep) -> None:
    kept = keep()
    first = kept.borrow()
    assert first.finish()[0] == 0
    kept.wait_until_free()
    warm = first.tries[0][0]
    stop_jvm(kept, warm)
    check_submitted(kept.borrow(), 1, "does not answer")
    assert is_gone(warm)
    kept.wait_until_free()


@pytest.mark.parametrize(
    ("limits", "spec"), [({"memory": 1}, {}), ({"jobs": 1}, {}), ({}, {"leave": True})]
)
def test_a_jvm_that_leaks_or_is_old_or_not_clean_is_replaced(
    keep: Keep, limits: dict[str, int], spec: dict[str, Any]
) -> None:
    kept = keep(**limits)
    jobs = []
    for _ in range(2):
        jobs.append(kept.borrow(**spec))
        assert jobs[-1].finish()[0] == 0
        wait_for(lambda: is_gone(jobs[-1].tries[0][0]), "the JVM is still there")
        kept.wait_until_free()
    assert [len(job.tries) for job in jobs] == [1, 1]


def test_a_cancelled_job_ends_in_the_jvm_too(keep: Keep) -> None:
    kept = keep()
    job = kept.borrow(wait=LONG)
    warm = job.wait_until_running()
    driver = job.tries[0][1]
    # As on_kill of Airflow's task does it.
    end_group(job.process.pid)
    job.process.wait()
    wait_for(lambda: is_gone(warm) and is_gone(driver), "the job goes on")
    kept.wait_until_free()
    assert len(job.tries) == 1
    assert not (job.folder / "result").exists()
