"""Why the model may have got a sample wrong, as sentences. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serving.bundle.operating_point import find_declined
from serving.job.evaluation import BadCase, Evaluation, Suspect

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


def doubt_label(suspect: Suspect) -> str:
    """Why a label is suspect."""
    return (
        f"The label may be wrong: the model is surer of {suspect.suspected!r} than it is on "
        f"average of pictures of that class."
    )


def _find_copy(case: BadCase) -> str:
    for one in case.neighbours:
        if one.similarity >= COPY and one.label != case.label:
            return (
                f"It looks all but the same as {one.name!r} of the train side, which is labelled "
                f"{one.label!r}: one of the two labels may be wrong."
            )
    return ""


def _find_company(case: BadCase) -> str:
    labels = {one.label for one in case.neighbours}
    if len(case.neighbours) > 1 and labels == {case.predicted}:
        return f"The train samples that look most like it are all {case.predicted!r}."
    return ""


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
        f"It looks like none of the classes: nearly all pictures of the val side have a better "
        f"best score than its {case.scores[0][1]:.2f}."
    )


def _find_confusion(case: BadCase, evaluation: Evaluation) -> str:
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
    found = (
        _find_copy(case),
        doubt_label(evidence.suspect) if evidence.suspect else "",
        _find_faults(evidence.flags),
        _find_doubt(case, evidence.evaluation),
        _find_company(case),
        _find_confusion(case, evidence.evaluation),
    )
    return tuple(sentence for sentence in found if sentence)
