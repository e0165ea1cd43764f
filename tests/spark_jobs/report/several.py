"""Reports to look at of boards that may have several faults: literal rows, counted by hand."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from statistics import fmean

from serving.job.evaluation import (
    Averages,
    BadCase,
    CalibrationBin,
    ClassScore,
    Curve,
    Evaluation,
    Interval,
    MixUp,
    Neighbour,
    Slice,
)
from spark_jobs.metrics.sureness import find_wilson_interval
from spark_jobs.report.data import ReportData, ReportPictures
from spark_jobs.report.summary import summarise
from spark_jobs.report.thumbnails import make_thumbnail
from tests.spark_jobs.report.boards import draw_board
from tests.spark_jobs.report.example import hash_board, make_example

LABELS = ("crack", "fray", "knot", "moss", "stain")
# Labels of a picture, what was said of it, and how many of the 70 pictures of the test side are so.
ROWS = (
    ("crack", "crack", 14),
    ("knot", "knot", 13),
    ("knot|stain", "knot|stain", 9),
    ("crack|fray", "crack|fray", 6),
    ("fray", "fray", 5),
    ("stain", "stain", 7),
    ("moss", "moss", 1),
    ("fray", "crack", 4),
    ("fray|knot", "crack|knot", 1),
    ("fray|stain", "stain", 3),
    ("fray", "", 1),
    ("knot", "knot|stain", 3),
    ("crack|knot|stain", "crack|knot", 1),
    ("stain", "fray|knot", 1),
    ("crack|fray", "crack|fray|moss", 1),
)
THRESHOLDS = {"crack": 0.41, "fray": 0.55, "knot": 0.38, "moss": 0.62, "stain": 0.47}
COUNTS = {
    "train": {"crack": 160, "fray": 24, "knot": 150, "moss": 31, "stain": 120},
    "val": {"crack": 30, "fray": 6, "knot": 30, "moss": 6, "stain": 24},
    "test": {"crack": 22, "fray": 21, "knot": 27, "moss": 1, "stain": 21},
}


def _split(labels: str) -> set[str]:
    return set(labels.split("|")) - {""}


def _count(label: str, *, true: bool, said: bool) -> int:
    return sum(
        n
        for labels, called, n in ROWS
        if (label in _split(labels)) is true and (label in _split(called)) is said
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _score(label: str) -> ClassScore:
    found, missed = _count(label, true=True, said=True), _count(label, true=True, said=False)
    wrongly = _count(label, true=False, said=True)
    precision, recall = _share(found, found + wrongly), _share(found, found + missed)
    return ClassScore(
        label=label,
        precision=precision,
        recall=recall,
        f1=_share(2 * found, 2 * found + missed + wrongly),
        support=found + missed,
        predicted=found + wrongly,
        roc_auc=0.5 + recall / 2,
        average_precision=0.4 + recall / 2,
        threshold=THRESHOLDS[label],
        threshold_precision=precision,
        threshold_recall=recall,
        curve=Curve(
            false_positive_rate=(0.0, 0.0, 0.05, 0.2, 1.0),
            recall=(0.0, recall * 0.6, recall, 0.5 + recall / 2, 1.0),
            precision=(1.0, 1.0, precision, precision * 0.7, 0.2),
        ),
    )


def _mix_ups() -> tuple[MixUp, ...]:
    counted: Counter[tuple[str, str]] = Counter()
    for labels, called, n in ROWS:
        missed, extra = _split(labels) - _split(called), _split(called) - _split(labels)
        for one in missed or ({""} if extra else set()):
            for other in extra or {""}:
                counted[one, other] += n
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(MixUp(label=one, predicted=other, samples=n) for (one, other), n in ranked)


def _average(rows: tuple[ClassScore, ...], weights: Mapping[str, int]) -> Averages:
    total = sum(weights.values())
    share = {row.label: weights[row.label] / total for row in rows}
    return Averages(
        precision=sum(share[row.label] * row.precision for row in rows),
        recall=sum(share[row.label] * row.recall for row in rows),
        f1=sum(share[row.label] * row.f1 for row in rows),
    )


def make_several() -> Evaluation:
    """Of ROWS."""
    samples = sum(n for _, _, n in ROWS)
    right = sum(n for labels, called, n in ROWS if labels == called)
    rows = tuple(map(_score, LABELS))
    found = sum(_count(label, true=True, said=True) for label in LABELS)
    there, said = sum(row.support for row in rows), sum(row.predicted for row in rows)
    bins = ((0.0, 214, 0.04, 0.02), (0.2, 41, 0.3, 0.22), (0.4, 22, 0.5, 0.55), (0.8, 73, 0.9, 0.9))
    return Evaluation(
        task="image_multilabel",
        samples=samples,
        classes=LABELS,
        confusion=(),
        accuracy=right / samples,
        accuracy_interval=find_wilson_interval(right, samples),
        balanced_accuracy=fmean(row.recall for row in rows),
        macro=_average(rows, dict.fromkeys(LABELS, 1)),
        micro=Averages(precision=found / said, recall=found / there, f1=2 * found / (said + there)),
        weighted=_average(rows, {row.label: row.support for row in rows}),
        macro_f1_interval=Interval(low=0.71, high=0.88),
        top_k={},
        roc_auc=0.931,
        average_precision=0.884,
        log_loss=0.214,
        brier=0.061,
        calibration_error=0.021,
        calibration=tuple(
            CalibrationBin(low=low, high=low + 0.2, samples=n, mean_score=score, accuracy=share)
            for low, n, score, share in bins
        ),
        per_class=rows,
        hamming_loss=(there + said - 2 * found) / (samples * len(LABELS)),
        mix_ups=_mix_ups(),
        slices=(
            Slice(
                by="brightness",
                value="darkest quarter",
                samples=18,
                accuracy=11 / 18,
                interval=find_wilson_interval(11, 18),
            ),
        ),
        tellable=0.142,
    )


def _make_case(labels: str, called: str, number: int) -> BadCase:
    scores = {label: 0.04 + 0.01 * place for place, label in enumerate(LABELS)}
    scores |= {label: THRESHOLDS[label] - 0.13 - 0.01 * number for label in _split(labels)}
    scores |= {label: THRESHOLDS[label] + 0.3 for label in _split(called)}
    near = ("crack", "crack|fray", "fray")
    return BadCase(
        sha256=hash_board(labels, number),
        name=f"mill {number % 4}/{number:03}.jpg",
        label=labels,
        predicted=called,
        scores=tuple(sorted(scores.items(), key=lambda item: -item[1])),
        neighbours=tuple(
            Neighbour(
                sha256=hash_board(kind, 900 + place),
                name=f"{900 + place}.jpg",
                label=kind,
                similarity=0.93 - 0.03 * place,
            )
            for place, kind in enumerate(near)
        ),
        reasons=("The picture is blurred.",) if number == 1 else (),
    )


@cache
def make_several_example() -> tuple[ReportData, ReportPictures]:
    """The other example's run, as if its boards had several faults."""
    data, pictures = make_example()
    found = make_several()
    etl = data.etl.model_copy(update={"counts": COUNTS, "samples": 671, "kept": 670})
    cases = tuple(
        _make_case(labels, called, number)
        for labels, called, n in ROWS
        for number in range(n if labels != called else 0)
    )
    made = {
        case.sha256: make_thumbnail(draw_board(case.label, int(case.name[-7:-4])), 320, 14_000)
        for case in cases
    }
    made |= {
        near.sha256: make_thumbnail(draw_board(near.label, int(near.name[-7:-4])), 112, 3_000)
        for case in cases
        for near in case.neighbours
    }
    shown = data.model_copy(
        update={
            "evaluation": found,
            "cases": cases,
            "etl": etl,
            "summary": summarise(found, cases, etl, data.min_accuracy),
        }
    )
    return shown, ReportPictures(thumbnails=made, etl=pictures.etl)
