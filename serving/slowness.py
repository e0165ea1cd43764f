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


def check_pace(address: str, beside: str | None, pictures: Sequence[bytes]) -> None:
    """Raises ServeError where a picture takes too long.

    beside: address of a server of the version in service that is as idle; None: there is none.
    """
    seconds = time_in_turns([address, *([] if beside is None else [beside])], pictures)
    taken = f"it takes {seconds[0]:.3f} s a picture (median of {ROUNDS})"
    if beside is None:
        if seconds[0] > ALONE_SECONDS:
            raise ServeError(
                f"{taken}, and {ALONE_SECONDS:g} s is the most. Train with a smaller backbone or "
                "input (max_latency_ms in the form)."
            )
        return
    limit = max(UNNOTICED_SECONDS, SLOWER * seconds[1])
    if seconds[0] > limit:
        raise ServeError(
            f"{taken}, and the version in service {seconds[1]:.3f} s on the same pictures: at most "
            f"{limit:.3f} s is taken, {SLOWER:g} times that or {UNNOTICED_SECONDS:g} s. Train with "
            "a smaller backbone or input (max_latency_ms in the form)."
        )


def time_in_turns(addresses: Sequence[str], pictures: Sequence[bytes]) -> list[float]:
    """Median seconds of each server, asked in turns, so that all have the machine's same moments.

    Raises ServeError where one does not answer.
    """
    taken: list[list[float]] = [[] for _ in addresses]
    for picture in islice(cycle(pictures), 1 + ROUNDS):
        for address, seconds in zip(addresses, taken, strict=True):
            begin = time.perf_counter()
            ask(address, "a picture that was timed", picture)
            seconds.append(time.perf_counter() - begin)
    return [statistics.median(seconds[1:]) for seconds in taken]
