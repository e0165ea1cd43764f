"""The report's first three lines: how good, how sure, what to do next. Pure.

Names of classes stand in “these”, which the page sets apart; sentences are plain text.
"""

from collections.abc import Mapping, Sequence
from statistics import median

from serving.job.evaluation import BadCase, ClassScore, Evaluation
from spark_jobs.metrics.sureness import find_wilson_interval
from spark_jobs.report_models import EtlReport
from spark_jobs.spec import Side

# One round of new pictures makes a class at most so many times as large: the rule behind it is
# rough, and the next report says how far it led.
MOST_GROWTH = 3.0
LEAST_GROWTH = 1.5
# So much below all pictures' accuracy a class's recall is worth a word.
WORTH_TELLING = 0.1
NOTHING_LEFT = (
    "No mistake is left to learn from: try harder pictures, and add those that it meets in service."
)
Counts = Mapping[Side, Mapping[str, int]]


def percent(share: float) -> str:
    """One digit behind the point, and a space that does not break."""
    return f"{100 * share:.1f}\u00a0%"


def say_count(number: int, thing: str) -> str:
    """As “1 picture”, “2 pictures”."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def say_be(number: int) -> str:
    """The verb that goes with it."""
    return "is" if number == 1 else "are"


def say_how_good(evaluation: Evaluation, min_accuracy: float) -> str:
    """Accuracy against the floor, and the class that is found least where that stands out."""
    right, samples = evaluation.samples - evaluation.wrong, evaluation.samples
    floor = "reaches" if evaluation.accuracy >= min_accuracy else "is below"
    text = (
        f"{right} of {say_count(samples, 'test picture')} {say_be(right)} named right: "
        f"{percent(evaluation.accuracy)}, which {floor} the floor of {percent(min_accuracy)}."
    )
    weakest = find_weakest(evaluation)
    if weakest is None or evaluation.accuracy - weakest.recall < WORTH_TELLING:
        return text
    others = [row.recall for row in evaluation.per_class if row.support and row is not weakest]
    rest = f", of every other class at least {percent(min(others))}" if others else ""
    return f"{text} Of “{weakest.label}” it finds {percent(weakest.recall)}{rest}."


def say_how_sure(evaluation: Evaluation, etl: EtlReport) -> str:
    """What to expect of new pictures, and what makes this test side say less than it seems to."""
    interval = evaluation.accuracy_interval
    low, high = 100 * interval.low, percent(interval.high)
    text = f"On new pictures like these, expect {low:.1f} to {high} (95\u00a0% sure)."
    if etl.sides is not None and etl.sides.leaks:
        leaks = say_count(etl.sides.leaks, "group")
        text += f" Less, rather: {leaks} of near-duplicates lie on two sides and flatter it."
    if evaluation.warning:
        return f"{text} {evaluation.warning}"
    points = 100 * evaluation.tellable
    return (
        f"{text} Another model must be about {points:.1f} points better or worse before these "
        "pictures show it."
    )


def find_weakest(evaluation: Evaluation) -> ClassScore | None:
    """The class whose recall is surely low: the lowest upper end of its 95 % interval.

    A class of one test picture, and that one wrong, says less than ten wrong ones of thirty.
    """
    tested = [row for row in evaluation.per_class if row.support]
    return min(tested, key=lambda row: (find_highest(row), -row.support, row.label), default=None)


def find_highest(row: ClassScore) -> float:
    """Upper end of the 95 % interval of its recall."""
    return find_wilson_interval(row.recall * row.support, row.support).high


def say_what_next(evaluation: Evaluation, cases: Sequence[BadCase], counts: Counts) -> str:
    """What would help most: pictures of a class, a look at a mix-up, or at labels."""
    if not evaluation.wrong:
        return NOTHING_LEFT
    weakest = find_weakest(evaluation)
    text = say_doubtful(evaluation, cases, "the class that the model said")
    if weakest is not None and weakest.recall < 1 and find_highest(weakest) < evaluation.accuracy:
        return text + _advise_class(weakest, evaluation, counts)
    return text + _advise_mix_up(evaluation)


def say_doubtful(evaluation: Evaluation, cases: Sequence[BadCase], said: str) -> str:
    """Where many labels look wrong, a sentence and a blank. said: what they look like."""
    doubtful = count_doubtful(cases)
    if not doubtful or 4 * doubtful < evaluation.wrong:
        return ""
    return (
        f"Check labels first: {doubtful} of {say_count(evaluation.wrong, 'wrong answer')} "
        f"{'looks' if doubtful == 1 else 'look'} like {said}, by the "
        "nearest train pictures. "
    )


def count_doubtful(cases: Sequence[BadCase]) -> int:
    """Bad cases whose nearest train pictures, at least two, all are of the class it was called."""
    return sum(
        len(case.neighbours) > 1 and all(near.label == case.predicted for near in case.neighbours)
        for case in cases
    )


def count_pictures(counts: Counts) -> dict[str, int]:
    """Class → pictures on all sides."""
    labels = {label for by in counts.values() for label in by}
    return {label: sum(by.get(label, 0) for by in counts.values()) for label in labels}


def _advise_class(row: ClassScore, evaluation: Evaluation, counts: Counts) -> str:
    totals = count_pictures(counts)
    has = totals.get(row.label, 0)
    text = f"Class “{row.label}” has {say_count(has, 'picture')} and a recall of {row.recall:.2f}: "
    if not counts.get("train", {}).get(row.label):
        text += "none of them is on the train side, so it cannot be learned; import some"
    elif has > 2 * median(totals.values()):
        text += "it has more than most, so look at its mistakes before you add any"
    else:
        text += f"add about {suggest_pictures(has, row, evaluation)} more"
    return f"{text}{_name_mix_up(row, evaluation)}."


def suggest_pictures(has: int, row: ClassScore, evaluation: Evaluation) -> int:
    """How many pictures of a class to add: until it is as good as the others, by a rule of thumb.

    Errors of a classifier fall about as 1 / √pictures (between n^-0.3 and n^-0.5 for pictures in
    Hestness and others, 2017, arXiv:1712.00409); one round is held between LEAST_GROWTH and
    MOST_GROWTH. A round number, for it is no more than a hint.
    """
    others = evaluation.samples - row.support
    missed = row.support * (1 - row.recall)
    elsewhere = (evaluation.wrong - missed) / others if others else 0.0
    return suggest_growth(has, 1 - row.recall, elsewhere)


def suggest_growth(has: int, missed: float, elsewhere: float) -> int:
    """How many to add to `has` pictures; missed: share of its own; elsewhere: of all others."""
    growth = (missed / elsewhere) ** 2 if elsewhere > 0 else MOST_GROWTH
    more = has * (min(MOST_GROWTH, max(LEAST_GROWTH, growth)) - 1)
    step = 5 if more < 50 else 10 if more < 200 else 50
    return max(step, step * round(more / step))


def _name_mix_up(row: ClassScore, evaluation: Evaluation) -> str:
    """The other class that most of its mistakes were taken for, if one stands out."""
    own = evaluation.classes.index(row.label)
    missed = {j: count for j, count in enumerate(evaluation.confusion[own]) if j != own and count}
    if not missed:
        return ""
    most = max(missed, key=lambda j: (missed[j], -j))
    if missed[most] < 2 or 3 * missed[most] < sum(missed.values()):
        return ""
    return (
        f"; {missed[most]} of its {say_count(sum(missed.values()), 'mistake')} are “{row.label}” "
        f"taken for “{evaluation.classes[most]}”"
    )


def _advise_mix_up(evaluation: Evaluation) -> str:
    """No class stands out: the pair of classes that is confused most, either way."""
    classes, confusion = evaluation.classes, evaluation.confusion
    pairs = [(i, j) for i in range(len(classes)) for j in range(i)]
    both = {(i, j): confusion[i][j] + confusion[j][i] for i, j in pairs}
    (one, other), count = max(both.items(), key=lambda item: (item[1], item[0]))
    if count < 2 or 4 * count < evaluation.wrong:
        return (
            "No class stands out: look through the wrong answers below for wrong labels, and for "
            "what they have in common."
        )
    first, second = sorted((one, other))
    return (
        f"No class stands out. {count} of {say_count(evaluation.wrong, 'mistake')} are between "
        f"“{classes[first]}” and “{classes[second]}”: add pictures that show how these two differ."
    )
