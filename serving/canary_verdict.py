"""Is a canary worse than the champion, by what both have answered meanwhile? Pure.

A look during the window may only send the canary away where chance would hardly ever do that
(EARLY_LEVEL), so that looking often raises no false alarms; the last look decides at LEVEL. This is
the rule of Haybittle (1971) and Peto (1976), British Journal of Cancer 34:585-612.
"""

import math
from collections.abc import Sequence
from typing import Literal

from serving.job.spec import Spec

LEVEL = 0.01
EARLY_LEVEL = 0.001
# What share of the requests may be slower than the time that is compared.
TAIL = 0.05
# How many times the champion's 95th percentile is too slow.
SLOWER = 2.0
# Below this nobody waits.
NOTICED_SECONDS = 0.02
# Fewer do not tell a 95th percentile.
MIN_TIMED = 20


class Seen(Spec):
    """What one version has done. errors: answers of 5xx, and attempts that got no answer.

    timed: how many answers took at most so many seconds, by rising seconds, the last infinite.
    """

    requests: int = 0
    errors: int = 0
    timed: tuple[tuple[float, int], ...] = ()

    @property
    def answers(self) -> int:
        """How many have a time."""
        return self.timed[-1][1] if self.timed else 0


class Verdict(Spec):
    """What to do with the canary; why is the end of a sentence."""

    decision: Literal["wait", "return", "promote"]
    why: str = ""


def chance_of_errors(champion: Seen, canary: Seen) -> float:
    """How likely so many of all errors would fall to the canary, were both equally good.

    Fisher's exact test with one side: errors fall to requests blindly.
    """
    from scipy.stats import hypergeom

    requests, errors = champion.requests + canary.requests, champion.errors + canary.errors
    if not canary.errors:
        return 1.0
    return float(hypergeom.sf(canary.errors - 1, requests, errors, canary.requests))


def find_percentile(timed: Sequence[tuple[float, int]], share: float = 1 - TAIL) -> float:
    """Seconds that this share of the answers took at most, straight between edges; 0 of none."""
    total = timed[-1][1] if timed else 0
    below, at = 0.0, 0
    for edge, count in timed:
        if total and count >= share * total:
            if math.isinf(edge) or count == at:
                return below if math.isinf(edge) else edge
            return below + (edge - below) * (share * total - at) / (count - at)
        below, at = edge, count
    return 0.0


def find_limit(champion: Seen) -> float:
    """Seconds that at most TAIL of the canary's answers may exceed; infinite: not to be told."""
    if champion.answers < MIN_TIMED:
        return math.inf
    wanted = max(NOTICED_SECONDS, SLOWER * find_percentile(champion.timed))
    return next(edge for edge, _ in champion.timed if edge >= wanted)


def count_slower(seen: Seen, limit: float) -> int:
    """Answers that took longer; limit: one of the edges."""
    return seen.answers - max((count for edge, count in seen.timed if edge <= limit), default=0)


def chance_of_slowness(canary: Seen, limit: float) -> float:
    """How likely so many answers above the limit would be, were they TAIL of all: binomial."""
    from scipy.stats import binom

    slower = count_slower(canary, limit)
    if not slower or canary.answers < MIN_TIMED:
        return 1.0
    return float(binom.sf(slower - 1, canary.answers, TAIL))


def judge(champion: Seen, canary: Seen, *, over: bool) -> Verdict:
    """What to do now; over: the window has ended, and the answer is not "wait"."""
    level = LEVEL if over else EARLY_LEVEL
    numbers = (
        f"{canary.errors} of its {canary.requests} requests failed, and {champion.errors} of the "
        f"{champion.requests} of the version in service"
    )
    if chance_of_errors(champion, canary) < level:
        return Verdict(decision="return", why=numbers)
    limit = find_limit(champion)
    if chance_of_slowness(canary, limit) < level:
        return Verdict(
            decision="return",
            why=(
                f"{count_slower(canary, limit)} of its {canary.answers} answers took more than "
                f"{limit:g} s, {SLOWER:g} times what 95 % of the other version's stay below "
                f"({find_percentile(champion.timed):.3f} s) or more"
            ),
        )
    if not over:
        return Verdict(decision="wait")
    if canary.errors and canary.errors == canary.requests and champion.errors < champion.requests:
        return Verdict(decision="return", why=numbers)
    if not canary.requests:
        came = f"none of {champion.requests} requests fell to it" if champion.requests else ""
        why = f"{came or 'no request came in'}; nothing could be compared"
        return Verdict(decision="promote", why=why)
    timed = "" if math.isfinite(limit) and canary.answers >= MIN_TIMED else "; too few to time"
    return Verdict(decision="promote", why=numbers + timed)
