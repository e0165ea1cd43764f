"""How sure a number is: intervals of 95 %, and what a test side of this size can tell."""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from serving.bundle.manifest import ONE, Task
from serving.job.evaluation import Interval
from spark_jobs.arrays import make_array
from spark_jobs.metrics.membership import mark_labels
from spark_jobs.metrics.rows import place_labels

Batches = Iterator[pa.RecordBatch]
Floats = npt.NDArray[np.float64]
# Normal quantiles: 95 % two-sided, and a power of 80 %.
Z_SURE = 1.959963984540054
Z_POWER = 0.8416212335729143
REPLICATES = 1000
GROUP_REPLICATES = 200
# Cells times replicates that the bootstrap may draw: about a second.
MOST_DRAWS = 20_000_000
FEWEST_REPLICATES = 100
# Two models that differ by less than this many points are hardly worth telling apart.
WANTED = 0.02
SUMS = "sums binary"
# Cumulative Poisson(1) probabilities; beyond 9 lies less than 1e-7.
_POISSON = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(10)])


def find_wilson_interval(hits: float, total: int) -> Interval:
    """Of a proportion (Wilson, "Probable Inference, the Law of Succession …", JASA 1927)."""
    if total == 0:
        return Interval(low=0.0, high=1.0)
    z, share = Z_SURE, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2))
    spread /= 1 + z * z / total
    # At the ends the two are equal but for rounding.
    low = 0.0 if hits == 0 else max(0.0, middle - spread)
    return Interval(low=low, high=1.0 if hits == total else min(1.0, middle + spread))


def guess_discordant(accuracy: float, samples: int) -> float:
    """Share of samples that one of two models gets right: they err independently.

    The accuracy is Agresti and Coull's (two right and two wrong more): a perfect score on few
    samples does not mean that no model errs.
    """
    share = (accuracy * samples + 2) / (samples + 4)
    return 2 * share * (1 - share)


def find_tellable(discordant: float, samples: int) -> float:
    """Smallest difference in accuracy that McNemar's test shows at 95 % with a power of 80 %.

    Solves n δ² = (z √ψ + z' √(ψ - δ²))² for δ (Connor, "Sample Size for Testing Differences in
    Proportions for the Paired-Sample Design", Biometrics 43, 1987); ψ: discordant share.
    """
    if samples == 0:
        return 1.0
    a, b, psi, n = Z_SURE, Z_POWER, discordant, samples
    inner = a * a * n * psi - (n + b * b) * (a * a - b * b) * psi
    return min(1.0, (a * math.sqrt(n * psi) + math.sqrt(max(0.0, inner))) / (n + b * b))


def find_needed(discordant: float, difference: float) -> int:
    """Samples by which find_tellable shows this difference."""
    rest = max(0.0, discordant - difference**2)
    root = Z_SURE * math.sqrt(discordant) + Z_POWER * math.sqrt(rest)
    return math.ceil((root / difference) ** 2)


def write_warning(discordant: float, samples: int) -> str:
    """A sentence where the test side is too small to tell; else nothing."""
    tellable = find_tellable(discordant, samples)
    if tellable <= WANTED:
        return ""
    return (
        f"The test side has {samples:,} pictures: two models have to differ by "
        f"{tellable * 100:.1f} points of accuracy before that shows reliably. About "
        f"{find_needed(discordant, WANTED):,} would show {WANTED * 100:.0f} points."
    )


def find_macro_f1(hits: Floats, support: Floats, called: Floats) -> Floats:
    """[replicates, classes] → [replicates]: mean over classes that occur."""
    whole = support + called
    f1 = np.divide(2 * hits, whole, out=np.zeros_like(whole), where=whole > 0)
    present = (whole > 0).sum(axis=1)
    mean: Floats = f1.sum(axis=1) / np.maximum(1, present)
    return mean


def _take_middle(values: Floats) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(low=float(low), high=float(high))


def bootstrap_macro_f1(pairs: Mapping[tuple[str, str], int], seed: int) -> Interval:
    """Percentile bootstrap: samples drawn again, which is a multinomial draw of their pairs."""
    if not pairs:
        return Interval(low=0.0, high=1.0)
    names = sorted({name for pair in pairs for name in pair})
    ordered = sorted(pairs)
    truth, called = (place_labels([pair[i] for pair in ordered], names) for i in (0, 1))
    counts = np.array([pairs[pair] for pair in ordered], np.float64)
    total = int(counts.sum())
    chance = np.random.default_rng(seed)
    replicates = max(FEWEST_REPLICATES, min(REPLICATES, MOST_DRAWS // len(ordered)))
    sums = np.zeros((3, replicates, len(names)))
    right = truth == called
    for number in range(replicates):
        drawn = chance.multinomial(total, counts / total).astype(np.float64)
        sums[0, number] = np.bincount(truth[right], drawn[right], len(names))
        sums[1, number] = np.bincount(truth, drawn, len(names))
        sums[2, number] = np.bincount(called, drawn, len(names))
    return _take_middle(find_macro_f1(*sums))


def draw_weights(
    groups: npt.NDArray[np.uint64], replicates: int, seed: int
) -> npt.NDArray[np.int64]:
    """[n, replicates] draws of Poisson(1), the same for a group wherever its samples lie.

    Bits by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of group, replicate and seed.
    """
    steps = np.arange(1, replicates + 1, dtype=np.uint64) + np.uint64(seed % 2**32) * np.uint64(
        2**20
    )
    with np.errstate(over="ignore"):
        mixed = groups[:, None] + steps * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2**53
    weights: npt.NDArray[np.int64] = np.searchsorted(_POISSON, uniform, side="right")
    return weights


def make_resampler(
    names: tuple[str, ...], replicates: int, seed: int, task: Task = ONE
) -> Callable[[Batches], Batches]:
    """Runs in the executors: label, predicted, hash of the group → sums of the three counts."""

    def resample(batches: Batches) -> Batches:
        sums = np.zeros((3, len(names), replicates))
        for batch in batches:
            truth, called = (
                mark_labels(batch[column].to_pylist(), names, task)
                for column in ("label", "predicted")
            )
            groups = np.array(batch["hash"].to_pylist(), np.int64).view(np.uint64)
            weights = draw_weights(groups, replicates, seed)
            for count, marks in zip(sums, (truth & called, truth, called), strict=True):
                rows, places = np.nonzero(marks)
                np.add.at(count, places, weights[rows])
        arrays = [make_array([sums.tobytes()], pa.binary())]
        yield pa.RecordBatch.from_arrays(arrays, ["sums"])

    return resample


def bootstrap_groups(
    scored: DataFrame, names: tuple[str, ...], seed: int, task: Task = ONE
) -> Interval:
    """The same by group: whole groups are drawn, each Poisson(1) times, in the executors.

    (Chamandy et al., "Estimating Uncertainty for Massive Data Streams", Google, 2012.) A sample
    without a group is its own.
    """
    key = F.xxhash64(F.coalesce(F.concat(F.lit("g"), "group"), F.concat(F.lit("s"), "sha256")))
    rows = scored.select("label", "predicted", key.alias("hash"))
    parts = rows.mapInArrow(make_resampler(names, GROUP_REPLICATES, seed, task), SUMS).collect()
    shape = (3, len(names), GROUP_REPLICATES)
    whole = np.zeros(shape)
    for part in parts:
        whole += np.frombuffer(part["sums"], np.float64).reshape(shape)
    return _take_middle(find_macro_f1(*whole.transpose(0, 2, 1)))
