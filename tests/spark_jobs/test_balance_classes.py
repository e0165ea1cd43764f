"""Rare classes count more, or are seen more often; only on the train side."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pyspark.sql import SparkSession
from sklearn.utils.class_weight import compute_class_weight

from serving.bundle.manifest import ONE, SEVERAL
from serving.job.errors import UserError
from spark_jobs.context import StageContext
from spark_jobs.report_models import Balance
from spark_jobs.runner import load_stages, run_stages
from spark_jobs.sample_rows import make_samples
from spark_jobs.spec import StageSpec
from spark_jobs.stages.balance_classes import (
    Params,
    repeat_classes,
    run,
    weigh_classes,
    weigh_labels,
)

COUNTS = st.dictionaries(st.text(max_size=4), st.integers(1, 500), min_size=1, max_size=8)
MOST = st.floats(1, 50)


@given(COUNTS)
def test_every_class_weighs_the_same_and_the_mean_is_one(counts: dict[str, int]) -> None:
    weights = weigh_classes(counts, most=1e9)
    sums = [count * weights[label] for label, count in counts.items()]
    assert sums == pytest.approx([sums[0]] * len(sums))
    assert sum(sums) / sum(counts.values()) == pytest.approx(1)


@given(COUNTS)
def test_weights_are_scikit_learns(counts: dict[str, int]) -> None:
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    assert list(weigh_classes(counts, most=1e9).values()) == pytest.approx(expected.tolist())


@given(COUNTS, MOST)
def test_no_weight_is_above_the_cap(counts: dict[str, int], most: float) -> None:
    capped, free = weigh_classes(counts, most), weigh_classes(counts, most=1e9)
    assert capped == {label: min(weight, most) for label, weight in free.items()}


@given(COUNTS, MOST)
def test_repeats_bring_each_class_near_the_largest(counts: dict[str, int], most: float) -> None:
    repeats, largest = repeat_classes(counts, most), max(counts.values())
    for label, count in counts.items():
        assert 1 <= repeats[label] <= most
        if repeats[label] < int(most):
            # To the nearest whole number of repeats.
            assert abs(repeats[label] * count - largest) <= count / 2


def make_rows(**counts: int) -> list[dict[str, object]]:
    """So many train samples of each label, and one each of val and test."""
    sides = [(label, side) for label, n in counts.items() for side in ["train"] * n]
    sides += [(label, side) for label in counts for side in ("val", "test")]
    return [{"label": label, "side": side} for label, side in sides]


def collect(
    spark: SparkSession, context: StageContext, rows: list[dict[str, object]], **params: Any
) -> set[tuple[Any, ...]]:
    result = run(make_samples(spark, rows), Params(**params), context)
    assert result.count() == len(rows)
    column = "sample_weight" if params.get("mode", "weights") == "weights" else "sample_repeats"
    return {tuple(row) for row in result.select("label", "side", column).collect()}


def test_weights_of_rows(spark: SparkSession, context: StageContext) -> None:
    rows = make_rows(**{"<b>": 6, "键盘": 2})
    rows += [{"label": "<b>", "side": "train", "reject_reason": "blurred"}] * 4
    rows += [{"label": "键盘", "side": None, "reject_reason": "not an image"}]
    assert collect(spark, context, rows) == {
        ("<b>", "train", 8 / 12),
        ("键盘", "train", 2.0),
        *((label, side, 1.0) for label in ("<b>", "键盘") for side in ("val", "test")),
        ("键盘", None, 1.0),
    }
    assert context.findings.balance == Balance(mode="weights", per_class={"<b>": 8 / 12, "键盘": 2})


def test_repeats_of_rows(spark: SparkSession, context: StageContext) -> None:
    found = collect(spark, context, make_rows(a=7, b=3, c=1), mode="oversample", max_weight=4.5)
    assert {one for one in found if one[1] == "train"} == {
        ("a", "train", 1),
        ("b", "train", 2),
        ("c", "train", 4),
    }
    assert {one[2] for one in found if one[1] != "train"} == {1}
    assert context.findings.balance == Balance(
        mode="oversample", per_class={"a": 1, "b": 2, "c": 4}
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # As of 10 labels they would be 10/18, 10/9 and 10/3, and 25/21 in the mean.
        ("weights", {"cat": 7 / 15, "dog": 14 / 15, "fox": 14 / 5}),
        ("oversample", {"cat": 1, "dog": 2, "fox": 6}),
    ],
)
def test_several_labels_get_what_the_rarest_gets(
    spark: SparkSession, context: StageContext, mode: str, expected: dict[str, float]
) -> None:
    several = replace(context, task=SEVERAL)
    rows = make_rows(cat=3) + make_rows(**{"cat|dog": 2, "cat|fox": 1, "dog": 1})
    found = collect(spark, several, rows, mode=mode)
    rarest = {"cat": "cat", "cat|dog": "dog", "cat|fox": "fox", "dog": "dog"}
    train = {label: value for label, side, value in found if side == "train"}
    assert train == pytest.approx({label: expected[name] for label, name in rarest.items()})
    assert several.findings.balance is not None
    assert several.findings.balance.per_class == pytest.approx(expected)


@given(
    st.dictionaries(
        st.sets(st.sampled_from("abcd"), min_size=1).map(lambda names: "|".join(sorted(names))),
        st.integers(1, 50),
        min_size=1,
    )
)
def test_the_mean_is_one_where_samples_have_several_labels(labels: dict[str, int]) -> None:
    weights = weigh_labels(labels, SEVERAL, 1e9)
    taken = {label: max(weights[name] for name in label.split("|")) for label in labels}
    mean = sum(taken[label] * samples for label, samples in labels.items()) / sum(labels.values())
    assert mean == pytest.approx(1)
    capped = weigh_labels(labels, SEVERAL, 1.5)
    assert capped == {name: min(weight, 1.5) for name, weight in weights.items()}
    # A bar is just a sign where a sample has one label.
    assert weigh_labels(labels, ONE, 2.0) == weigh_classes(labels, 2.0)


def test_what_an_earlier_stage_gave_is_replaced(spark: SparkSession, context: StageContext) -> None:
    once = run(make_samples(spark, make_rows(a=3, b=1)), Params(max_weight=1), context)
    twice = run(once, Params(), context)
    assert {row["sample_weight"] for row in twice.collect()} == {4 / 6, 2.0, 1.0}


def test_nothing_to_balance(spark: SparkSession, context: StageContext) -> None:
    rows: list[dict[str, object]] = [{"label": "a", "reject_reason": "not an image"}]
    assert collect(spark, context, rows) == {("a", None, 1.0)}
    assert collect(spark, context, rows, mode="oversample") == {("a", None, 1)}


def test_samples_without_a_side_are_told(spark: SparkSession, context: StageContext) -> None:
    rows = make_rows(a=2, b=2)
    rows.append({"label": "a", "side": None})
    with pytest.raises(UserError, match=r"1 samples have no side yet.* after 'assign_sides'"):
        run(make_samples(spark, rows), Params(), context)


def test_before_assign_sides_is_told_before_a_row_is_read() -> None:
    names = ("balance_classes", "decode_image", "assign_sides")
    with pytest.raises(UserError, match="'balance_classes' needs what 'assign_sides' decides"):
        load_stages([StageSpec(name=name) for name in names], None)
    assert load_stages([StageSpec(name=name) for name in reversed(names)], None)
    # A stage of the user's own may have set the sides.
    assert load_stages([StageSpec(name="balance_classes")], None)


@pytest.mark.parametrize("params", [{"mode": "smote"}, {"max_weight": 0.5}, {"max_weight": 1001}])
def test_params_out_of_range(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Params(**params)


def test_a_chain_keeps_what_it_adds(spark: SparkSession, context: StageContext) -> None:
    (stage,) = load_stages([StageSpec(name="balance_classes")], None)
    rows = run_stages(make_samples(spark, make_rows(a=3, b=1)), [stage], context)
    assert rows.schema["sample_weight"].dataType.simpleString() == "double"
