"""What an evaluation found: metrics.json of a run, which the report shows and compare reads.

Intervals are of 95 %. Scores are the model's probabilities after its temperature.
"""

from statistics import fmean
from typing import Literal

from serving.bundle.manifest import ONE, Task
from serving.job.spec import Spec

EVALUATION_FILE = "metrics.json"
BAD_CASES_FILE = "bad_cases.json"
ChosenOn = Literal["val", "folds", "heads", "nothing"]


class Interval(Spec):
    """From low to high, both within."""

    low: float
    high: float


class Averages(Spec):
    """Over classes, or over samples."""

    precision: float
    recall: float
    f1: float


class Curve(Spec):
    """One class against the rest at falling thresholds, from none called it to all called it.

    Where it bends; a long curve is thinned out. precision: 1 where none is called it.
    """

    false_positive_rate: tuple[float, ...]
    recall: tuple[float, ...]
    precision: tuple[float, ...]


class ClassScore(Spec):
    """One class against the rest. support: true samples; predicted: those that were called it.

    roc_auc, average_precision, curve: None where the class has no sample, or no other class has
    one. threshold: of its probability, chosen for the best F1, or for as many of its samples as
    are found with the evaluation's min_precision; None: none was. Where a sample may have several
    labels it is the bundle's. threshold_unreached: it is None because no score is so precise.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    roc_auc: float | None = None
    average_precision: float | None = None
    threshold: float | None = None
    threshold_unreached: bool = False
    threshold_precision: float | None = None
    threshold_recall: float | None = None
    curve: Curve | None = None


class CalibrationBin(Spec):
    """Predictions whose best probability, or of several labels any, lies in (low, high]."""

    low: float
    high: float
    samples: int
    mean_score: float
    accuracy: float


class MixUp(Spec):
    """Test samples whose label was missed while another was wrongly said.

    label empty: nothing was missed there; predicted empty: nothing was wrongly said.
    """

    label: str
    predicted: str
    samples: int


class Slice(Spec):
    """A part of the test side. by: what parts it, as "brightness" or "folder"."""

    by: str
    value: str
    samples: int
    accuracy: float
    interval: Interval


class LeftOutClass(Spec):
    """A class asked of a head that has not learned it. roc_auc: of its samples against known ones.

    declined: share of its samples, where 95 % of the known val samples are accepted.
    """

    label: str
    samples: int
    roc_auc: float
    declined: float


class Unknown(Spec):
    """What unknown things would meet, by classes that were left out; those told worst, first.

    By linear heads on the pretrained backbone's features: an estimate, of things as near as classes
    are.
    """

    by_class: tuple[LeftOutClass, ...]

    @property
    def roc_auc(self) -> float:
        """Mean over the classes."""
        return fmean(one.roc_auc for one in self.by_class)

    @property
    def declined(self) -> float:
        """Mean over the classes."""
        return fmean(one.declined for one in self.by_class)


class Declining(Spec):
    """The score by which a model says "none of these", and its threshold.

    declined: share of the test side; declined_wrong: share of it that was wrong as well. unknown:
    None where it could not be estimated.
    """

    kind: str
    threshold: float
    declined: float
    declined_wrong: float
    unknown: Unknown | None = None


class Evaluation(Spec):
    """confusion[i][j]: samples of class i that were called class j, in the order of `classes`.

    macro averages are over the classes that occur as label or prediction. tellable: the smallest
    difference in accuracy between two models that this test side shows four times in five.
    warning: a sentence where the test side is too small to tell, which says what size would do.
    balanced_accuracy: mean recall of the classes that have samples. roc_auc, average_precision:
    mean over the classes that have one; ranking_error: the most that any of them may be off, 0
    where they are exact. brier: Σ (p - y)² over classes, for two classes half of it. log_loss,
    brier, top_k and calibration are over samples that could be read. min_precision: that the
    classes' thresholds were chosen for; 0: for the best F1. chosen_on: what thresholds were chosen
    on: the val side, out-of-fold scores of train and val (heads: of the head alone, though the last
    blocks were trained, too), or nothing, for the model has learned from both and there are none.

    Where a sample may have several labels, accuracy is the share of those whose labels are all
    found and no other is said (subset accuracy); log_loss, brier, calibration and hamming_loss are
    over every sample's every class; confusion and top_k are empty, and mix_ups has the most
    frequent first. Where a sample has one label, mix_ups is empty and hamming_loss None.
    """

    task: Task = ONE
    samples: int
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    macro: Averages
    micro: Averages
    weighted: Averages
    macro_f1_interval: Interval
    top_k: dict[int, float]
    roc_auc: float | None
    average_precision: float | None
    log_loss: float
    brier: float
    calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    per_class: tuple[ClassScore, ...]
    hamming_loss: float | None = None
    mix_ups: tuple[MixUp, ...] = ()
    slices: tuple[Slice, ...] = ()
    declining: Declining | None = None
    ranking_error: float = 0.0
    min_precision: float = 0.0
    chosen_on: ChosenOn = "val"
    tellable: float
    warning: str = ""

    @property
    def wrong(self) -> int:
        """Samples that were not all right."""
        return self.samples - round(self.samples * self.accuracy)


class Paired(Spec):
    """Two models on the same samples: which of them was right."""

    both: int
    challenger_only: int
    champion_only: int
    neither: int

    @property
    def samples(self) -> int:
        """All of them."""
        return self.both + self.challenger_only + self.champion_only + self.neither


class Neighbour(Spec):
    """A train sample near to a bad case. similarity: cosine of their features."""

    sha256: str
    name: str
    label: str
    similarity: float


class BadCase(Spec):
    """A test sample that the model got wrong. scores: the best few labels, best first.

    reasons: sentences, the likeliest cause first.
    """

    sha256: str
    name: str
    label: str
    predicted: str
    scores: tuple[tuple[str, float], ...]
    neighbours: tuple[Neighbour, ...] = ()
    reasons: tuple[str, ...] = ()


class BadCases(Spec):
    """bad_cases.json: all of them, the surest mistakes first.

    left_out: mistakes beyond as many as anybody looks at; the predictions hold them.
    """

    cases: tuple[BadCase, ...]
    left_out: int = 0
