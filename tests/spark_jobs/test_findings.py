"""Seconds of steps: each second once."""

import time

import pytest

from spark_jobs.findings import Findings


def test_what_is_timed_inside_a_step_is_not_counted_twice() -> None:
    findings = Findings()
    for _ in range(2):
        with findings.time_step("stage"):
            with findings.time_step("facts"):
                time.sleep(0.1)
            time.sleep(0.05)
    assert findings.seconds["facts"] == pytest.approx(0.2, abs=0.08)
    assert findings.seconds["stage"] == pytest.approx(0.1, abs=0.08)


def test_a_step_that_fails_is_timed_too() -> None:
    findings = Findings()
    with pytest.raises(ValueError, match="torn"), findings.time_step("stage"):
        raise ValueError("torn")
    assert findings.seconds.keys() == {"stage"}
