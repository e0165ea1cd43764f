"""How much samples count: from the stages to the trainer, through the run's own labels."""

import io
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.job import store
from serving.job.errors import UserError
from spark_jobs.context import StageContext
from spark_jobs.etl import run_etl
from spark_jobs.report_models import Balance, EtlReport
from spark_jobs.runner import Stage, load_stages, run_stages
from spark_jobs.sample_rows import make_samples
from spark_jobs.sample_weights import check_weights
from spark_jobs.schemas import SAMPLES
from spark_jobs.snapshots import LABELS, LABELS_FILE
from spark_jobs.spec import EtlOutcome, StageParams, StageSpec
from tests.spark_jobs.conftest import CHAIN, MakeSpec
from tests.spark_jobs.tiny import CLASSES, write_tree
from training.spec import TrainSpec

RED, GREEN, BLUE = CLASSES
BALANCE = StageSpec(name="balance_classes")
RunChain = Callable[..., EtlOutcome]


@pytest.fixture
def run_chain(
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> RunChain:
    """The usual chain and then some, on 14, 4 and 2 train samples; own: name and body of stages.

    Modules are known by name for as long as Python runs.
    """
    folder = tmp_path / "stages"
    folder.mkdir()
    monkeypatch.setenv("MODELMILL_STAGES", str(folder))
    write_tree(import_root, per_class=4)
    write_tree(import_root, per_class=2, start=4, classes=(RED, GREEN))
    write_tree(import_root, per_class=14, start=6, classes=(RED,))
    run_import_of()

    def run(*after: StageSpec, own: dict[str, str] | None = None, **changes: Any) -> EtlOutcome:
        for name, body in (own or {}).items():
            head = "from pyspark.sql import functions as F\ndef run(samples, params):\n    return "
            (folder / f"{name}.py").write_text(f"{head}{body}\n")
        stages = [*(StageSpec(name=name) for name in CHAIN), *after]
        stages += [StageSpec(name=name) for name in own or {}]
        return run_etl(make_spec(stages=tuple(stages), **changes))

    return run


def read_values(outcome: EtlOutcome, column: str) -> dict[tuple[str, str], set[float]]:
    """(Label, side) → the values of its samples."""
    table = pq.read_table(io.BytesIO(store.read_bytes(outcome.labels_uri)))
    found: dict[tuple[str, str], set[float]] = {}
    for row in table.to_pylist():
        found.setdefault((row["label"], row["side"]), set()).add(row[column])
    return found


class TrainRows(NamedTuple):
    """What the trainer reads of the train side, [n] each."""

    targets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    repeats: npt.NDArray[np.int64]


def read_train_rows(outcome: EtlOutcome) -> TrainRows:
    """As the training does; the two packages share nothing but the file."""
    with warnings.catch_warnings():
        # Paddle warns about its own code while it is imported.
        warnings.simplefilter("ignore")
        from training.tasks.classification.data import read_samples
    spec = TrainSpec(
        output_uri="file:///nowhere",
        run_id="20260101t000000-abcdef",
        dataset="things",
        snapshot_id=outcome.snapshot_id,
        labels_uri=outcome.labels_uri,
        scratch_uri="file:///nowhere",
        classes=outcome.classes,
        inputs=outcome.features,
        code_version="test",
        seed=0,
        max_trials=1,
    )
    samples = read_samples(spec)
    train = ~samples.val
    return TrainRows(samples.strata[train], samples.weights[train], samples.repeats[train])


def test_weights_reach_the_trainer_and_the_snapshot_stays_as_it_is(
    run_chain: RunChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = run_chain()
    snapshot = store.join((tmp_path / "snapshots").as_uri(), plain.snapshot_id, LABELS_FILE)
    assert plain.labels_uri == snapshot
    assert store.read_model(plain.report_uri, EtlReport).balance is None
    content = store.read_bytes(snapshot)
    outcome = run_chain(BALANCE)
    assert (outcome.snapshot_id, outcome.counts) == (plain.snapshot_id, plain.counts)
    assert outcome.labels_uri == store.join((tmp_path / "etl").as_uri(), LABELS_FILE)
    assert store.read_bytes(snapshot) == content
    assert outcome.counts["train"] == {RED: 14, GREEN: 4, BLUE: 2}
    weights = {RED: 20 / (3 * 14), GREEN: 20 / (3 * 4), BLUE: 20 / (3 * 2)}
    values = read_values(outcome, "sample_weight")
    for (label, side), found in values.items():
        assert found == {weights[label] if side == "train" else 1.0}
    train = read_train_rows(outcome)
    assert np.bincount(train.targets, train.weights).tolist() == pytest.approx([20 / 3] * 3)
    assert set(train.repeats) == {1}
    balance = store.read_model(outcome.report_uri, EtlReport).balance
    assert balance == Balance(mode="weights", per_class=weights)
    told = f"classes balanced by weights: {RED} 0.47619, {GREEN} 1.66667, {BLUE} 3.33333"
    assert told in capsys.readouterr().out
    again = run_chain(BALANCE, snapshot_id=plain.snapshot_id)
    assert read_values(again, "sample_weight") == values


def test_what_would_show_no_sample_twice_is_refused() -> None:
    params = {"mode": "oversample", "max_weight": 1.9}
    with pytest.raises(UserError, match=r"max_weight=1\.9: below 2 no sample is seen twice"):
        load_stages([StageSpec(name="balance_classes", params=params)], None)


def test_repeats_reach_the_trainer(run_chain: RunChain, tmp_path: Path) -> None:
    oversample = StageSpec(name="balance_classes", params={"mode": "oversample", "max_weight": 5})
    outcome = run_chain(oversample)
    content = store.read_bytes(outcome.labels_uri)
    assert pq.read_schema(io.BytesIO(content)).names == [*LABELS.names, "sample_repeats"]
    repeats = {RED: 1, GREEN: 4, BLUE: 5}
    for (label, side), found in read_values(outcome, "sample_repeats").items():
        assert found == {repeats[label] if side == "train" else 1}
    train = read_train_rows(outcome)
    assert np.bincount(train.targets, train.repeats).tolist() == [14, 16, 10]
    assert set(train.weights) == {1}


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("sample_weight", [1.0, None], r"1 of 2 train samples .*\(b: null\).*0 to 1,000"),
        ("sample_weight", [-0.5, -1.0], r"2 of 2 train samples .*\(a: -0.5, b: -1\)"),
        ("sample_weight", [math.nan, 1.0], r"sample_weight that cannot be \(a: nan\)"),
        ("sample_weight", [1.0, math.inf], r"sample_weight that cannot be \(b: inf\)"),
        ("sample_weight", [1.0, 1000.5], r"\(b: 1000.5\)"),
        ("sample_weight", [0.0, 0.0], "every train sample sample_weight 0"),
        ("sample_repeats", [0, 1], r"\(a: 0\). Allowed is a whole number from 1 to 1,000"),
        ("sample_repeats", [None, 1], r"\(a: null\)"),
        ("sample_repeats", [1, 1001], r"\(b: 1001\)"),
    ],
)
def test_values_that_cannot_be_are_told(column: str, values: list[float], told: str) -> None:
    """On the train side; what others have is not used."""
    rows = {"name": ["a", "b", "c"], "side": ["train", "train", "val"]}
    with pytest.raises(UserError, match=told):
        check_weights(pa.table({**rows, column: [*values, None]}))
    check_weights(pa.table({**rows, column: [1, 1, None]}))


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("sample_weight", "2", "'own': sample_weight is string, but allowed is a number"),
        ("sample_repeats", 1.5, "'own': sample_repeats is double, but allowed is a whole number"),
    ],
)
def test_types_that_cannot_be_are_told(
    spark: SparkSession, context: StageContext, column: str, value: object, told: str
) -> None:
    def run(samples: DataFrame, _: StageParams) -> DataFrame:
        return samples.withColumn(column, F.lit(value))

    stage = Stage("own", run, StageParams(), takes_context=False)
    with pytest.raises(UserError, match=told):
        run_stages(make_samples(spark, [{"label": "a"}]), [stage], context)


def test_a_chain_ends_with_values_that_cannot_be(run_chain: RunChain, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"20 of 20 train samples a sample_weight .*: nan, "):
        run_chain(own={"weigh_nan": "samples.withColumn('sample_weight', F.lit(float('nan')))"})
    assert not (tmp_path / "snapshots").exists()


def test_weights_of_the_users_own(run_chain: RunChain) -> None:
    """Any number will do; what is not on the train side need not have one."""
    body = "samples.withColumn('sample_weight', F.when(F.col('side') == 'train', F.expr('1.5')))"
    outcome = run_chain(own={"weigh_all": body})
    values = read_values(outcome, "sample_weight")
    assert {side: values[RED, side] for side in ("train", "val", "test")} == {
        "train": {1.5},
        "val": {None},
        "test": {None},
    }


def test_a_stage_that_knows_only_samples_still_works(run_chain: RunChain) -> None:
    """It may stand before balance_classes; after it, it would lose what that decided."""
    only = f"samples.select('rejected_by', {', '.join(map(repr, SAMPLES.names))})"
    assert run_chain(own={"keep_samples": only}).counts["train"][RED] == 14
    with pytest.raises(UserError, match="'keep_samples_only' took away sample_weight"):
        run_chain(BALANCE, own={"keep_samples_only": only})
