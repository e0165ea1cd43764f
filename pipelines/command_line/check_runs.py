"""Run checks: side by side, their output line by line, and what failed once more at the end."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from pipelines.local.layout import REPO
from pipelines.local.report import say

# What pytest ends with where tests failed, and with nothing worse.
TESTS_FAILED = 1
# What its output says of a failure: the summary's lines, and what was wrong.
TELLING = ("FAILED ", "ERROR ", "E   ")
MOST_TOLD = 60


@dataclass(frozen=True)
class Check:
    """One program that ends with 0 when all is well; `environment` is added to the others'.

    again: what is added to its argv to repeat only what failed; nothing: it is not repeated.
    """

    title: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    again: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A check that ended with another code than 0, and what it said of that.

    passed_alone: its tests passed when they were repeated with no others beside them.
    """

    check: Check
    code: int
    told: tuple[str, ...]
    passed_alone: bool = False


def run_checks(checks: Sequence[Check], environment: Mapping[str, str]) -> list[Failure]:
    """Run them one after the other; those that failed."""
    failures = []
    for check in checks:
        say(f"== {check.title} …")
        begin = time.monotonic()
        code, told = _run(check, environment)
        verdict = "passed" if code == 0 else f"failed ({code})"
        say(f"== {check.title}: {verdict}, {time.monotonic() - begin:.0f} s")
        if code:
            failures.append(Failure(check, code, told))
    return failures


def run_side_by_side(
    streams: Sequence[Sequence[Check]], environment: Mapping[str, str]
) -> list[Failure]:
    """Run the streams at the same time: most tests wait for an engine more than they compute.

    Tests that wait for real engines beside others have time limits, which a busy machine may break:
    what failed is repeated alone.
    """
    with ThreadPoolExecutor(len(streams)) as pool:
        found = pool.map(lambda checks: run_checks(checks, environment), streams)
        failures = [failure for failures in found for failure in failures]
    return [_try_again(failure, environment) for failure in failures]


def _try_again(failure: Failure, environment: Mapping[str, str]) -> Failure:
    check = failure.check
    if failure.code != TESTS_FAILED or not check.again:
        return failure
    argv = (*check.argv, *check.again)
    left = run_checks([replace(check, title=f"{check.title}, once more", argv=argv)], environment)
    return left[0] if left else replace(failure, passed_alone=True)


def _run(check: Check, environment: Mapping[str, str]) -> tuple[int, tuple[str, ...]]:
    """Exit code, and the telling lines of the output."""
    told: list[str] = []
    with subprocess.Popen(
        check.argv,
        cwd=REPO,
        env={**environment, **check.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        # Line by line, under its name: another stream may write between them.
        for line in process.stdout or ():
            say(f"{check.title} | {line.rstrip()}")
            if line.startswith(TELLING):
                told.append(line.rstrip())
    return process.returncode, tuple(told)


def tell(failures: Sequence[Failure]) -> None:
    """What failed, in short: the output of the others lies between it and the end."""
    for failure in failures:
        alone = ", and passed when it ran alone" if failure.passed_alone else ""
        say(f"== {failure.check.title} failed ({failure.code}){alone}:")
        for line in failure.told[-MOST_TOLD:]:
            say(f"   {line}")
