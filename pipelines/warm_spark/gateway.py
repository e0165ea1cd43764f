"""A few words of Py4J's protocol: enough to ask a JVM how it is. Standard library only.

pyspark speaks the same with the JVM that it is given by PYSPARK_GATEWAY_PORT.
"""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

HOST = "127.0.0.1"
_OBJECT = re.compile(r"o\d+")
# Calls a method without arguments, of a class or of an object that an earlier call gave; what came
# back, as Py4J writes it.
Call = Callable[[str, str], str]


class Gateway(NamedTuple):
    """Where a JVM listens, and what it has to be told before anything else."""

    port: int
    secret: str


class NoAnswerError(Exception):
    """The JVM is gone, or too busy with itself to answer."""


@contextmanager
def talk(gateway: Gateway, patience_s: float) -> Iterator[Call]:
    """One connection; NoAnswerError where an answer takes longer than patience_s."""
    try:
        with (
            socket.create_connection((HOST, gateway.port), patience_s) as connection,
            connection.makefile("rw", encoding="utf-8", newline="\n") as lines,
        ):

            def ask(*words: str) -> str:
                lines.write("".join(f"{word}\n" for word in words))
                lines.flush()
                answer = lines.readline().rstrip("\n")
                if not answer.startswith("!y"):
                    raise NoAnswerError(f"the JVM answered {answer!r}")
                return answer.removeprefix("!y")

            def call(owner: str, method: str) -> str:
                target = owner if _OBJECT.fullmatch(owner) else f"z:{owner}"
                return ask("c", target, method, "e")

            ask("A", gateway.secret)
            yield call
    except OSError as error:
        raise NoAnswerError(f"the JVM does not answer: {error}") from error


def check_answers(gateway: Gateway, patience_s: float) -> None:
    """NoAnswerError where the JVM does not do the simplest thing in time."""
    with talk(gateway, patience_s) as call:
        call("java.lang.System", "nanoTime")


def is_spark_idle(gateway: Gateway, patience_s: float) -> bool:
    """True where no session is left in it; its garbage has been collected then."""
    with talk(gateway, patience_s) as call:
        call("java.lang.System", "gc")
        session = call("org.apache.spark.sql.classic.SparkSession", "getDefaultSession")
        return call(session.removeprefix("r"), "isEmpty") == "btrue"
