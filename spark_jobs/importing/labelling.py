"""What a source says of a picture's labels: checked, and fitted to the dataset's task."""

import unicodedata
from dataclasses import dataclass, replace

from serving.bundle.manifest import ONE, SEVERAL, Task
from serving.job.errors import UserError
from serving.job.labels import join_labels
from spark_jobs.importing.items import SPLITS, Item, Split
from spark_jobs.importing.ledger import Ledger

UNEXPECTED = "several labels, where the first has one: choose labels: several"


@dataclass(frozen=True)
class Labels:
    """What a row or a document says of a picture; `refusal` where that cannot be used."""

    label: str
    split: Split | None
    group: str | None
    refusal: str = ""


def check_labels(
    label: str | tuple[str, ...], split: str, group: str, *, several: bool = False
) -> Labels:
    """Trim, compose and check; empty split and group mean none.

    several: samples may have several labels, and a single one is a set of one.
    """
    known = SPLITS.get(split.strip().lower())
    clean, refusal = _check_label(label, several=several)
    if not refusal and split.strip() and known is None:
        refusal = f"unknown split {split.strip()!r}: allowed are {', '.join(SPLITS)}"
    return Labels(clean, known, unicodedata.normalize("NFC", group.strip()) or None, refusal)


def _check_label(label: str | tuple[str, ...], *, several: bool) -> tuple[str, str]:
    """The label as it is stored, and what is wrong with it."""
    if several:
        try:
            return join_labels([label] if isinstance(label, str) else label), ""
        except ValueError as error:
            return "", str(error)
    if not isinstance(label, str):
        return "", UNEXPECTED
    clean = unicodedata.normalize("NFC", label.strip())
    return clean, "" if clean else "empty label"


def settle_task(ledger: Ledger, title: str, place: str, *, several: bool) -> Task:
    """The dataset's task, which its first import decides; UserError where the source has another.

    One label a sample fits a dataset of several: a set of one.
    """
    task = ledger.claim_task(SEVERAL if several else ONE, title)
    if several and task == ONE:
        raise UserError(
            f"{place} holds several labels a sample, but the dataset {ledger.dataset!r} has one. "
            "Import it into a dataset of another name, or name a label_field that holds one label."
        )
    if title:
        ledger.write_title(title)
    return task


def fit_item(item: Item, task: Task, *, several: bool) -> Item:
    """A single label as a set of one; refused where it would read as several."""
    if task == ONE or several or item.refusal:
        return item
    try:
        return replace(item, label=join_labels([item.label]))
    except ValueError as error:
        return replace(item, refusal=f"{error}; if it is a list of them, choose labels: several")
