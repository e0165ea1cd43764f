import math

from training.early_stopping import EarlyStopping


def run(losses: list[float], patience: int = 2, min_delta: float = 0.1) -> EarlyStopping:
    state = EarlyStopping(patience, min_delta)
    for loss in losses:
        state = state.after(loss)
    return state


def test_best_is_the_last_clear_improvement() -> None:
    state = run([1.0, 0.8, 0.75])
    assert (state.best_epoch, state.best_loss, state.epoch) == (2, 0.8, 3)
    assert not state.improved
    assert not state.exhausted


def test_patience_counts_from_the_best() -> None:
    assert not run([1.0, 1.0]).exhausted
    assert run([1.0, 1.0, 1.0]).exhausted
    assert not run([1.0, 1.0, 0.5]).exhausted


def test_no_number_is_no_improvement() -> None:
    assert run([math.nan, math.nan]).best_epoch == 0
    assert run([math.nan, math.nan]).exhausted
    assert run([math.nan, 0.5]).improved


def test_nothing_yet() -> None:
    assert not EarlyStopping(1, 0.0).improved
    assert not EarlyStopping(1, 0.0).exhausted
