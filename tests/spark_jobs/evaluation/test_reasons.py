"""Why a sample may have been got wrong, in words."""

import pytest

from serving.bundle.manifest import ONE, SEVERAL
from serving.job.evaluation import (
    Averages,
    BadCase,
    ClassScore,
    Declining,
    Evaluation,
    Interval,
    MixUp,
    Neighbour,
)
from serving.job.suspects import Suspect
from spark_jobs.reasons import Evidence, doubt_label, list_reasons

SOME = Interval(low=0, high=1)
NONE = Averages(precision=0, recall=0, f1=0)
EVALUATION = Evaluation(
    samples=40,
    classes=("fray", "crack", "<b>"),
    confusion=((20, 9, 1), (0, 10, 0), (0, 0, 0)),
    accuracy=0.75,
    accuracy_interval=SOME,
    balanced_accuracy=0.8,
    macro=NONE,
    micro=NONE,
    weighted=NONE,
    macro_f1_interval=SOME,
    top_k={},
    roc_auc=None,
    average_precision=None,
    log_loss=0,
    brier=0,
    calibration_error=0,
    calibration=(),
    per_class=(),
    declining=Declining(kind="max_probability", threshold=0.4, declined=0.1, declined_wrong=0.05),
    tellable=0.1,
)
CASE = BadCase(sha256="0", name="0.png", label="fray", predicted="crack", scores=(("crack", 0.9),))


def near(label: str, similarity: float) -> Neighbour:
    return Neighbour(sha256="1", name="twin.png", label=label, similarity=similarity)


@pytest.mark.parametrize(
    ("case", "evidence", "told"),
    [
        (CASE, Evidence(EVALUATION), "'fray' is often taken for 'crack': 9 of 30"),
        (
            CASE.model_copy(update={"neighbours": (near("crack", 0.99),)}),
            Evidence(EVALUATION),
            "all but the same as 'twin.png'",
        ),
        (
            CASE.model_copy(update={"neighbours": (near("crack", 0.8), near("crack", 0.7))}),
            Evidence(EVALUATION),
            "look most like it are all 'crack'",
        ),
        (CASE, Evidence(EVALUATION, flags=("blurred", "too_dark")), "blurred and very dark"),
        (
            CASE.model_copy(update={"scores": (("crack", 0.3),)}),
            Evidence(EVALUATION),
            "none of the classes",
        ),
        (
            CASE,
            Evidence(
                EVALUATION,
                suspect=Suspect(
                    sha256="0",
                    name="0.png",
                    side="test",
                    label="fray",
                    suspected="crack",
                    suspicion=0.9,
                ),
            ),
            "The label may be wrong",
        ),
        (CASE.model_copy(update={"scores": ()}), Evidence(EVALUATION), "cannot be read"),
    ],
)
def test_first_reason(case: BadCase, evidence: Evidence, told: str) -> None:
    assert told in list_reasons(case, evidence)[0]


def test_nothing_speaks() -> None:
    rare = CASE.model_copy(update={"predicted": "<b>", "scores": (("<b>", 0.9),)})
    same = rare.model_copy(update={"neighbours": (near("fray", 0.99),)})
    assert list_reasons(same, Evidence(EVALUATION)) == ()


def count(label: str, support: int, predicted: int) -> ClassScore:
    return ClassScore(
        label=label, precision=0, recall=0, f1=0, support=support, predicted=predicted
    )


MIXED = EVALUATION.model_copy(
    update={
        "task": SEVERAL,
        "confusion": (),
        "declining": None,
        "per_class": (count("fray", 30, 20), count("crack", 10, 12), count("<b>", 90, 90)),
        "mix_ups": (
            MixUp(label="fray", predicted="crack", samples=9),
            MixUp(label="<b>", predicted="", samples=8),
            MixUp(label="", predicted="crack", samples=4),
            MixUp(label="crack", predicted="", samples=2),
        ),
    }
)


@pytest.mark.parametrize(
    ("label", "predicted", "told"),
    [
        ("<b>|fray", "<b>|crack", "'fray' is often missed, and 'crack' said instead: 9 of 30"),
        ("<b>", "<b>|crack", "'crack' is often said wrongly, with nothing missed: 4 of 12"),
        # Eight of ninety are not often, nor are two.
        ("<b>|fray", "fray", ""),
        ("crack|fray", "fray", ""),
    ],
)
def test_mix_ups_of_several_labels(label: str, predicted: str, told: str) -> None:
    case = CASE.model_copy(update={"label": label, "predicted": predicted})
    reasons = list_reasons(case, Evidence(MIXED))
    assert [told in reason for reason in reasons] == ([True] if told else [])


def test_doubts_about_several_labels() -> None:
    suspect = Suspect(
        sha256="0", name="", side="test", label="fray|scratch", suspected="crack|fray", suspicion=1
    )
    told = doubt_label(suspect, SEVERAL)
    assert told.startswith("The label 'crack' may be missing and the label 'scratch' may be wrong:")
    assert "fray" not in told
    evidence = Evidence(MIXED, suspect=suspect)
    assert list_reasons(CASE, evidence)[0] == told
    # Where a sample has one label, a bar is just a sign.
    assert "surer of 'crack|fray'" in doubt_label(suspect, ONE)
