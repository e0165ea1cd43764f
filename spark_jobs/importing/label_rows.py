"""The text of a table of labels → rows: CSV with any usual delimiter, or JSON lines."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

from serving.job.errors import UserError
from spark_jobs.spec import LabelFields

DELIMITERS = (",", ";", "\t", "|")
# What people call the columns, best first.
NAMES: dict[str, tuple[str, ...]] = {
    "picture": (
        *("file", "path", "image", "filename", "file_name", "filepath", "image_path"),
        *("picture", "photo"),
    ),
    "label": ("label", "class", "category", "labels"),
    "split": ("split", "side", "set"),
    "group": ("group", "group_id"),
}
REQUIRED = ("picture", "label")


@dataclass(frozen=True)
class Row:
    """One row: its line, and the values of the four roles; `refusal` where it is no row.

    labels: where the label is a list.
    """

    line: int
    values: dict[str, str]
    refusal: str = ""
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Columns:
    """Which column plays which role; delimiter None: JSON lines."""

    delimiter: str | None
    header: tuple[str, ...]
    roles: dict[str, str]

    @property
    def missing(self) -> list[str]:
        """Roles that no column plays, of those that are needed."""
        return [role for role in REQUIRED if role not in self.roles]

    def describe(self) -> str:
        """For the person who imports."""
        roles = ", ".join(f"{role} from {name!r}" for role, name in self.roles.items())
        return "JSON lines: " + roles if self.delimiter is None else f"{roles}"


def decode_text(name: str, content: bytes) -> str:
    """UTF-8 with or without a byte order mark; raises UserError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{name} is not UTF-8: line {line} holds the byte 0x{content[error.start]:02x}. Save "
            "it as UTF-8 (in a spreadsheet: 'CSV UTF-8')."
        ) from None
    return text


def find_columns(text: str, fields: LabelFields) -> Columns:
    """The columns and what they are for: as told by `fields`, else known by their names."""
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    if first.lstrip().startswith("{"):
        return _assign(None, _keys(first), fields)
    # The delimiter is the one with which the header makes sense. That is surer than counting
    # characters in rows, where file names and labels hold commas and spaces of their own.
    choices = [_assign(sign, _header(text, sign), fields) for sign in DELIMITERS]
    return max(choices, key=lambda c: (-len(c.missing), len(c.roles), len(c.header)))


def _keys(line: str) -> tuple[str, ...]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return ()
    return tuple(found) if isinstance(found, dict) else ()


def _header(text: str, delimiter: str) -> tuple[str, ...]:
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return tuple(name.strip() for name in next((row for row in rows if any(row)), []))
    except csv.Error:
        return ()


def _assign(delimiter: str | None, header: tuple[str, ...], fields: LabelFields) -> Columns:
    return Columns(delimiter, header, assign_roles(header, fields))


def assign_roles(header: tuple[str, ...], fields: LabelFields) -> dict[str, str]:
    """Role → the column that plays it: the one told, else the best of NAMES in any case."""
    roles: dict[str, str] = {}
    lower = {name.lower(): name for name in reversed(header)}
    for role, names in NAMES.items():
        told = getattr(fields, role)
        known = told if told in header else None
        if not told:
            known = next((lower[name] for name in names if name in lower), None)
        if known is not None:
            roles[role] = known
    return roles


def read_rows(text: str, columns: Columns) -> Iterator[Row]:
    """Rows after the header; blank ones are passed over. Raises UserError where CSV breaks."""
    if columns.delimiter is None:
        return _read_json(text, columns)
    return _read_csv(text, columns, columns.delimiter)


def _read_csv(text: str, columns: Columns, delimiter: str) -> Iterator[Row]:
    places = {role: columns.header.index(name) for role, name in columns.roles.items()}
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        next(row for row in rows if any(row))
        for row in rows:
            if not any(value.strip() for value in row):
                continue
            if len(row) != len(columns.header):
                told = f"{len(row)} values in a table of {len(columns.header)} columns"
                yield Row(rows.line_num, {}, told)
            else:
                yield Row(rows.line_num, {r: row[place].strip() for r, place in places.items()})
    except csv.Error as error:
        raise UserError(f"Line {rows.line_num} cannot be read as CSV: {error}.") from None


def _read_json(text: str, columns: Columns) -> Iterator[Row]:
    for number, line in enumerate(io.StringIO(text), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, {}, f"no JSON: {error}")
            continue
        if not isinstance(found, dict):
            yield Row(number, {}, "no JSON object")
            continue
        values: dict[str, str] = {}
        refusal, labels = "", None
        for role, name in columns.roles.items():
            value = found.get(name)
            if role == "label":
                labels = as_labels(value)
            if isinstance(value, list | dict) and (role != "label" or labels is None):
                refusal = f"{name!r} is no single value"
            values[role] = as_text(value)
        yield Row(number, values, refusal, labels)


def as_labels(value: object) -> tuple[str, ...] | None:
    """A list of single values as texts; None for anything else."""
    if not isinstance(value, list) or any(isinstance(one, list | dict) for one in value):
        return None
    return tuple(map(as_text, value))


def as_text(value: object) -> str:
    """A single value as a person would write it; empty for none."""
    if value is None:
        return ""
    # Stores of documents keep whole numbers as either: 3 and 3.0 are one class.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value, default=str).strip('"')
    # Half a character, which JSON can spell and no store takes, becomes a visible escape.
    return text.strip().encode("utf-8", "backslashreplace").decode()
