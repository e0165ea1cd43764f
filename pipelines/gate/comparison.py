"""Challenger against champion, on the same samples. Pure."""

from typing import Literal

from serving.job.paired_test import (
    LEVEL,
    chance_of_loss,
    find_smallest_loss,
    find_worst_difference,
)
from serving.job.spec import Spec
from spark_jobs.spec import Champion, EvaluateOutcome

Standing = Literal["alone", "other_task", "no_worse", "nearly_as_good", "unsure", "worse"]


class Comparison(Spec):
    """How the challenger stands against the champion, and the numbers of the test.

    accuracy, champion_accuracy: on the samples that both were compared on. chance: that equally
    good models would differ so. worst: the lower end of the difference. tellable: the smallest
    loss that this test side shows. None: nothing was compared, or only the accuracies are known.
    """

    standing: Standing
    samples: int = 0
    accuracy: float | None = None
    champion_accuracy: float | None = None
    challenger_only: int | None = None
    champion_only: int | None = None
    chance: float | None = None
    worst: float | None = None
    tellable: float | None = None


def compare_models(
    accuracy: float, samples: int, champion: Champion, max_loss: float
) -> Comparison:
    """Where the challenger stands.

    - `no_worse`: right at least as often on these samples. A tie or a small gain proves nothing
      either, but among two models that cannot be told apart the one that looks better is the
      better guess, it has seen the newer data, and to doubt it would stop every retraining on a
      small test side for good. That many such steps lead downwards is no danger: none of them
      goes down on these samples.
    - `worse`: right less often, and equally good models would differ so in fewer than 5 of 100
      cases. That comes before max_loss: what is surely worse does not go in.
    - `nearly_as_good`: right less often, but with 95 % not worse by more than max_loss.
    - `unsure`: the rest, which a person or the form decides.
    - `other_task`: no test can tell, for the two answer different things. Who asks the deployment
      would get other answers than they know, so a person or the form decides that, too.

    Where an evaluation of an earlier version left the accuracies alone, less is `worse`.
    """
    paired = champion.paired
    if paired is None:
        if champion.other_task:
            return Comparison(standing="other_task")
        if champion.accuracy is None:
            return Comparison(standing="alone")
        return Comparison(
            standing="worse" if accuracy < champion.accuracy else "no_worse",
            samples=samples,
            accuracy=accuracy,
            champion_accuracy=champion.accuracy,
        )
    n, gained, lost = paired.samples, paired.challenger_only, paired.champion_only
    if n == 0:
        return Comparison(standing="unsure")
    chance, worst = chance_of_loss(gained, lost), find_worst_difference(n, gained, lost)
    standing: Standing = "unsure"
    if gained >= lost:
        standing = "no_worse"
    elif chance <= 1 - LEVEL:
        standing = "worse"
    elif worst >= -max_loss:
        standing = "nearly_as_good"
    return Comparison(
        standing=standing,
        samples=n,
        accuracy=(paired.both + gained) / n,
        champion_accuracy=(paired.both + lost) / n,
        challenger_only=gained,
        champion_only=lost,
        chance=chance,
        worst=worst,
        tellable=find_smallest_loss(n, gained + lost),
    )


def compare_reference(evaluate: EvaluateOutcome, max_loss: float) -> Comparison | None:
    """The same against the reference; None where the champion is it, or it is left out."""
    reference = evaluate.reference
    if reference is None or reference.paired is None or not reference.paired.samples:
        return None
    return compare_models(evaluate.accuracy, evaluate.test_samples, reference, max_loss)
