"""Is one of two models worse, from the samples on which only one of them is right? Pure.

Two models on the same n samples: challenger_only were right with the challenger alone,
champion_only with the champion alone; together the m on which they differ. The difference in
accuracy is (challenger_only - champion_only) / n.
"""

import math
from statistics import NormalDist

LEVEL = 0.95


def _weigh(m: int, k: int) -> float:
    """Probability of k heads in m tosses of a fair coin."""
    ways = math.lgamma(m + 1) - math.lgamma(k + 1) - math.lgamma(m - k + 1)
    return math.exp(ways - m * math.log(2))


def chance_of_loss(challenger_only: int, champion_only: int) -> float:
    """How likely at least champion_only would be, were the models equally good.

    The exact one-sided test of McNemar (1947), Psychometrika 12:153-157: where neither is better,
    each sample on which they differ falls to either like a fair coin.
    """
    m = challenger_only + champion_only
    return min(1.0, math.fsum(_weigh(m, k) for k in range(champion_only, m + 1)))


def chance_of_difference(one_only: int, other_only: int) -> float:
    """How likely a difference this large or larger is, either way, were both equally good.

    The same test with two sides.
    """
    fewer, more = sorted((one_only, other_only))
    return min(1.0, 2 * chance_of_loss(fewer, more))


def find_smallest_loss(samples: int, differing: int) -> float:
    """The smallest loss in accuracy that chance_of_loss calls clear, at LEVEL.

    Given the samples on which the models differ; fewer than five can never be clear, so that it
    is then what five would show. Above 1: so few samples never show a loss.
    """
    chance = 0.0
    m = differing
    while _weigh(m, m) > 1 - LEVEL:
        m += 1
    least = m
    for k in range(m, -1, -1):
        chance += _weigh(m, k)
        if chance > 1 - LEVEL:
            break
        least = k
    return (2 * least - m) / samples


def find_worst_difference(samples: int, challenger_only: int, champion_only: int) -> float:
    """The lower end of the difference in accuracy, at LEVEL one-sided; -1 without samples.

    The score interval of Tango (1998), Statistics in Medicine 17:891-908: the lowest difference
    that a score test does not refuse. It also holds where the models never differ.
    """
    if not samples:
        return -1.0
    z = NormalDist().inv_cdf(LEVEL)
    low, high = -1.0, (challenger_only - champion_only) / samples
    while high - low > 1e-12:
        middle = (low + high) / 2
        # Its size falls from low to high, and is 0 at what was observed.
        if score_difference(samples, challenger_only, champion_only, middle) > z:
            low = middle
        else:
            high = middle
    return low


def score_difference(
    samples: int, challenger_only: int, champion_only: int, difference: float
) -> float:
    """Tango's statistic, about standard normal where `difference` is the true one."""
    share = restrict_share(samples, challenger_only, champion_only, difference)
    variance = samples * (2 * share + difference * (1 - difference))
    observed = challenger_only - champion_only - samples * difference
    if variance <= 0:
        return math.copysign(math.inf, observed) if observed else 0.0
    return observed / math.sqrt(variance)


def restrict_share(
    samples: int, challenger_only: int, champion_only: int, difference: float
) -> float:
    """The likeliest share of champion_only among all samples, were `difference` the true one."""
    a = 2 * samples
    b = (a - challenger_only + champion_only) * difference - challenger_only - champion_only
    c = -champion_only * difference * (1 - difference)
    return (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
