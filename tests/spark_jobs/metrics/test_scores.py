"""What is told from scores agrees with scikit-learn, tied and degenerate ones included.

The functions that run in the executors are given batches here; Spark itself runs them in
test_evaluation.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from spark_jobs.arrays import make_array
from spark_jobs.metrics.ranking import (
    MOST_POINTS,
    Ranked,
    fold_blocks,
    make_blocks,
    make_merger,
    make_ranker,
)
from spark_jobs.metrics.rows import make_measurer
from spark_jobs.metrics.steps import Steps, bin_scores, find_steps, start_of_bin, trace_curve
from tests.spark_jobs.metrics.answers import Answers, draw_answers, judge, make_answers


def to_batches(answers: Answers, size: int) -> list[pa.RecordBatch]:
    columns = {
        "label": pa.array(answers.labels),
        "predicted": pa.array(answers.predicted),
        "scores": pa.array(answers.scores.tolist(), pa.list_(pa.float32())),
    }
    batches: list[pa.RecordBatch] = pa.table(columns).to_batches(max_chunksize=size)
    return batches


def to_points(*columns: npt.NDArray[Any]) -> set[tuple[float, ...]]:
    return set(zip(*(np.round(column, 6).tolist() for column in columns), strict=True))


def rank(
    answers: Answers,
    size: int = 7,
    binned: bool = False,
    points: int = MOST_POINTS,
    min_precision: float = 0.0,
) -> dict[str, Ranked]:
    blocks = pa.Table.from_batches(make_blocks(answers.classes)(iter(to_batches(answers, size))))
    given: tuple[float | None, ...] = (0.5,) * len(answers.classes)
    found = {}
    for number, name in enumerate(answers.classes):
        key = (pa.scalar(number, pa.int32()),)
        mine = blocks.filter(pa.compute.equal(blocks["class"], key[0]))
        if binned:
            row = make_merger(given, points, min_precision)(key, fold_blocks(key, mine))
        else:
            row = make_ranker(given, points, min_precision)(key, mine)
        found[name] = Ranked(**row.drop_columns(["class"]).to_pylist()[0])
    return found


@settings(deadline=None)
@given(draw_answers(), st.integers(1, 10))
def test_rows_equal_scikit_learns(answers: Answers, size: int) -> None:
    measured = pa.Table.from_batches(
        make_measurer(answers.classes)(iter(to_batches(answers, size)))
    )
    wanted = judge(answers)
    assert np.mean(measured["log_loss"].to_pylist()) == pytest.approx(wanted["log_loss"], abs=1e-9)
    assert np.mean(measured["brier"].to_pylist()) == pytest.approx(wanted["brier"], abs=1e-9)
    ranks = np.array(measured["rank"].to_pylist())
    right = np.array(answers.labels) == np.array(answers.predicted)
    assert ((ranks == 1) == right).all()
    for k, share in wanted["top_k"].items():
        assert np.mean(ranks <= k) == pytest.approx(share, abs=1e-9)


@settings(deadline=None)
@given(draw_answers())
def test_ranking_equals_scikit_learns(answers: Answers) -> None:
    wanted = judge(answers)
    for k, (name, found) in enumerate(rank(answers).items()):
        scores, own = answers.scores[:, k], answers.truth == k
        assert (found.positives, found.negatives) == (own.sum(), (~own).sum())
        for metric in ("roc_auc", "average_precision"):
            value = wanted.get(f"{metric} {name}")
            assert getattr(found, metric) == (value and pytest.approx(value, abs=1e-9))
        assert (found.called, found.hits) == ((scores >= 0.5).sum(), (own & (scores >= 0.5)).sum())
        if found.threshold is None:
            assert not own.any()
        else:
            called = scores >= np.float32(found.threshold)
            f1 = 2 * (called & own).sum() / (called.sum() + own.sum())
            assert f1 == pytest.approx(wanted[f"best f1 {name}"], abs=1e-9)


@settings(deadline=None)
@given(draw_answers(), st.sampled_from([0.25, 0.5, 0.9, 1.0]), st.booleans())
def test_a_wanted_precision_is_scikit_learns(answers: Answers, wanted: float, binned: bool) -> None:
    """The most of a class that any threshold finds with it, by the threshold nearest to it."""
    for k, (name, found) in enumerate(rank(answers, binned=binned, min_precision=wanted).items()):
        scores, own = answers.scores[:, k], answers.truth == k
        if not own.any():
            assert found.threshold is None
            continue
        precision, recall, _ = precision_recall_curve(own, scores)
        # Without its last point: no threshold, nothing called.
        best = recall[:-1][precision[:-1] >= wanted].max(initial=0.0)
        if not best:
            assert found.threshold is None, name
            continue
        assert found.threshold is not None, name
        called = scores >= np.float32(found.threshold)
        assert (called & own).sum() / called.sum() >= wanted
        assert (called & own).sum() / own.sum() == pytest.approx(best)
        assert binned or found.threshold in scores[own]


@settings(deadline=None)
@given(draw_answers())
def test_curves_are_scikit_learns(answers: Answers) -> None:
    for k, (name, found) in enumerate(rank(answers).items()):
        scores, own = answers.scores[:, k], answers.truth == k
        if own.all() or not own.any():
            assert (found.false_positive_rate, found.recall, found.precision) == (None,) * 3
            continue
        wrong, recall, precision = (
            np.array(column)
            for column in (found.false_positive_rate, found.recall, found.precision)
        )
        every, hit, _ = roc_curve(own, scores, drop_intermediate=False)
        assert to_points(wrong, recall) <= to_points(every, hit)
        right, hit, _ = precision_recall_curve(own, scores)
        assert to_points(recall, precision) <= to_points(hit, right)
        assert np.trapezoid(recall, wrong) == pytest.approx(found.roc_auc, abs=1e-5), name
        area = (np.diff(recall) * precision[1:]).sum()
        assert area == pytest.approx(found.average_precision, abs=1e-5)


@pytest.mark.parametrize("binned", [False, True])
def test_where_nobody_reads_a_curve_none_is_traced(
    binned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(steps: Steps, most: int) -> dict[str, list[float]]:
        raise AssertionError((steps, most))

    answers = make_answers(60, 3, seed=4)
    traced = rank(answers, binned=binned)
    monkeypatch.setattr("spark_jobs.metrics.ranking.trace_curve", refuse)
    found = rank(answers, binned=binned, points=0)
    assert {name: one.threshold for name, one in found.items()} == {
        name: one.threshold for name, one in traced.items()
    }
    assert {one.recall for one in found.values()} == {None}


def test_long_curves_are_thinned_out() -> None:
    chance = np.random.default_rng(0)
    own = chance.random(20_000) < 0.3
    scores = chance.normal(own, 1).astype(np.float32)
    steps = find_steps(scores, scores[own])
    whole, thin = (trace_curve(steps, most) for most in (10**6, 100))
    assert len(whole["recall"]) > 10_000
    assert 50 < len(thin["recall"]) <= 102
    for name, values in thin.items():
        assert (values[0], values[-1]) == (whole[name][0], whole[name][-1])
    areas = [np.trapezoid(one["recall"], one["false_positive_rate"]) for one in (whole, thin)]
    assert areas[0] == pytest.approx(roc_auc_score(own, scores), abs=1e-4)
    assert areas[1] == pytest.approx(areas[0], abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_a_histogram_is_as_near_as_it_says(seed: int) -> None:
    answers = make_answers(3000, 5, seed, empty=1)
    exact, binned = rank(answers), rank(answers, binned=True)
    for name, found in exact.items():
        other = binned[name]
        assert (other.positives, found.error) == (found.positives, 0)
        for metric in ("roc_auc", "average_precision"):
            one, two = getattr(found, metric), getattr(other, metric)
            if one is None:
                assert two is None
            else:
                assert abs(one - two) <= other.error < 0.02
    assert any(other.error > 0 for other in binned.values())


@settings(deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1))
def test_bins_keep_the_order(values: list[float]) -> None:
    scores = np.sort(np.array(values, np.float32))
    bins = bin_scores(scores)
    assert (np.diff(bins) >= 0).all()
    starts = start_of_bin(bins)
    assert (starts <= scores).all()
    # Within 1 % of the distance to the nearer end.
    assert (scores - starts <= 0.01 * np.minimum(scores, 1 - starts) + 1e-37).all()
    assert (bin_scores(starts) == bins).all()


def test_pictures_without_scores_and_unknown_labels() -> None:
    table = pa.table(
        {
            "label": pa.array(["a", "new", "a"]),
            "predicted": pa.array(["a", "b", "(unreadable)"]),
            "scores": pa.array([[0.75, 0.25], [0.25, 0.75], None], pa.list_(pa.float32())),
        }
    )
    (measured,) = make_measurer(("a", "b"))(iter(table.to_batches()))
    rows = measured.to_pylist()
    assert rows[0]["log_loss"] == pytest.approx(-np.log(0.75))
    assert [row["rank"] for row in rows] == [1, 3, None]
    assert [row["best"] for row in rows] == [0.75, 0.75, None]
    assert rows[1]["log_loss"] > 30
    blocks = pa.Table.from_batches(make_blocks(("a", "b"))(iter(table.to_batches())))
    found = make_ranker((None, None), MOST_POINTS)(
        (pa.scalar(0, pa.int32()),), blocks.slice(0, 1)
    ).to_pylist()
    assert (found[0]["positives"], found[0]["negatives"], found[0]["roc_auc"]) == (1, 1, 1.0)
    assert make_array([], pa.int32()).type == pa.int32()
