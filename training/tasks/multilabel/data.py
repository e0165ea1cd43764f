"""Snapshot → samples, each with 0 or 1 for every class."""

import numpy as np

from serving.job.labels import split_labels
from training.spec import TrainSpec
from training.tasks.labels import make_samples, read_contents, read_labels, read_probe
from training.tasks.protocol import Floats, Integers, Samples

__all__ = ["find_strata", "read_contents", "read_probe", "read_samples"]
# Of a stratum; two for each fold.
LEAST_ROWS = 10


def read_samples(spec: TrainSpec) -> Samples:
    """Read the train and val side, in an order that only the samples decide; see TaskData."""
    labels = read_labels(spec, split_labels)
    places = {name: place for place, name in enumerate(spec.classes)}
    targets = np.zeros((labels.num_rows, len(places)), np.float32)
    for row, label in enumerate(labels["label"].to_pylist()):
        targets[row, [places[name] for name in split_labels(label)]] = 1
    return make_samples(labels, targets, find_strata(targets))


def find_strata(targets: Floats) -> Integers:
    """Targets [n, k], at least one 1 in each row → the rarest class of each row, [n].

    Of equally rare ones, the first. Where all but a few rows of a common class have a rarer one,
    too, those few count to the largest stratum: alone they would allow fewer folds than the rarest
    class does.
    """
    counts = targets.sum(axis=0)
    order = np.argsort(counts, kind="stable")
    strata: Integers = order[targets[:, order].argmax(axis=1)].astype(np.int64)
    sizes = np.bincount(strata, minlength=len(counts))
    strata[sizes[strata] < min(LEAST_ROWS, counts.min())] = sizes.argmax()
    return strata
