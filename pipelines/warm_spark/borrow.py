"""Run a Spark job in the JVM that is kept warm; by spark-submit where that cannot be, or failed.

python -m pipelines.warm_spark.borrow SOCKET FINGERPRINT PATIENCE SPARK-SUBMIT … MAIN.PY --spec SPEC

Standard library only: this process starts before each job.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from pipelines.process import tie_to_parent
from pipelines.warm_spark.gateway import Gateway, NoAnswerError, check_answers

DONE = b"done\n"
BUSY, STARTING, FREE = "another job has the JVM", "the JVM is starting", "the JVM is free"
LOOK_EVERY_S = 2.0
# Done, and the user's error: no other JVM would find otherwise.
FINAL = (0, 64)
PYTHON_VARIABLE = "PYSPARK_DRIVER_PYTHON"


class Asking(NamedTuple):
    """What is said first. fingerprint: of the code and settings that the job wants.

    only_looking: nothing is wanted but an answer.
    """

    fingerprint: str = ""
    only_looking: bool = False


class Loan(NamedTuple):
    """The JVM's gateway."""

    port: int
    secret: str


class RefusedError(Exception):
    """There is no warm JVM for this job; the text says why."""


class FailedError(Exception):
    """The job has not come to its own end; the text says why."""


def ask(place: str, asking: Asking, patience_s: float) -> tuple[socket.socket, Loan]:
    """The loan lasts as long as the connection is open; RefusedError."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(patience_s)
        connection.connect(place)
        connection.sendall(json.dumps(asking._asdict()).encode())
        answer = json.loads(connection.makefile("rb").readline() or b"{}")
    except (OSError, ValueError) as error:
        connection.close()
        raise RefusedError(f"its keeper does not answer: {error}") from error
    if "secret" not in answer:
        connection.close()
        raise RefusedError(answer.get("refused", "its keeper has other code or other settings"))
    return connection, Loan(**answer)


def run_in(loan: Loan, script: Sequence[str], patience_s: float) -> int:
    """The job's exit code; FailedError where a new JVM may do better."""
    environment = {
        **os.environ,
        "PYSPARK_GATEWAY_PORT": str(loan.port),
        "PYSPARK_GATEWAY_SECRET": loan.secret,
    }
    job = subprocess.Popen(tie_to_parent([os.environ[PYTHON_VARIABLE], *script]), env=environment)
    while True:
        try:
            code = job.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            pass
        else:
            if code in FINAL:
                return code
            raise FailedError(f"the job ended with exit code {code}")
        try:
            check_answers(Gateway(*loan), patience_s)
        except NoAnswerError as error:
            job.kill()
            job.wait()
            raise FailedError(str(error)) from error


def _submit(argv: Sequence[str], reason: str) -> NoReturn:
    print(f"Warm Spark: {reason}; spark-submit starts instead", flush=True)
    os.execv(argv[0], list(argv))  # noqa: S606 - an argv of our own


def main(arguments: Sequence[str]) -> int:
    """The job's exit code."""
    place, fingerprint, patience_s, *submit = arguments
    try:
        connection, loan = ask(place, Asking(fingerprint), float(patience_s))
    except RefusedError as error:
        _submit(submit, str(error))
    print("Warm Spark: a JVM is there, the job starts in it", flush=True)
    try:
        with connection:
            # The last three words are the script, --spec and the spec.
            code = run_in(loan, submit[-3:], float(patience_s))
            # Should the keeper have gone meanwhile: the job is done.
            with suppress(OSError):
                connection.sendall(DONE)
    except FailedError as error:
        _submit(submit, str(error))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
