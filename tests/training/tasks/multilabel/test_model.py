import math
from collections.abc import Callable

import numpy as np
import paddle
import pytest
from scipy.special import expit
from sklearn.metrics import accuracy_score, log_loss

from serving.bundle.predictor import OnnxNetwork
from serving.job.search import HeadKind, Recipe
from tests.training.fitting import ALONE, fit_of
from tests.training.tasks.pooling import KINDS, Pooling, draw_head, draw_pictures, pooling_onnx
from training.fit import Rows
from training.loop import train_head
from training.sources import Features
from training.spec import TrainSpec
from training.tasks.multilabel.model import append_head, find_losses, join, make_head, measure
from training.tasks.protocol import load_task
from training.vectors import find_scaling


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_and_paddle_and_head_give_the_same(kind: HeadKind) -> None:
    head, temperature, pictures = draw_head(make_head, kind), 3.0, draw_pictures()
    with paddle.no_grad():
        scores = join(Pooling(), head, temperature)(paddle.to_tensor(pictures)).numpy()
        logits = head(paddle.to_tensor(pictures.mean(axis=(2, 3)))).numpy()
    np.testing.assert_allclose(scores, expit(logits / temperature), atol=1e-5)
    served = append_head(pooling_onnx(), head, temperature)
    found = OnnxNetwork(served.SerializeToString()).run(pictures)
    np.testing.assert_allclose(found, scores, atol=1e-5)
    assert served.graph.node[-1].op_type == "Sigmoid"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_smoothed_binary_cross_entropy_of_all_classes(smoothing: float) -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(2, 7, 3)).astype(np.float32) * 3
    targets = chance.integers(0, 2, (2, 7, 3)).astype(np.float32)
    outputs = paddle.to_tensor(logits, stop_gradient=False)
    losses = find_losses(outputs, paddle.to_tensor(targets), Recipe(input="", smoothing=smoothing))
    wanted, scores = targets * (1 - smoothing) + smoothing / 2, expit(logits.astype(np.float64))
    each = -wanted * np.log(scores) - (1 - wanted) * np.log(1 - scores)
    np.testing.assert_allclose(losses.numpy(), each.sum(axis=-1), rtol=1e-4)
    losses.sum().backward()
    assert outputs.grad is not None
    np.testing.assert_allclose(outputs.grad.numpy(), scores - wanted, atol=1e-5)


def test_the_temperature_makes_scores_honest() -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(2000, 3)) * 2
    targets = (chance.random((2000, 3)) < expit(logits)).astype(np.float32)
    found = measure((logits * 5).astype(np.float32), targets)
    assert found.temperature == pytest.approx(5, rel=0.1)
    assert found.accuracy == accuracy_score(targets, logits >= 0)
    scores = expit(logits * 5 / found.temperature)
    expected = sum(log_loss(targets[:, place], scores[:, place]) for place in range(3))
    assert found.loss == pytest.approx(expected, rel=1e-2)
    each = -np.log(np.where(targets > 0, scores, 1 - scores)).sum(axis=1)
    assert found.error == pytest.approx(each.std() / math.sqrt(2000), rel=1e-2)


def test_no_mistake_on_few_samples_is_not_called_certain() -> None:
    logits = np.array([[9, -9], [-9, 9], [7, -8]], np.float32)
    found = measure(logits, (logits > 0).astype(np.float32))
    assert found.accuracy == 1
    assert 0.6 < expit(np.abs(logits) / found.temperature).mean() < 0.9


def test_no_number_is_infinitely_bad() -> None:
    outputs = np.full((3, 2), np.nan, np.float32)
    assert measure(outputs, np.zeros((3, 2), np.float32)).loss == np.inf


@pytest.mark.parametrize("kind", KINDS)
def test_a_rare_class_is_thought_rare(make_spec: Callable[..., TrainSpec], kind: HeadKind) -> None:
    chance = np.random.default_rng(0)
    features = chance.normal(size=(200, 4)).astype(np.float32)
    # Nothing of it is seen in the features.
    targets = (chance.random((200, 3)) < [0.05, 0.1, 0.9]).astype(np.float32)
    learned = np.arange(200)
    rows = Rows(
        inputs=Features(features),
        targets=targets,
        weights=np.ones(200, np.float32),
        learned=learned,
        judged=learned,
        scaling=find_scaling(features, learned),
    )
    spec = make_spec(task="multilabel", max_epochs=40)
    changes = {"head": kind, "learning_rate": 0.02, "hidden": 4, "smoothing": 0.0}
    fit, task = fit_of(spec, **changes), load_task(spec.task)[1]
    trained = train_head(fit, ALONE, rows, task, spec.scratch_uri)
    assert trained.outputs is not None
    found = expit(trained.outputs).mean(axis=0)
    np.testing.assert_allclose(found, targets.mean(axis=0), atol=0.06)
