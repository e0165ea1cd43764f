"""Is a new version too slow to get requests? Timed beside the one in service, in turns."""

import statistics
import time
from collections.abc import Sequence
from itertools import cycle, islice

from serving.smoke import ServeError, ask

# Timed answers of each version; one more before them warms it up.
ROUNDS = 5
# How many times the seconds of the version in service are too many,
SLOWER = 5.0
# but for answers that people hardly wait for;
UNNOTICED_SECONDS = 0.25
# and what is too much where there is nothing to compare with.
ALONE_SECONDS = 5.0


def find_slowness(address: str, beside: str | None, pictures: Sequence[bytes]) -> str:
    """A sentence where a picture takes too long; else nothing.

    beside: address of a server of the version in service that is as idle; None: there is none. One
    that answers wrongly is none, either: what is broken must not keep out what replaces it.
    """
    seconds, before = time_in_turns(address, beside, pictures)
    taken = f"it takes {seconds:.3f} s a picture (median of {ROUNDS})"
    if before is None:
        return f"{taken}, and {ALONE_SECONDS:g} s is the most." if seconds > ALONE_SECONDS else ""
    limit = max(UNNOTICED_SECONDS, SLOWER * before)
    if seconds <= limit:
        return ""
    return (
        f"{taken}, and the version in service {before:.3f} s on the same pictures: at most "
        f"{limit:.3f} s is taken, {SLOWER:g} times that or {UNNOTICED_SECONDS:g} s."
    )


def time_in_turns(
    address: str, beside: str | None, pictures: Sequence[bytes]
) -> tuple[float, float | None]:
    """Median seconds of each, asked in turns, so that both have the machine's same moments.

    Raises ServeError where `address` does not answer; None where `beside` does not.
    """
    taken: list[float] = []
    compared: list[float] = []
    for picture in islice(cycle(pictures), 1 + ROUNDS):
        taken.append(_time(address, picture))
        try:
            if beside is not None:
                compared.append(_time(beside, picture))
        except ServeError as error:
            print(f"The version in service cannot be timed beside it: {error}", flush=True)
            beside = None
    return statistics.median(taken[1:]), statistics.median(compared[1:]) if beside else None


def _time(address: str, picture: bytes) -> float:
    begin = time.perf_counter()
    ask(address, "a picture that was timed", picture)
    return time.perf_counter() - begin
