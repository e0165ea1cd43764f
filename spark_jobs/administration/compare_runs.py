"""Which of two runs' models is better where, on the test samples that both were judged by."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import pyarrow.parquet as pq

from serving.bundle.manifest import ONE, Task
from serving.job import store
from serving.job.errors import UserError
from serving.job.evaluation import Paired
from serving.job.paired_test import chance_of_difference
from spark_jobs.administration.spec import (
    ClassComparison,
    CompareRunsSpec,
    Difference,
    RunComparison,
)
from spark_jobs.label_sets import name_labels

COLUMNS = ("sha256", "name", "label", "predicted", "side")


class Answer(NamedTuple):
    """What a run's model said of one test sample."""

    name: str
    label: str
    predicted: str

    @property
    def right(self) -> bool:
        """Whether that is its label."""
        return self.predicted == self.label


def read_answers(predictions_uri: str) -> dict[str, Answer]:
    """sha256 → answer, of the test side; runs of earlier versions wrote no other."""
    found = {}
    for row in _read_rows(predictions_uri):
        if row.pop("side", "test") == "test":
            found[row["sha256"]] = Answer(row["name"], row["label"], row["predicted"])
    return found


def _read_rows(predictions_uri: str) -> Iterator[dict[str, str]]:
    for name in sorted(store.list_names(predictions_uri)):
        if name.endswith(".parquet"):
            content = store.read_bytes(store.join(predictions_uri, name))
            file = pq.ParquetFile(io.BytesIO(content))
            there = [column for column in COLUMNS if column in file.schema_arrow.names]
            for batch in file.iter_batches(columns=there):
                yield from batch.to_pylist()


def compare_answers(
    one: Mapping[str, Answer], other: Mapping[str, Answer], task: Task = ONE
) -> RunComparison:
    """Raises UserError where no test sample is in both under the same label."""
    both = sorted(one.keys() & other.keys(), key=lambda sha: (one[sha].name, sha))
    shared = [sha for sha in both if one[sha].label == other[sha].label]
    if not shared:
        raise UserError(
            f"The test sides of these runs ({len(one)} and {len(other)} samples) share "
            f"{'only samples that were relabelled in between' if both else 'no sample'}: give two "
            "runs on one dataset. ./modelmill runs lists them."
        )
    by_class: dict[str, list[str]] = defaultdict(list)
    for sha in shared:
        for name in name_labels(one[sha].label, task):
            by_class[name].append(sha)

    def pair(hashes: list[str], is_right: Callable[[Answer], bool]) -> Paired:
        return _pair([(is_right(one[sha]), is_right(other[sha])) for sha in hashes])

    paired = pair(shared, lambda answer: answer.right)
    pairs = {
        name: pair(hashes, partial(_finds, name=name, task=task))
        for name, hashes in by_class.items()
    }
    return RunComparison(
        samples=len(shared),
        one_samples=len(one),
        other_samples=len(other),
        relabelled=len(both) - len(shared),
        paired=paired,
        chance=_judge(paired),
        classes=tuple(
            ClassComparison(label=name, paired=found, chance=_judge(found))
            for name, found in sorted(pairs.items())
        ),
        differing=tuple(
            Difference(
                sha256=sha,
                name=one[sha].name,
                label=one[sha].label,
                one=one[sha].predicted,
                other=other[sha].predicted,
            )
            for sha in shared
            if one[sha].predicted != other[sha].predicted
        ),
    )


def _finds(answer: Answer, name: str, task: Task) -> bool:
    return name in name_labels(answer.predicted, task)


def _pair(answers: list[tuple[bool, bool]]) -> Paired:
    """The first run in the challenger's place, the second in the champion's."""
    return Paired(
        both=answers.count((True, True)),
        challenger_only=answers.count((True, False)),
        champion_only=answers.count((False, True)),
        neither=answers.count((False, False)),
    )


def _judge(paired: Paired) -> float:
    return chance_of_difference(paired.challenger_only, paired.champion_only)


def compare_runs(spec: CompareRunsSpec) -> RunComparison:
    """Read both runs' predictions, and compare them."""
    return compare_answers(read_answers(spec.one_uri), read_answers(spec.other_uri), spec.task)
