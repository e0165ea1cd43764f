"""Which of two runs' models is better where, on the test samples that both were judged by."""

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow.parquet as pq

from serving.bundle.manifest import ONE, Task
from serving.job import store
from serving.job.errors import UserError
from serving.job.evaluation import Paired
from serving.job.labels import list_classes
from serving.job.paired_test import chance_of_difference
from spark_jobs.administration.spec import (
    ClassComparison,
    CompareRunsSpec,
    Difference,
    RunComparison,
)

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
        for name in list_classes(one[sha].label, task):
            by_class[name].append(sha)
    paired = _pair(shared, one, other)
    pairs = {
        label: _pair(hashes, _ask_for(one, label, task), _ask_for(other, label, task))
        for label, hashes in by_class.items()
    }
    return RunComparison(
        samples=len(shared),
        one_samples=len(one),
        other_samples=len(other),
        relabelled=len(both) - len(shared),
        task=task,
        paired=paired,
        chance=_judge(paired),
        classes=tuple(
            ClassComparison(label=label, paired=pair, chance=_judge(pair))
            for label, pair in sorted(pairs.items())
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


def _ask_for(answers: Mapping[str, Answer], label: str, task: Task) -> Mapping[str, Answer]:
    """Where there are several labels, of each answer only whether it has this one."""
    if task == ONE:
        return answers
    asked = {}
    for sha, answer in answers.items():
        names = (list_classes(text, task) for text in (answer.label, answer.predicted))
        has, said = (label if label in found else "" for found in names)
        asked[sha] = Answer(answer.name, has, said)
    return asked


def _pair(hashes: list[str], one: Mapping[str, Answer], other: Mapping[str, Answer]) -> Paired:
    """The first run in the challenger's place, the second in the champion's."""
    answers = [(one[sha].right, other[sha].right) for sha in hashes]
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
    one, other = (read_answers(uri) for uri in (spec.one_uri, spec.other_uri))
    return compare_answers(one, other, spec.task)
