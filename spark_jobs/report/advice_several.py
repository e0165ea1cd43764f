"""Where a picture may have several labels: how good the answers are, what to do next. Pure.

Names of labels stand in “these”, as in advice.
"""

from collections.abc import Sequence
from statistics import median

from serving.job.evaluation import BadCase, ClassScore, Evaluation, MixUp
from spark_jobs.metrics.sureness import find_wilson_interval
from spark_jobs.report.advice import (
    NOTHING_LEFT,
    WORTH_TELLING,
    Counts,
    count_pictures,
    find_highest,
    find_weakest,
    percent,
    say_be,
    say_count,
    say_doubtful,
    suggest_growth,
)
from spark_jobs.report.several import count_label


def say_how_good(evaluation: Evaluation, min_accuracy: float) -> str:
    """Pictures that are all right against the floor, then label by label, then the weakest one."""
    right, samples = evaluation.samples - evaluation.wrong, evaluation.samples
    floor = "reaches" if evaluation.accuracy >= min_accuracy else "is below"
    text = (
        f"{right} of {say_count(samples, 'test picture')} {'has' if right == 1 else 'have'} every "
        f"label right and none too much: {percent(evaluation.accuracy)}, which {floor} the floor "
        f"of {percent(min_accuracy)}. Of all labels there are, it finds "
        f"{percent(evaluation.micro.recall)}; of those that it says, "
        f"{percent(evaluation.micro.precision)} are right."
    )
    weakest = find_weakest(evaluation)
    if weakest is None or evaluation.micro.recall - weakest.recall < WORTH_TELLING:
        return text
    found = count_label(weakest).found
    return (
        f"{text} Weakest is “{weakest.label}”: found in {found} of "
        f"{say_count(weakest.support, 'picture')} that {_have(weakest.support)} it."
    )


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def say_what_next(evaluation: Evaluation, cases: Sequence[BadCase], counts: Counts) -> str:
    """What would help most: pictures with a label, or without it, or a look at labels."""
    if not evaluation.wrong:
        return NOTHING_LEFT
    text = say_doubtful(evaluation, cases, "what the model said")
    weakest, loudest = find_weakest(evaluation), find_loudest(evaluation)
    missed = wrongly = 0
    if weakest is not None and find_highest(weakest) < evaluation.micro.recall:
        missed = count_label(weakest).missed
    if loudest is not None and _most_right(loudest) < evaluation.micro.precision:
        wrongly = count_label(loudest).wrongly
    if weakest is not None and missed and missed >= wrongly:
        return text + _advise_missed(weakest, evaluation, counts)
    if loudest is not None and wrongly:
        return text + _advise_wrongly(loudest)
    return text + _advise_mix_up(evaluation)


def find_loudest(evaluation: Evaluation) -> ClassScore | None:
    """The label that is surely said too often: the lowest upper end of its precision's interval."""
    said = [row for row in evaluation.per_class if row.predicted]
    return min(said, key=lambda row: (_most_right(row), -row.predicted, row.label), default=None)


def _most_right(row: ClassScore) -> float:
    return find_wilson_interval(row.precision * row.predicted, row.predicted).high


def _advise_missed(row: ClassScore, evaluation: Evaluation, counts: Counts) -> str:
    totals = count_pictures(counts)
    has, missed = totals.get(row.label, 0), count_label(row).missed
    text = (
        f"Label “{row.label}” is missed in {missed} of {say_count(row.support, 'picture')} that "
        f"{_have(row.support)} it: "
    )
    if not counts.get("train", {}).get(row.label):
        text += "none is on the train side, so it cannot be learned; import some"
    elif has > 2 * median(totals.values()):
        text += "more pictures have it than most labels, so look at these before you add any"
    else:
        text += f"add about {_suggest(has, row, evaluation)} more"
    return f"{text}{_name_instead(row, missed, evaluation.mix_ups)}."


def _suggest(has: int, row: ClassScore, evaluation: Evaluation) -> int:
    others = [count_label(one) for one in evaluation.per_class if one.label != row.label]
    there = sum(one.found + one.missed for one in others)
    elsewhere = sum(one.missed for one in others) / there if there else 0.0
    return suggest_growth(has, 1 - row.recall, elsewhere)


def _name_instead(row: ClassScore, missed: int, mix_ups: Sequence[MixUp]) -> str:
    """What is said where it is missed, if one label stands out."""
    instead = [one for one in mix_ups if one.label == row.label and one.predicted]
    most = max(instead, key=lambda one: one.samples, default=None)
    if most is None or most.samples < 2 or 3 * most.samples < missed:
        return ""
    return f"; in {most.samples} of these, “{most.predicted}” is wrongly said"


def _advise_wrongly(row: ClassScore) -> str:
    wrongly = count_label(row).wrongly
    return (
        f"Label “{row.label}” is wrong in {wrongly} of {say_count(row.predicted, 'picture')} that "
        f"{say_be(row.predicted)} said to have it: look through these, and add pictures without "
        "it that look like them."
    )


def _advise_mix_up(evaluation: Evaluation) -> str:
    """No label stands out: the mix-up that is in most wrong answers."""
    most = max(evaluation.mix_ups, key=lambda one: one.samples, default=None)
    if most is None or most.samples < 2 or 4 * most.samples < evaluation.wrong:
        return (
            "No label stands out: look through the wrong answers below for wrong labels, and for "
            "what they have in common."
        )
    share = f"In {most.samples} of {say_count(evaluation.wrong, 'wrong answer')}"
    if not most.predicted:
        told = f"“{most.label}” is missed and nothing else is said: add pictures with it that"
        return f"No label stands out. {share}, {told} look like these."
    if not most.label:
        told = f"“{most.predicted}” is said too much: add pictures without it that"
        return f"No label stands out. {share}, {told} look like these."
    return (
        f"No label stands out. {share}, “{most.label}” is missed and “{most.predicted}” said "
        "instead: add pictures that show how these two differ."
    )
