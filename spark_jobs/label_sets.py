"""Labels that are written as one string, as the set of classes that they name. Pure."""

from serving.bundle.manifest import Task
from serving.job.labels import list_classes


def name_labels(text: str, task: Task) -> frozenset[str]:
    """Of one label or prediction; a prediction of nothing names none."""
    return frozenset(list_classes(text, task)) - {""}
