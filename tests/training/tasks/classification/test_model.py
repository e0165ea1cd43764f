import numpy as np
import paddle
import pytest
from scipy.special import log_softmax

from serving.bundle.predictor import OnnxNetwork
from serving.job.search import HeadKind, Recipe
from tests.training.tasks.pooling import KINDS, Pooling, draw_head, draw_pictures, pooling_onnx
from training.tasks.classification.model import append_head, find_losses, join, make_head, measure


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_and_paddle_and_head_give_the_same(kind: HeadKind) -> None:
    head, temperature, pictures = draw_head(make_head, kind), 3.0, draw_pictures()
    with paddle.no_grad():
        scores = join(Pooling(), head, temperature)(paddle.to_tensor(pictures)).numpy()
        logits = head(paddle.to_tensor(pictures.mean(axis=(2, 3)))) / temperature
        unfolded = paddle.nn.functional.softmax(logits).numpy()
    np.testing.assert_allclose(scores, unfolded, atol=1e-5)
    backbone = pooling_onnx()
    served = append_head(backbone, head, temperature)
    found = OnnxNetwork(served.SerializeToString()).run(pictures)
    np.testing.assert_allclose(found, scores, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert backbone == pooling_onnx()


def test_loss_is_smoothed_cross_entropy() -> None:
    logits = paddle.to_tensor([[2.0, 0.0], [0.0, 0.0]])
    recipe = Recipe(input="", smoothing=0.1)
    losses = find_losses(logits, paddle.to_tensor([0, 1]), recipe).numpy()
    low = np.log(1 + np.exp(-2.0))
    np.testing.assert_allclose(losses, [0.95 * low + 0.05 * (low + 2), np.log(2)], rtol=1e-5)


def test_the_temperature_makes_scores_honest() -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(2000, 3)) * 2
    scores = np.exp(log_softmax(logits, axis=1))
    targets = np.array([chance.choice(3, p=row) for row in scores])
    found = measure((logits * 5).astype(np.float32), targets)
    assert found.temperature == pytest.approx(5, rel=0.15)
    assert found.accuracy == (logits.argmax(axis=1) == targets).mean()
    honest = measure(logits.astype(np.float32), targets)
    assert found.loss == pytest.approx(honest.loss, rel=1e-3)


def test_no_mistake_on_few_samples_is_not_called_certain() -> None:
    logits = np.array([[9.0, 0.0], [0.0, 9.0], [7.0, 0.0]], np.float32)
    found = measure(logits, np.array([0, 1, 0]))
    scores = np.exp(log_softmax(logits / found.temperature, axis=1))
    assert found.accuracy == 1
    assert 0.6 < scores.max(axis=1).mean() < 0.9


def test_no_number_is_infinitely_bad() -> None:
    assert measure(np.full((3, 2), np.nan, np.float32), np.zeros(3, np.int64)).loss == np.inf
