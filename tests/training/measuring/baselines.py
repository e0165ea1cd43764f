"""What a searched model is compared with, on the same test pictures, in pairs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from tests.training.measuring.features import Table
from training.tasks.protocol import Integers

Labels = npt.NDArray[np.str_]
# By name: input, and scikit-learn's C of a logistic regression on its frozen features.
FROZEN = {
    "Lite0 squashed + linear": ("efficientnet-lite0 squash", 1.0),
    "Lite1 crop + LR C=0.01": ("efficientnet-lite1 crop", 0.01),
}
# The best single input by hand, with the product's own head and trainer, without a search.
HAND_SET = "Lite1 crop + own linear head"
HAND_SET_INPUT = "efficientnet-lite1 crop"
DRAWS = 2_000
# Of the gain, the middle 95 % of the draws.
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Answers:
    """Labels of the test pictures, and what a model says of them."""

    labels: Labels
    said: Labels

    def judge(self, name: str) -> dict[str, object]:
        """Accuracy and macro-F1, under keys that begin with the model's name."""
        prefix = f"{name}: " if name else ""
        return {
            f"{prefix}accuracy": round(float(accuracy_score(self.labels, self.said)), 4),
            f"{prefix}macro_f1": round(_find_f1(self.labels, self.said), 4),
        }


def fit_frozen(name: str, table: Table, rows: Integers, labels: Labels, test: Integers) -> Answers:
    """A logistic regression on frozen features."""
    given, strength = FROZEN[name]
    matrix = table.matrices[given]
    model = LogisticRegression(C=strength, max_iter=5_000)
    model.fit(matrix[rows], labels[rows])
    return Answers(labels[test], model.predict(matrix[test]))


def find_gains(name: str, searched: Answers, other: Answers) -> dict[str, object]:
    """What the searched model has more than another, and its 95 % interval over test pictures.

    A paired bootstrap: each draw takes the same pictures of both (Efron & Tibshirani 1993, ch. 13).
    """
    gains = []
    chance, count = np.random.default_rng(0), len(searched.labels)
    for _ in range(DRAWS):
        drawn = chance.integers(count, size=count)
        labels = searched.labels[drawn]
        one, two = searched.said[drawn], other.said[drawn]
        right = float((one == labels).mean() - (two == labels).mean())
        gains.append((right, _find_f1(labels, one) - _find_f1(labels, two)))
    low, high = np.percentile(gains, INTERVAL, axis=0).round(4).tolist()
    return {
        f"{name}: accuracy gained, 95 %": [low[0], high[0]],
        f"{name}: macro_f1 gained, 95 %": [low[1], high[1]],
    }


def _find_f1(labels: Labels, said: Labels) -> float:
    """Macro-F1 of the classes that are there; scikit-learn's takes a hundred times as long."""
    scores = []
    for name in np.unique(labels):
        own, called = labels == name, said == name
        scores.append(2 * (own & called).sum() / (own.sum() + called.sum()))
    return float(np.mean(scores))
