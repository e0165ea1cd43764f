"""What an outcome says of the model in service, and of a class."""

from serving.job.evaluation import Paired
from serving.job.spec import Spec


class ClassMetrics(Spec):
    """One row of the per-class table; support counts the true samples of the class."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


class Champion(Spec):
    """The deployment as the evaluation saw it; version None, bundle_uri empty: nothing served.

    paired: on test samples of classes that both know. note: why there is none, or on which.
    other_task: its bundle is there, but answers of another task are not compared.
    """

    generation: int
    version: int | None = None
    bundle_uri: str = ""
    accuracy: float | None = None
    macro_f1: float | None = None
    paired: Paired | None = None
    note: str = ""
    other_task: bool = False
    # Test samples that it learned from, or copies of such ones: no part of `paired`.
    leaked: int | None = None
