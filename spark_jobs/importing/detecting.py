"""Which of the known layouts a source has."""

from serving.job.errors import UserError
from spark_jobs.importing.folders import FolderLayout, list_visible
from spark_jobs.importing.items import Layout
from spark_jobs.importing.label_table import (
    TableLayout,
    explain_columns,
    is_table,
    read_table,
)
from spark_jobs.importing.source import Tree, open_tree
from spark_jobs.spec import LabelFields

LAYOUTS = (
    "Expected is one of: (a) one sub-folder per class, FOLDER/CLASS/picture.jpg; (b) the same "
    "below train/, val/ and test/, FOLDER/train/CLASS/picture.jpg; (c) a table beside the "
    "pictures, CSV or JSON lines, with a column file, path, image or filename, a column label, "
    "class or category, and, if you like, split and group."
)


def find_layout(uri: str, fields: LabelFields) -> Layout:
    """Look at a folder or a table; UserError says what was found where it is none of LAYOUTS."""
    tree, name = open_tree(uri)
    if name:
        table = read_table(tree, name, fields)
        if _is_usable(table, fields):
            return table
        raise UserError(f"{explain_columns(table, fields)} {LAYOUTS}")
    tables, unreadable = _read_tables(tree, fields)
    usable = [table for table in tables if _is_usable(table, fields)]
    if len(usable) > 1:
        names = ", ".join(table.name for table in usable)
        raise UserError(
            f"{tree.root} holds {len(usable)} tables of labels: {names}. Import one of them by "
            "its own path; its pictures are looked up beside it."
        )
    if usable:
        return usable[0]
    if tables and fields != LabelFields():
        raise UserError(explain_columns(tables[0], fields))
    if fields != LabelFields():
        raise UserError(
            unreadable or f"{tree.root} holds no table that could have these columns. {LAYOUTS}"
        )
    folders = FolderLayout(tree)
    if folders.classes():
        return folders
    raise UserError(f"{unreadable or _describe(tree, tables)} {LAYOUTS}")


def _is_usable(table: TableLayout, fields: LabelFields) -> bool:
    told = [name for name in fields.model_dump().values() if name]
    return not table.columns.missing and all(name in table.columns.header for name in told)


def _read_tables(tree: Tree, fields: LabelFields) -> tuple[list[TableLayout], str]:
    """Tables at the top of a folder, and why one of them cannot be read."""
    tables, unreadable = [], ""
    for entry in list_visible(tree, tree.root):
        if entry.is_folder or entry.refusal or not is_table(entry.name):
            continue
        try:
            tables.append(read_table(tree, entry.name, fields))
        except UserError as error:
            unreadable = unreadable or str(error)
    return tables, unreadable


def _describe(tree: Tree, tables: list[TableLayout]) -> str:
    if tables:
        return explain_columns(tables[0], LabelFields())
    entries = list_visible(tree, tree.root)
    if not entries:
        return f"{tree.root} is empty."
    return (
        f"{tree.root} holds no class folders and no table of labels; found are "
        f"{len(entries)} files, the first of them {entries[0].name!r}."
    )
