"""Labels told by a table beside the pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from serving.bundle.manifest import ONE, SEVERAL
from serving.job.errors import UserError
from serving.job.labels import list_classes, split_labels
from serving.job.text import printable
from spark_jobs.importing.items import Item
from spark_jobs.importing.label_rows import Columns, Row, decode_text, find_columns, read_rows
from spark_jobs.importing.labelling import check_labels
from spark_jobs.importing.source import RefusedFileError, Tree
from spark_jobs.spec import LabelFields, LabelsPerSample

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class TableLayout:
    """A table at the top of a tree: each row names a file below the table's folder."""

    tree: Tree
    name: str
    text: str
    columns: Columns
    several: bool = False

    @property
    def found(self) -> str:
        """The table, and which column is what."""
        several = ", several labels a sample" if self.several else ""
        return f"table {self.name}: {self.columns.describe()}{several}"

    def classes(self) -> list[str]:
        """Labels of the rows that can be used."""
        task = SEVERAL if self.several else ONE
        labels = {item.label for item in map(self._read, self._rows()) if not item.refusal}
        return sorted({name for label in labels for name in list_classes(label, task)})

    def items(self) -> Iterator[Item]:
        """One item per row, in the table's order."""
        for row in self._rows():
            item = self._read(row)
            if item.refusal:
                yield item
                continue
            try:
                path = self.tree.locate(item.name)
            except RefusedFileError as error:
                yield Item(item.name, "", item.label, item.split, str(error))
            else:
                yield Item(item.name, path, item.label, item.split, group=item.group)

    def _rows(self) -> Iterator[Row]:
        return read_rows(self.text, self.columns)

    def _read(self, row: Row) -> Item:
        file = row.values.get("picture", "")
        place = f"{self.name}, line {row.line}"
        if row.refusal or not file:
            return Item(place, "", "", None, row.refusal or "names no file")
        told, split, group = (row.values.get(role, "") for role in ("label", "split", "group"))
        label = told if row.labels is None else row.labels
        if self.several and self.columns.delimiter is not None:
            label = split_labels(told)
        labels = check_labels(label, split, group, several=self.several)
        # A person finds a wrong value by its line, a wrong picture by its name.
        name = f"{place} ({file})" if labels.refusal else file
        return Item(name, "", labels.label, labels.split, labels.refusal, labels.group)


def is_table(name: str) -> bool:
    """By the ending alone."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def read_table(tree: Tree, name: str, fields: LabelFields, labels: LabelsPerSample) -> TableLayout:
    """Read a table and find its columns, which may be missing; raises UserError.

    JSON lines whose first label is a list have several labels a sample, whatever was chosen.
    """
    path = f"{tree.root.rstrip('/')}/{name}"
    try:
        text = decode_text(name, tree.read(path))
    except (RefusedFileError, OSError) as error:
        raise UserError(f"{name} cannot be read: {error}.") from None
    columns = find_columns(text, fields)
    several = labels == "several"
    if columns.delimiter is None and not columns.missing:
        first = next((row for row in read_rows(text, columns) if not row.refusal), None)
        several = several or (first is not None and first.labels is not None)
    return TableLayout(tree, name, text, columns, several)


def explain_columns(layout: TableLayout, fields: LabelFields) -> str:
    """What a table lacks, and how to tell the import where it is."""
    header = ", ".join(map(repr, layout.columns.header)) or "none"
    for role in ("picture", "label", "split", "group"):
        told = getattr(fields, role)
        if told and told not in layout.columns.header:
            return (
                f"{printable(layout.name)} has no column {told!r} ({role}_field): "
                f"its columns are {header}."
            )
    missing = " and no ".join(f"{role} column" for role in layout.columns.missing)
    return (
        f"{printable(layout.name)} has no {missing} that is known by its name: its columns are "
        f"{header}. Name it in picture_field or label_field."
    )
