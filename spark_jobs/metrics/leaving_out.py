"""How well unknown things would be told: classes are left out of learning, and asked about.

A dataset holds nothing that is marked as unknown, and a model that has learned a class cannot say
what it would have made of it. So linear heads on the same features stand in for it, each without
some of the classes. Pure.
"""

import warnings

import numpy as np
import numpy.typing as npt

from serving.bundle.operating_point import measure_familiarity
from serving.job.evaluation import LeftOutClass, Unknown

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
# Heads, each without its share of the classes: of 10 classes two at a time.
HEADS = 5
# With fewer nothing is left to tell a class from; with more the heads take minutes.
FEWEST_CLASSES, MOST_CLASSES = 3, 100
# Penalty of a head's weights, as 1 / (C * samples); for features of variance 1.
PENALTY = 0.25
MOST_STEPS = 60


def _fit(vectors: Vectors, targets: Integers, known: Truths) -> Vectors:
    """Probabilities of all rows by a head that has learned the known ones, [n, its classes]."""
    # Half a second, which nobody else has to wait for.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # As training scales them, by one number: each feature by its own would blow up those in which
    # only what was left out differs.
    deviation = float(vectors[known].std(axis=0).mean()) or 1.0
    scaled = (vectors - vectors[known].mean(axis=0)) / deviation
    strength = 1 / (PENALTY * max(1, int(known.sum())))
    head = LogisticRegression(C=strength, max_iter=MOST_STEPS, tol=1e-3)
    with warnings.catch_warnings():
        # As near as MOST_STEPS come is near enough, and nobody could do anything about it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        head.fit(scaled[known], targets[known])
    scores: Vectors = head.predict_proba(scaled).astype(np.float32)
    return scores


def _judge(
    label: str, familiar: npt.NDArray[np.float64], strange: npt.NDArray[np.float64], below: float
) -> LeftOutClass:
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([1, 0], [len(familiar), len(strange)])
    return LeftOutClass(
        label=label,
        samples=len(strange),
        roc_auc=float(roc_auc_score(truth, np.concatenate((familiar, strange)))),
        declined=float((strange < below).mean()),
    )


def leave_classes_out(
    vectors: Vectors,
    targets: Integers,
    learned: Truths,
    classes: tuple[str, ...],
    accepted: float,
) -> Unknown | None:
    """vectors: [n, d]; targets: places among the classes; learned: the train side, else val.

    accepted: share of the known val samples that the threshold accepts. A class is asked about by
    all its samples: the head has seen none. None: too few classes, or too many, or no samples.
    """
    there = np.unique(targets[learned])
    if not FEWEST_CLASSES <= len(there) <= MOST_CLASSES:
        return None
    heads = min(HEADS, len(there))
    found = []
    for number in range(heads):
        # Neighbours by name, which are often alike, are left out apart.
        unknown = there[number::heads]
        known = ~np.isin(targets, unknown)
        asked = known & ~learned & np.isin(targets, there)
        if not asked.any():
            continue
        familiarity = measure_familiarity(_fit(vectors, targets, known & learned))
        below = float(np.quantile(familiarity[asked], 1 - accepted))
        for place in unknown:
            strange = familiarity[targets == place]
            found.append(_judge(classes[place], familiarity[asked], strange, below))
    if not found:
        return None
    return Unknown(by_class=tuple(sorted(found, key=lambda one: (one.roc_auc, one.label))))
