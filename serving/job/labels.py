"""A dataset's task, and several labels of one sample: kept as one string, `a|b`.

So histories, disputes, snapshots and exports hold strings, however many labels a sample has.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from serving.bundle.manifest import BAR, ONE, SEVERAL, Task
from serving.job.errors import UserError
from serving.job.text import list_some, suggest

MAX_LABEL = 200
SHOWN = 10


class NewClassError(UserError):
    """A label that no sample had so far: a slip, or a class that a person has to say is new.

    hint: what may have been meant, with a blank before it, or nothing.
    """

    def __init__(self, message: str, label: str, hint: str) -> None:
        super().__init__(message)
        self.label, self.hint = label, hint


def join_labels(labels: Iterable[str]) -> str:
    """Labels as they are stored: trimmed, in NFC, distinct, sorted, a bar between them.

    Empty ones count for nothing. ValueError where none is left, or where one holds a bar.
    """
    clean = {unicodedata.normalize("NFC", label.strip()) for label in labels} - {""}
    if not clean:
        raise ValueError("empty label")
    barred = sorted(label for label in clean if BAR in label)
    if barred:
        raise ValueError(f"the class name {barred[0]!r} holds {BAR!r}, which stands between labels")
    return BAR.join(sorted(clean))


def split_labels(label: str) -> tuple[str, ...]:
    """The inverse."""
    return tuple(label.split(BAR))


def list_classes(label: str, task: Task) -> tuple[str, ...]:
    """The classes that a sample's stored label names; where it is one, a bar is just a sign."""
    return split_labels(label) if task == SEVERAL else (label,)


def check_label(label: str, classes: Sequence[str], *, new: bool, task: Task = ONE) -> str:
    """The label as it is stored; UserError where it cannot be one, NewClassError where it is
    unknown and not said to be new.

    Several labels are written as `a|b`, in any order.
    """
    if task == ONE:
        return _check_class(label, classes, new=new)
    parts = [part.strip() for part in split_labels(label) if part.strip()]
    # No label at all is no class's name either.
    return join_labels(_check_class(part, classes, new=new) for part in parts or [""])


def _check_class(label: str, classes: Sequence[str], *, new: bool) -> str:
    clean = unicodedata.normalize("NFC", label)
    if clean not in classes:
        clean = clean.strip()
    broken = any(unicodedata.category(letter) in ("Cc", "Cs") for letter in clean)
    if broken or not clean.strip() or len(clean) > MAX_LABEL:
        raise UserError(
            f"LABEL was {label!r}, but a class's name has 1 to {MAX_LABEL} characters, and none "
            "of them is a control character."
        )
    if clean not in classes and not new:
        hint = suggest(clean, classes)
        message = (
            f"LABEL was {clean!r}, but the classes are: {list_some(classes, SHOWN)}.{hint} "
            "For a class that is new, add --new-class."
        )
        raise NewClassError(message, clean, hint)
    return clean


def read_task(database: Any, dataset: str) -> Task:
    """The dataset's task; one label a sample where nobody has said otherwise."""
    document = database["datasets"].find_one({"_id": dataset}, {"task": 1}) or {}
    return SEVERAL if document.get("task") == SEVERAL else ONE
