"""Are two models equally good, from the samples on which only one of them is right? Pure."""

from math import comb


def chance_of_difference(one_only: int, other_only: int) -> float:
    """How likely a difference this large or larger is, either way, were both equally good.

    The exact two-sided test of McNemar (1947), Psychometrika 12:153-157: each of the samples on
    which just one is right falls to either like a fair coin. Whole numbers until the last step.
    """
    tosses, fewer = one_only + other_only, min(one_only, other_only)
    ways = term = comb(tosses, 0)
    for k in range(1, fewer + 1):
        term = term * (tosses - k + 1) // k
        ways += term
    chance: float = 2 * ways / 2**tosses
    return min(1.0, chance)
