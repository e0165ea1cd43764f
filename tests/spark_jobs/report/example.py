"""A whole report to look at, of drawn boards: every part of the page has something to show."""

import hashlib
from functools import cache

import numpy as np

from serving.bundle.manifest import Lineage
from serving.job.evaluation import (
    BadCase,
    ClassScore,
    Curve,
    Evaluation,
    Interval,
    Neighbour,
    Paired,
    Slice,
)
from serving.job.search import Cost
from spark_jobs.metrics.classification import compute_metrics
from spark_jobs.metrics.steps import find_steps, rank_class, trace_curve
from spark_jobs.metrics.sureness import find_wilson_interval
from spark_jobs.report.data import ReportData, ReportPictures
from spark_jobs.report.summary import summarise
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.report_models import (
    EtlReport,
    LabelledPair,
    NearDuplicates,
    Picture,
    Pictures,
    RejectedSample,
    SideFindings,
)
from spark_jobs.spec import Champion, StageCount
from tests.spark_jobs.report.boards import KINDS, draw_board
from tests.spark_jobs.report.plain import describe_metrics
from tests.spark_jobs.report.trials import make_search

# Rows are what a board is, columns what the model said, in the order of KINDS.
CONFUSION = (
    (88, 0, 1, 2, 1),
    (1, 57, 0, 0, 2),
    (2, 0, 44, 1, 0),
    (3, 0, 9, 22, 2),
    (1, 1, 0, 0, 35),
)
TRAIN = (420, 260, 190, 22, 150)
SIDE = 320


def hash_board(kind: str, seed: int) -> str:
    """Its sha256."""
    return hashlib.sha256(draw_board(kind, seed)).hexdigest()


def _make_evaluation() -> Evaluation:
    pairs = {
        (true, called): CONFUSION[i][j]
        for i, true in enumerate(KINDS)
        for j, called in enumerate(KINDS)
    }
    rng = np.random.default_rng(7)
    right = np.array([t == c for (t, c), n in pairs.items() for _ in range(n)])
    scores = np.where(right, rng.beta(9, 1.2, right.size), rng.beta(4, 2.6, right.size))
    found = describe_metrics(compute_metrics(pairs, KINDS), scores.tolist(), right.tolist())
    return found.model_copy(
        update={
            "macro_f1_interval": Interval(low=0.823, high=0.902),
            "top_k": {1: found.accuracy, 2: 0.971, 3: 0.993},
            "roc_auc": 0.981,
            "average_precision": 0.944,
            "log_loss": 0.312,
            "brier": 0.147,
            "per_class": tuple(_rank(row) for row in found.per_class),
            "slices": tuple(_slice(*row) for row in SLICES),
        }
    )


SLICES = (
    ("brightness", "darkest quarter", 68, 53),
    ("folder", "mill 3/evening", 41, 33),
    ("blur", "blurred", 29, 24),
    ("size", "below 640 pixels", 52, 45),
    ("added", "in the last 30 days", 74, 66),
)


def _slice(by: str, value: str, samples: int, right: int) -> Slice:
    interval = find_wilson_interval(right, samples)
    return Slice(by=by, value=value, samples=samples, accuracy=right / samples, interval=interval)


def _rank(row: ClassScore) -> ClassScore:
    chance = np.random.default_rng(list(row.label.encode()))
    own = chance.beta(1 + 5 * row.f1**4, 1.4, row.support).astype(np.float32)
    others = chance.beta(1.2, 1 + 6 * row.f1**4, 272 - row.support).astype(np.float32)
    steps = find_steps(np.concatenate([own, others]), own)
    found = rank_class(steps, None, 0)
    update = {
        "roc_auc": found["roc_auc"],
        "average_precision": found["average_precision"],
        "threshold": 0.42,
        "threshold_precision": row.precision,
        "threshold_recall": row.recall,
        "curve": Curve.model_validate(trace_curve(steps, 200)),
    }
    return row.model_copy(update=update)


def _make_cases(evaluation: Evaluation) -> tuple[BadCase, ...]:
    cases = []
    for i, true in enumerate(KINDS):
        for j, called in enumerate(KINDS):
            for number in range(evaluation.confusion[i][j] if i != j else 0):
                cases.append(_make_case(true, called, number, doubtful=number == 1))
    return tuple(sorted(cases, key=lambda case: -case.scores[0][1]))


def _make_case(true: str, called: str, number: int, *, doubtful: bool) -> BadCase:
    rng = np.random.default_rng([number, *true.encode(), *called.encode()])
    score = float(rng.uniform(0.45, 0.97))
    near = [called, called, called if doubtful else true]
    neighbours = tuple(
        Neighbour(
            sha256=hash_board(kind, 900 + place),
            name=f"{kind}/{900 + place}.jpg",
            label=kind,
            similarity=0.93 - 0.03 * place,
        )
        for place, kind in enumerate(near)
    )
    reasons = []
    if doubtful:
        reasons.append(f"The label may be wrong: its three nearest are “{called}”.")
    if (true, called) == ("fray", "crack"):
        reasons.append("“fray” is often taken for “crack”: 9 of 36.")
    if score < 0.6:
        reasons.append("The model was not sure.")
    return BadCase(
        sha256=hash_board(true, number),
        name=f"mill {number % 4}/{true}/{number:03}.jpg",
        label=true,
        predicted=called,
        scores=((called, score), (true, (1 - score) * 0.8)),
        neighbours=neighbours,
        reasons=tuple(reasons),
    )


def _make_etl() -> EtlReport:
    test = {kind: sum(row) for kind, row in zip(KINDS, CONFUSION, strict=True)}
    train = dict(zip(KINDS, TRAIN, strict=True))
    val = {kind: count // 5 for kind, count in train.items()}
    pair = LabelledPair(
        names=("mill 1/fray/004.jpg", "mill 2/crack/017.jpg"),
        labels=("fray", "crack"),
        hashes=(hash_board("fray", 4), hash_board("crack", 17)),
    )
    torn = RejectedSample(name="mill 3/knot/081.jpg", reason="truncated JPEG", sha256="")
    kept = sum(map(sum, (train.values(), val.values(), test.values())))
    return EtlReport(
        dataset="boards",
        snapshot_id="5b1c0de5b1c0de5b1c0d",
        samples=kept + 1,
        kept=kept,
        rejected=1,
        rejections=(torn,),
        stages=(StageCount(stage="decode_image", rejected=1),),
        counts={"train": train, "val": val, "test": test},
        imbalance=8.5,
        flags={"blurred": 29, "too_dark": 12},
        near_duplicates=NearDuplicates(
            samples=kept,
            proposed=210,
            confirmed=63,
            full_buckets=0,
            pairs_left_out=0,
            groups=0,
            samples_in_groups=0,
            largest=(),
            over_large=(),
            cross_label=1,
            cross_label_pairs=(pair,),
        ),
        sides=SideFindings(leaks=0, leaking_groups=(), bridges=0),
        seconds={"compute features": 41.2, "near-duplicate comparison": 3.1},
    )


@cache
def make_example() -> tuple[ReportData, ReportPictures]:
    """Its numbers and its pictures."""
    evaluation, etl = _make_evaluation(), _make_etl()
    cases = _make_cases(evaluation)
    data = ReportData(
        run_id="20260102T030405-abcdef",
        dataset="boards",
        deployment="boards",
        snapshot_id=etl.snapshot_id,
        lineage=Lineage(
            dataset="boards",
            snapshot_id=etl.snapshot_id,
            run_id="20260102T030405-abcdef",
            code_version="0123456789ab",
            backbone="efficientnet-lite2",
            backbone_sha256="9f" * 32,
            weights_licence="Apache-2.0",
            created_at="2026-01-02 03:06:11 UTC",
        ),
        seed=0,
        min_accuracy=0.8,
        summary=summarise(evaluation, cases, etl, 0.8),
        evaluation=evaluation,
        cases=cases,
        champion=Champion(
            generation=4,
            version=3,
            accuracy=0.868,
            macro_f1=0.822,
            paired=Paired(both=228, challenger_only=18, champion_only=8, neither=18),
        ),
        etl=etl,
        search=make_search(),
        cost=Cost(cpu_seconds=96.0, gpu_seconds=0.0, peak_mb=812.0),
    )
    return data, ReportPictures(thumbnails=_shrink(cases), etl=_picture_pairs(etl))


def _shrink(cases: tuple[BadCase, ...]) -> dict[str, str]:
    made = {}
    for case in cases:
        number = int(case.name[-7:-4])
        made[case.sha256] = make_thumbnail(draw_board(case.label, number), SIDE, 14_000)
        for near in case.neighbours:
            seed = int(near.name[-7:-4])
            made[near.sha256] = make_thumbnail(draw_board(near.label, seed), 112, 3_000)
    return made


def _picture_pairs(etl: EtlReport) -> Pictures:
    assert etl.near_duplicates is not None
    (pair,) = etl.near_duplicates.cross_label_pairs
    boards = [draw_board("fray", 4), draw_board("crack", 17)]
    return Pictures(
        pictures=tuple(
            Picture(sha256=sha, side="train", thumbnail=make_thumbnail(board, 112, 4_000))
            for sha, board in zip(pair.hashes, boards, strict=True)
        )
    )
