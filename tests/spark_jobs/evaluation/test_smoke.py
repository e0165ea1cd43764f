"""Which test samples a new server must answer."""

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
