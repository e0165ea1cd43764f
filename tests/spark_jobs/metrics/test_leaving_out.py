"""A class that was left out is told from the others as well as features allow."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from spark_jobs.metrics import leaving_out
from spark_jobs.metrics.leaving_out import MOST_CLASSES, Integers, Vectors, leave_classes_out


def make_clouds(middles: Vectors, of_each: int = 60) -> tuple[Vectors, Integers]:
    """Samples around each middle, [classes * of_each, d]; class after class."""
    chance = np.random.default_rng(5)
    targets = np.repeat(np.arange(len(middles)), of_each)
    noise = chance.normal(0, 0.5, (len(targets), middles.shape[1]))
    return (middles[targets] + noise).astype(np.float32), targets


def test_digits_that_were_left_out() -> None:
    """Two of ten at a time; each is told better than by chance, 1 and 8 worse than 0."""
    pixels, digits = load_digits(return_X_y=True)
    learned = np.arange(len(digits)) % 10 < 7
    names = tuple("0123456789")
    found = leave_classes_out(pixels.astype(np.float32), digits, learned, names, 0.95)
    assert found is not None
    by_label = {one.label: one for one in found.by_class}
    assert set(by_label) == set(names)
    assert {one.label: one.samples for one in found.by_class} == {
        name: int((digits == int(name)).sum()) for name in names
    }
    assert all(0.7 < one.roc_auc < 1 and 0.1 < one.declined < 1 for one in found.by_class)
    assert 0.85 < found.roc_auc < 0.99
    aucs = [one.roc_auc for one in found.by_class]
    assert aucs == sorted(aucs)
    assert found.roc_auc == pytest.approx(np.mean(aucs))


def test_a_twin_is_not_told_and_says_so() -> None:
    """The last class lies on the first one: whoever knows only one takes the other for it."""
    middles = np.vstack((4 * np.eye(4), 4 * np.eye(4)[:1])).astype(np.float32)
    vectors, targets = make_clouds(middles)
    learned = np.arange(len(targets)) % 3 > 0
    found = leave_classes_out(vectors, targets, learned, ("a", "b", "c", "d", "twin"), 0.95)
    assert found is not None
    *worst, third, _, _ = found.by_class
    assert {one.label for one in worst} == {"a", "twin"}
    assert all(one.roc_auc < 0.75 and one.declined < 0.25 for one in worst)
    assert third.roc_auc > 0.95


def test_heads_that_have_not_come_to_their_end_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving_out, "MOST_STEPS", 1)
    vectors, targets = make_clouds(4 * np.eye(4, dtype=np.float32))
    learned = np.arange(len(targets)) % 3 > 0
    assert leave_classes_out(vectors, targets, learned, ("a", "b", "c", "d"), 0.95) is not None


@pytest.mark.parametrize("classes", [2, MOST_CLASSES + 1])
def test_nothing_is_said_of_too_few_or_too_many(classes: int) -> None:
    vectors, targets = make_clouds(np.eye(classes, dtype=np.float32), of_each=2)
    learned = np.arange(len(targets)) % 2 == 0
    names = tuple(map(str, range(classes)))
    assert leave_classes_out(vectors, targets, learned, names, 0.95) is None


def test_nothing_is_said_without_a_val_side_or_a_train_side() -> None:
    vectors, targets = make_clouds(np.eye(3, dtype=np.float32))
    for learned in (np.ones(len(targets), np.bool_), np.zeros(len(targets), np.bool_)):
        assert leave_classes_out(vectors, targets, learned, ("a", "b", "c"), 0.95) is None
