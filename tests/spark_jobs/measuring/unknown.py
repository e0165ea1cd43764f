"""How well a score tells pictures of no known class: trained on 8 of 10 digits, asked of all.

The features and the final training are the product's own; only the search is left out.
"""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import paddle
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from serving.bundle.predictor import OnnxNetwork
from serving.job.search import Recipe
from spark_jobs.importing.digits import write_digits
from spark_jobs.metrics.declining import ACCEPTED
from spark_jobs.neighbours import scale_rows
from training.backbones.catalogue import CATALOGUE, load_pretrained
from training.backbones.export import convert_to_onnx
from training.fit import Fit, Rows, Trained
from training.loop import train_head
from training.ranks import Ranks
from training.sources import Features
from training.tasks.protocol import load_task
from training.vectors import find_scaling

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
UNKNOWN = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
BATCH = 8


def make_features(folder: Path) -> tuple[Floats, Integers]:
    """[n, d] and the digits, [n]."""
    backbone = CATALOGUE[0]
    size = backbone.variant.size
    model = convert_to_onnx(load_pretrained(backbone).extractor, size)
    network = OnnxNetwork(model.SerializeToString())
    write_digits(folder)
    paths = sorted(
        folder.glob("*/*.png"), key=lambda path: hashlib.sha256(path.name.encode()).digest()
    )
    preprocessing = Preprocessing(size=size)
    vectors = []
    for start in range(0, len(paths), BATCH):
        pictures = [
            codec.prepare(path.read_bytes(), preprocessing) for path in paths[start : start + BATCH]
        ]
        vectors.append(network.run(codec.to_batch(pictures, preprocessing)))
    return np.concatenate(vectors), np.array([int(path.parent.name) for path in paths])


def train_known(
    features: Floats, targets: Integers, learned: Integers, judged: Integers
) -> Trained:
    """The hand-set recipe, stopped by the judged rows."""
    classes = tuple(map(str, range(8)))
    fit = Fit(Recipe(input=""), seed=0, epochs=100, patience=15, min_delta=1e-4, classes=classes)
    rows = Rows(
        inputs=Features(features),
        targets=targets,
        weights=np.ones(len(targets), np.float32),
        learned=learned,
        judged=judged,
        scaling=find_scaling(features, learned),
    )
    _, task = load_task("classification")
    with tempfile.TemporaryDirectory() as scratch:
        return train_head(fit, Ranks(0, 1, "cpu"), rows, task, Path(scratch).as_uri())


def score(trained: Trained, features: Floats) -> npt.NDArray[np.float64]:
    """[n, classes] probabilities as the bundle would answer."""
    trained.head.eval()
    with paddle.no_grad():
        logits = trained.head(paddle.to_tensor(features)).numpy()
    temperature = trained.measured.temperature if trained.measured else 1.0
    scores: npt.NDArray[np.float64] = softmax(logits.astype(np.float64) / temperature, axis=1)
    return scores


def measure_pair(features: Floats, digits: Integers, unknown: tuple[int, int]) -> dict[str, float]:
    """AUROC of known test digits against unknown ones, and what the val threshold does."""
    known = np.flatnonzero(~np.isin(digits, unknown))
    strange = features[np.isin(digits, unknown)]
    # Rows come in an order that chance has made: 70, 15, 15 in a hundred.
    learned, judged, tested = np.split(known, [int(0.7 * len(known)), int(0.85 * len(known))])
    names = np.unique(digits[known])
    targets = np.searchsorted(names, digits)
    trained = train_known(features, np.where(np.isin(digits, unknown), 0, targets), learned, judged)
    scores = {
        "test": score(trained, features[tested]),
        "val": score(trained, features[judged]),
        "strange": score(trained, strange),
    }
    best = {name: values.max(axis=1) for name, values in scores.items()}
    threshold = np.quantile(best["val"], 1 - ACCEPTED)
    near = scale_rows(features[learned])
    distance = {
        name: (scale_rows(rows) @ near.T).max(axis=1)
        for name, rows in (("test", features[tested]), ("strange", strange))
    }
    is_known = np.repeat([1, 0], [len(tested), len(strange)])
    return {
        "accuracy": float((scores["test"].argmax(axis=1) == targets[tested]).mean()),
        "auroc": float(roc_auc_score(is_known, np.concatenate((best["test"], best["strange"])))),
        "auroc_by_distance": float(
            roc_auc_score(is_known, np.concatenate((distance["test"], distance["strange"])))
        ),
        "known_declined": float((best["test"] < threshold).mean()),
        "unknown_declined": float((best["strange"] < threshold).mean()),
    }


def measure_unknown() -> dict[str, float]:
    """Mean over five pairs of unknown digits."""
    with tempfile.TemporaryDirectory() as name:
        features, digits = make_features(Path(name))
    found = [measure_pair(features, digits, pair) for pair in UNKNOWN]
    means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    return means | {"worst_auroc": min(one["auroc"] for one in found)}
