"""The classes that labels name, as marks and as a column of arrays."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column
from pyspark.sql import functions as F

from serving.bundle.manifest import BAR, ONE, Task
from spark_jobs.label_sets import name_labels

Marks = npt.NDArray[np.bool_]


def mark_labels(labels: Sequence[str | None], classes: Sequence[str], task: Task) -> Marks:
    """[n, classes]: whether the label names the class; others that it names are left out."""
    places = {name: number for number, name in enumerate(classes)}
    # Of many samples few labels are distinct.
    distinct = {label: row for row, label in enumerate(dict.fromkeys(labels))}
    marks = np.zeros((len(distinct), len(classes)), np.bool_)
    for label, row in distinct.items():
        for name in name_labels(label or "", task):
            if name in places:
                marks[row, places[name]] = True
    chosen = np.fromiter((distinct[label] for label in labels), np.int64, len(labels))
    return marks[chosen]


def split_column(labels: Column, task: Task) -> Column:
    """Labels or predictions → arrays of names, empty where there is none; null where null."""
    if task == ONE:
        return F.array(labels)
    return F.array_remove(F.split(labels, rf"\{BAR}"), "")
