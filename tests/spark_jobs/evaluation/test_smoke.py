"""Which test samples a new server must answer."""

from serving.bundle.manifest import SEVERAL
from spark_jobs.smoke import Prediction, choose_smoke


def make_prediction(sha256: str, label: str, predicted: str, score: float, size: int) -> Prediction:
    return Prediction(
        sha256=sha256,
        name=sha256,
        label=label,
        segment="s",
        size_bytes=size,
        predicted=predicted,
        score=score,
    )


def test_smoke_prefers_small_sure_and_different() -> None:
    predictions = [
        make_prediction("a-large", "a", "a", 0.9, 900),
        make_prediction("a-small", "a", "a", 0.9, 10),
        make_prediction("a-unsure", "a", "a", 0.3, 1),
        make_prediction("b", "b", "b", 0.9, 5000),
        make_prediction("c-wrong", "c", "a", 0.9, 1),
    ]
    assert [p.sha256 for p in choose_smoke(predictions, 3)] == ["a-small", "b", "a-large"]
    assert [p.sha256 for p in choose_smoke(predictions[-1:], 3)] == ["c-wrong"]
    assert choose_smoke([], 3) == []


def test_one_label_takes_each_class_in_turn() -> None:
    predictions = [
        make_prediction(f"{label}{number}", label, label, 0.9, number)
        for label, samples in {"c": 1, "a": 3, "b": 2}.items()
        for number in range(samples)
    ]
    chosen = [p.sha256 for p in choose_smoke(predictions, 9)]
    assert chosen == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_several_labels_show_as_many_classes_as_so_few_can() -> None:
    sets = ("a", "a|b", "a|c", "a|b|c", "a|d", "e|f", "f")
    predictions = [
        make_prediction(label, label, label, 0.9, size) for size, label in enumerate(sets)
    ]
    chosen = [p.sha256 for p in choose_smoke(predictions, 3, SEVERAL)]
    assert chosen == ["a|b|c", "e|f", "a|d"]
    # All are shown: each is shown once more.
    more = [p.sha256 for p in choose_smoke(predictions, 7, SEVERAL)]
    assert more == [*chosen, "a|b", "a|c", "f", "a"]


def test_several_labels_are_shown_by_sure_answers() -> None:
    predictions = [
        make_prediction("unsure", "a|b|c", "a|b|c", 0.5, 1),
        make_prediction("wrong", "a|b|c", "a|b", 0.9, 1),
        make_prediction("sure", "a|b", "a|b", 0.9, 900),
    ]
    assert [p.sha256 for p in choose_smoke(predictions, 2, SEVERAL)] == ["sure", "unsure"]
