"""Scored samples to measure, and what scikit-learn says of them."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sklearn.metrics import (
        average_precision_score,
        brier_score_loss,
        log_loss,
        precision_recall_curve,
        roc_auc_score,
        top_k_accuracy_score,
    )

CLASSES = ("<b>", "a.b$", "plain", "键盘")
# Probabilities are multiples of this, so that ties are many and rows sum to 1 exactly.
GRAIN = 1 / 32


@dataclass(frozen=True)
class Answers:
    """scores: [n, classes] probabilities; truth: [n] places among the classes."""

    classes: tuple[str, ...]
    scores: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]

    @property
    def labels(self) -> list[str]:
        return [self.classes[place] for place in self.truth]

    @property
    def predicted(self) -> list[str]:
        return [self.classes[place] for place in self.scores.argmax(axis=1)]


@st.composite
def draw_answers(draw: st.DrawFn) -> Answers:
    """A few samples of two to four classes; some classes have no sample, or are never called."""
    classes = CLASSES[: draw(st.integers(2, len(CLASSES)))]
    cuts = st.lists(st.integers(0, 32), min_size=len(classes) - 1, max_size=len(classes) - 1)
    rows = draw(st.lists(cuts, min_size=1, max_size=30))
    edges = np.array([[0, *sorted(row), 32] for row in rows])
    scores = (np.diff(edges, axis=1) * GRAIN).astype(np.float32)
    place = st.integers(0, len(classes) - 1)
    truth = draw(st.lists(place, min_size=len(rows), max_size=len(rows)))
    return Answers(classes, scores, np.array(truth, np.int64))


def make_answers(count: int, width: int, seed: int, empty: int = 0) -> Answers:
    """Random ones, better than chance; the last `empty` classes have no samples."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, width - empty, count)
    logits = chance.normal(size=(count, width)) + 1.5 * np.eye(width)[truth]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Answers(tuple(f"class {k}" for k in range(width)), scores.astype(np.float32), truth)


def judge(answers: Answers) -> dict[str, Any]:
    """What scikit-learn says; rows made to sum to 1 as nearly as it wants."""
    scores, width = answers.scores.astype(np.float64), len(answers.classes)
    places = list(range(width))
    onehot = np.eye(width)[answers.truth]
    binary = width == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        brier = (
            brier_score_loss(answers.truth, scores[:, 1], labels=places)
            if binary
            else ((scores - onehot) ** 2).sum(axis=1).mean()
        )
        found = {
            "log_loss": log_loss(answers.truth, scores, labels=places),
            "brier": float(brier),
            # Its ties go to the later class, ours to the earlier one: asked in a mirror.
            "top_k": {
                k: top_k_accuracy_score(
                    width - 1 - answers.truth, scores[:, ::-1], k=k, labels=places
                )
                for k in (1, 2, 3, 5, 10)
                if k < width and not binary
            },
        }
    for k, name in enumerate(answers.classes):
        own = answers.truth == k
        if own.any() and not own.all():
            found[f"roc_auc {name}"] = roc_auc_score(own, scores[:, k])
            found[f"average_precision {name}"] = average_precision_score(own, scores[:, k])
        if own.any():
            precision, recall, _ = precision_recall_curve(own, scores[:, k])
            whole = precision + recall
            f1 = np.divide(2 * precision * recall, whole, where=whole > 0, out=0 * whole)
            found[f"best f1 {name}"] = float(f1.max())
    return found
