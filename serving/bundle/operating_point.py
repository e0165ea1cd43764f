"""From which score on a bundle's answer counts: chosen by an evaluation, kept beside the network.

The network's scores are at its temperature already, which training has put into its last layer.
"""

import hashlib
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

OPERATING_POINT_FILE = "operating_point.json"
# Maximum softmax probability (Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and
# Out-of-Distribution Examples in Neural Networks", ICLR 2017): all that a bundle answers with.
KIND: Final = "max_probability"


def measure_familiarity(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Probabilities [n, classes] → [n]: how much each picture looks like any of the classes."""
    best: npt.NDArray[np.float64] = scores.max(axis=1).astype(np.float64)
    return best


def find_declined(scores: npt.NDArray[np.float32], below: float) -> npt.NDArray[np.bool_]:
    """Probabilities [n, classes] → [n]: whether the answer is "none of these"."""
    return measure_familiarity(scores) < below


def hash_model(model: bytes) -> str:
    """Names a bundle's network by its content."""
    return hashlib.sha256(model).hexdigest()


class OperatingPoint(BaseModel):
    """operating_point.json of a bundle, where an evaluation could choose one.

    model_sha256: of the network that it was chosen for. run_id, snapshot_id: of the evaluation, and
    whose train and val sides it chose on. decline_below: of measure_familiarity; 0: it never does.
    class_thresholds: a class's probability for who looks for that one class, of the best F1 or of a
    precision that was asked for; classes that no score has it for, or without samples there, have
    none. Answers do not use it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["max_probability"] = KIND
    model_sha256: str
    run_id: str
    snapshot_id: str
    decline_below: float
    class_thresholds: dict[str, float] = {}

    def decides_as(self, other: "OperatingPoint") -> bool:
        """Whether no answer would differ, whichever run chose it."""
        origin = {"run_id", "snapshot_id"}
        return self.model_dump(exclude=origin) == other.model_dump(exclude=origin)

    def fingerprint(self) -> str:
        """Names it by its content."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
