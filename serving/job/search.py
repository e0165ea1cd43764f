"""What a model search tried, as the trainer writes it down and the report shows it."""

from typing import Literal

from pydantic import Field

from serving.job.spec import Spec

SEARCH_FILE = "search.json"
HeadKind = Literal["linear", "cosine", "mlp"]
Ended = Literal["max_trials", "budget", "no_gain"]
Depth = Literal["head", "last_blocks", "network"]


class Recipe(Spec):
    """All that decides a model besides data, seed and ranks.

    input: name of the backbone with its preprocessing. hidden and dropout: of an MLP's one hidden
    layer. smoothing: share of a label that is spread over all classes. depth: what is trained: the
    head alone, or, from such a head, the backbone's last blocks or all of it, too. augmentation:
    how much pictures are changed at random where the network is trained on them, 0 (not at all) to
    1; mixup: alpha of the Beta distribution that two pictures are mixed by; 0: they are not.
    """

    input: str
    head: HeadKind = "linear"
    learning_rate: float = 0.002
    weight_decay: float = 0.01
    smoothing: float = 0.1
    hidden: int = 0
    dropout: float = 0.0
    depth: Depth = "head"
    # Left out where they decide nothing: what was trained before they existed is still found. Read
    # back, they are the same floats: checkpoints are found by how a recipe reads.
    augmentation: float = Field(default=0.0, ge=0, le=1, exclude_if=lambda value: not value)
    mixup: float = Field(default=0.0, ge=0, exclude_if=lambda value: not value)


class Trial(Spec):
    """One attempt. loss: cross-entropy of samples it did not learn from; None if not finished.

    What is deeper than a head is trained on the first fold alone: its loss and accuracy are the
    head's over all folds and what was gained on that one. latency_ms: of one picture, without
    decoding; model_mb: size of the ONNX file, 10⁶ bytes.
    """

    number: int
    recipe: Recipe
    state: Literal["finished", "pruned", "failed"]
    loss: float | None
    accuracy: float | None
    best_epoch: int
    latency_ms: float
    model_mb: float
    seconds: float
    allowed: bool


class Search(Spec):
    """All trials in their order. folds: 1 where the val side was large enough to judge by.

    best: number of the chosen trial. repeats: whether the same data, seed and worker give the
    same search again, which a time budget does not promise.
    """

    trials: tuple[Trial, ...]
    best: int
    ended_because: Ended
    folds: int
    repeats: bool
    seconds: float

    @property
    def chosen(self) -> Trial:
        """The trial whose recipe the model was made by."""
        return next(trial for trial in self.trials if trial.number == self.best)

    @property
    def front(self) -> tuple[Trial, ...]:
        """Finished trials that no other beats in accuracy, latency and size at once."""
        done = [trial for trial in self.trials if trial.state == "finished"]
        return tuple(trial for trial in done if not any(_dominates(other, trial) for other in done))


def _dominates(one: Trial, other: Trial) -> bool:
    def costs(trial: Trial) -> tuple[float, float, float]:
        return (-(trial.accuracy or 0.0), trial.latency_ms, trial.model_mb)

    pairs = list(zip(costs(one), costs(other), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


class Cost(Spec):
    """What a training took, over all its processes. peak_mb: the largest process, 10⁶ bytes."""

    cpu_seconds: float
    gpu_seconds: float
    peak_mb: float
