"""Snapshot → samples, each with the place of its class."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.spec import TrainSpec
from training.tasks.labels import make_samples, read_contents, read_labels, read_probe
from training.tasks.protocol import Samples

__all__ = ["read_contents", "read_probe", "read_samples"]


def read_samples(spec: TrainSpec) -> Samples:
    """Read the train and val side, in an order that only the samples decide; see TaskData."""
    labels = read_labels(spec, lambda label: (label,))
    classes = pa.array(spec.classes)
    targets = pc.index_in(labels["label"], value_set=classes).to_numpy().astype(np.int64)
    return make_samples(labels, targets, strata=targets)
