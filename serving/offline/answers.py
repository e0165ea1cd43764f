"""Answers → CSV or JSON lines, in a file that is there whole or not at all."""

import csv
import json
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from serving.bundle.folders import PictureAnswer
from serving.bundle.labels import write_labels
from serving.job.errors import UserError
from serving.offline.spec import AnswerFormat


def printable_name(name: str) -> str:
    """A file's name as UTF-8; bytes that are none are written as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class Writer(ABC):
    """Writes one answer after the other. several: a picture may have several labels."""

    def __init__(self, file: IO[str], top: int, *, several: bool = False) -> None:
        self._file, self._top, self._several = file, top, several

    @abstractmethod
    def write(self, answer: PictureAnswer) -> None: ...


class CsvWriter(Writer):
    """path, label, score, declined, label_2, score_2, …, error; as RFC 4180 says.

    Where a picture may have several labels, `labels` is the second column, `a|b`. Of one label it
    would say nothing new: files of those keep their columns.
    """

    def __init__(self, file: IO[str], top: int, *, several: bool = False) -> None:
        super().__init__(file, top, several=several)
        further = [f"{kind}_{n}" for n in range(2, top + 1) for kind in ("label", "score")]
        # The dialect's own line ends: with others, csv would leave \r in a name unquoted.
        self._rows = csv.writer(file)
        labels = ["labels"] if several else []
        self._rows.writerow(["path", *labels, "label", "score", "declined", *further, "error"])

    def write(self, answer: PictureAnswer) -> None:
        pairs = [value for pair in answer.results for value in pair]
        cells = [*pairs, *[""] * (2 * self._top - len(pairs))]
        said = "" if answer.error else str(not answer.labels).lower()
        first = [printable_name(answer.name)]
        if self._several:
            first.append(write_labels(answer.labels))
        self._rows.writerow([*first, *cells[:2], said, *cells[2:], answer.error])


class JsonLinesWriter(Writer):
    """One object a line: path, results, labels and declined as the server's, error."""

    def write(self, answer: PictureAnswer) -> None:
        line = {
            "path": printable_name(answer.name),
            "results": [{"label": label, "score": score} for label, score in answer.results],
            "labels": answer.labels,
            "declined": not answer.error and not answer.labels,
            "error": answer.error,
        }
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


WRITERS: dict[AnswerFormat, type[Writer]] = {"csv": CsvWriter, "jsonl": JsonLinesWriter}


def check_target(path: Path, *, force: bool) -> None:
    """Raise UserError where the file cannot be written, or is there and may not be replaced."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file.")
    if path.exists() and not force:
        raise UserError(f"{path} is there already: name another file, or replace it by --force.")
    if not path.parent.is_dir():
        raise UserError(f"There is no folder {path.parent} to write {path.name} into: make it.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(f"{path.parent} may not be written to: name a file elsewhere.")


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """A place beside the file to write to; it gets the file's name at the end, if all went well."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105  (says that it replaces)
    finally:
        part.unlink(missing_ok=True)
