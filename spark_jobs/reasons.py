"""Why the model may have got a sample wrong, as sentences. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serving.bundle.manifest import SEVERAL, Task
from serving.bundle.operating_point import find_declined
from serving.job.evaluation import BadCase, Evaluation
from serving.job.labels import list_classes
from serving.job.suspects import Suspect
from spark_jobs.label_sets import name_labels

# Cosine of features above which two pictures are all but the same.
COPY = 0.97
# A pair of classes is often confused from so many samples on, and so large a share of the class.
OFTEN, OFTEN_SHARE = 3, 0.1
FLAGS = {
    "blurred": "blurred",
    "too_dark": "very dark",
    "too_bright": "very bright",
    "too_small": "very small",
}


@dataclass(frozen=True)
class Evidence:
    """What is known beside the case itself. flags: of the picture's quality."""

    evaluation: Evaluation
    flags: Sequence[str] = ()
    suspect: Suspect | None = None


def doubt_label(suspect: Suspect, task: Task) -> str:
    """Why a label is suspect."""
    if task == SEVERAL:
        return _doubt_labels(suspect)
    return (
        f"The label may be wrong: the model is surer of {suspect.suspected!r} than it is on "
        f"average of pictures of that class."
    )


def _doubt_labels(suspect: Suspect) -> str:
    own, other = (name_labels(text, SEVERAL) for text in (suspect.label, suspect.suspected))
    doubts = [f"the label {name!r} may be missing" for name in sorted(other - own)]
    doubts += [f"the label {name!r} may be wrong" for name in sorted(own - other)]
    told = " and ".join(doubts).removeprefix("the")
    return (
        f"The{told}: the model is surer of that than it is on average of pictures that are "
        "labelled so."
    )


def _find_copy(case: BadCase, task: Task) -> str:
    for one in case.neighbours:
        if one.similarity >= COPY and one.label != case.label:
            return (
                f"It looks all but the same as {one.name!r} of the train side, which is labelled "
                f"{_tell(one.label, task)}: one of the two may be labelled wrongly."
            )
    return ""


def _find_company(case: BadCase, task: Task) -> str:
    labels = {one.label for one in case.neighbours}
    if len(case.neighbours) > 1 and labels == {case.predicted}:
        return f"The train samples that look most like it are all {_tell(case.predicted, task)}."
    return ""


def _tell(label: str, task: Task) -> str:
    return " and ".join(map(repr, list_classes(label, task)))


def _find_faults(flags: Sequence[str]) -> str:
    told = [FLAGS.get(flag, flag) for flag in flags]
    return f"The picture is {' and '.join(told)}." if told else ""


def _find_doubt(case: BadCase, evaluation: Evaluation) -> str:
    declining = evaluation.declining
    if declining is None or not case.scores:
        return ""
    best = np.asarray([[score for _, score in case.scores]], np.float32)
    if not find_declined(best, declining.threshold)[0]:
        return ""
    return (
        f"It looks like none of the classes: nearly all pictures that were held out have a better "
        f"best score than its {case.scores[0][1]:.2f}."
    )


def _find_mix_up(case: BadCase, evaluation: Evaluation) -> str:
    """The most frequent one that the case is an instance of."""
    label, said = (name_labels(text, SEVERAL) for text in (case.label, case.predicted))
    missed, wrong = label - said or {""}, said - label or {""}
    rows = {row.label: row for row in evaluation.per_class}
    for one in evaluation.mix_ups:
        if one.label not in missed or one.predicted not in wrong:
            continue
        total = rows[one.label].support if one.label else rows[one.predicted].predicted
        if one.samples < OFTEN or one.samples < OFTEN_SHARE * total:
            continue
        if not one.label:
            what = f"{one.predicted!r} is often said wrongly, with nothing missed"
            return f"{what}: {one.samples} of {total} times."
        instead = repr(one.predicted) if one.predicted else "nothing"
        what = f", and {instead} said instead"
        return f"{one.label!r} is often missed{what}: {one.samples} of {total} times."
    return ""


def _find_confusion(case: BadCase, evaluation: Evaluation) -> str:
    if evaluation.task == SEVERAL:
        return _find_mix_up(case, evaluation)
    places = {name: number for number, name in enumerate(evaluation.classes)}
    row = evaluation.confusion[places[case.label]]
    mixed, total = row[places[case.predicted]], sum(row)
    if mixed < OFTEN or mixed < OFTEN_SHARE * total:
        return ""
    return f"{case.label!r} is often taken for {case.predicted!r}: {mixed} of {total} are."


def list_reasons(case: BadCase, evidence: Evidence) -> tuple[str, ...]:
    """The likeliest cause first; empty where nothing speaks."""
    if not case.scores:
        return ("The picture cannot be read.",)
    task = evidence.evaluation.task
    found = (
        _find_copy(case, task),
        doubt_label(evidence.suspect, task) if evidence.suspect else "",
        _find_faults(evidence.flags),
        _find_doubt(case, evidence.evaluation),
        _find_company(case, task),
        _find_confusion(case, evidence.evaluation),
    )
    return tuple(sentence for sentence in found if sentence)
