"""One labelled file to import, whatever told its label: a folder, a table, a document."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from spark_jobs.importing.source import Tree

Split = Literal["train", "val", "test"]
SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Item:
    """`name` is what a person calls the file; `refusal`: why it is not read."""

    name: str
    path: str
    label: str
    split: Split | None
    refusal: str = ""
    group: str | None = None


class Layout(Protocol):
    """Labelled files in a tree, in an order that does not change; may be walked twice."""

    @property
    def tree(self) -> Tree: ...
    @property
    def found(self) -> str:
        """What was recognised, in a sentence."""
        ...

    @property
    def several(self) -> bool:
        """True where a file may have several labels."""
        ...

    def classes(self) -> list[str]:
        """Names of the classes, sorted."""
        ...

    def items(self) -> Iterator[Item]:
        """Every file, refused ones too."""
        ...


def clean(name: str) -> str:
    """NFC; bytes that are no UTF-8 become visible escapes, for no store takes them."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)
