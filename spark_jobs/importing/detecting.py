"""What stands at a URI, and which of the known layouts it has."""

import os
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from serving.job.errors import UserError
from serving.job.locations import split_location
from serving.job.store import WEBHDFS_VARIABLE
from spark_jobs.importing.folders import FolderLayout, list_visible
from spark_jobs.importing.hdfs_tree import HdfsTree
from spark_jobs.importing.items import Layout
from spark_jobs.importing.label_table import (
    TableLayout,
    explain_columns,
    is_table,
    read_table,
)
from spark_jobs.importing.source import (
    Entry,
    LocalTree,
    RefusedFileError,
    Tree,
    check_allowed,
    explain_failure,
)
from spark_jobs.spec import LabelFields, LabelsPerSample

LAYOUTS = (
    "Expected is one of: (a) one sub-folder per class, FOLDER/CLASS/picture.jpg; (b) the same "
    "below train/, val/ and test/, FOLDER/train/CLASS/picture.jpg; (c) a table beside the "
    "pictures, CSV or JSON lines, with a column file, path, image or filename, a column label, "
    "class or category, and, if you like, split and group."
)


def open_tree(uri: str) -> tuple[Tree, str]:
    """The tree at a URI, and the name of the one file meant; empty for the whole folder.

    UserError where it may not be read or is not there.
    """
    parts = split_location(uri)
    if parts.scheme == "file":
        path = str(check_allowed(Path(unquote(parts.path))))
        whole: Tree = LocalTree(path)
        parent: Tree = LocalTree(str(Path(path).parent))
    elif parts.scheme == "hdfs":
        address = os.environ.get(WEBHDFS_VARIABLE)
        if not address:
            raise UserError(f"{uri} needs WebHDFS: set {WEBHDFS_VARIABLE} to http://HOST:PORT.")
        path = unquote(parts.path).rstrip("/") or "/"
        whole = HdfsTree(path, address)
        parent = HdfsTree(str(PurePosixPath(path).parent), address)
    else:
        raise UserError(
            f"{uri!r} cannot be imported: allowed are file:///PATH and hdfs://HOST:PORT/PATH."
        )
    try:
        if whole.is_folder(path):
            return whole, ""
        if whole.is_file(path):
            return parent, PurePosixPath(path).name
    except OSError as error:
        raise UserError(f"{path} {explain_failure(error)}.") from None
    except RefusedFileError as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    raise UserError(f"There is no folder and no file {path}.")


def find_layout(uri: str, fields: LabelFields, labels: LabelsPerSample = "one") -> Layout:
    """Look at a folder or a table; UserError says what was found where it is none of LAYOUTS."""
    tree, name = open_tree(uri)
    if name:
        table = read_table(tree, name, fields, labels)
        if _is_usable(table, fields):
            return table
        raise UserError(f"{explain_columns(table, fields)} {LAYOUTS}")
    tables, unreadable = _read_tables(tree, fields, labels)
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
    if labels == "several":
        raise UserError(
            unreadable
            or f"labels was several, but {tree.root} holds no table of labels: a folder tells one "
            "label a picture. Choose labels: one, or name a table."
        )
    folders = FolderLayout(tree)
    if folders.classes():
        return folders
    raise UserError(f"{unreadable or _describe(tree, tables)} {LAYOUTS}")


def _is_usable(table: TableLayout, fields: LabelFields) -> bool:
    told = [name for name in fields.model_dump().values() if name]
    return not table.columns.missing and all(name in table.columns.header for name in told)


def _list_root(tree: Tree) -> list[Entry]:
    try:
        return list_visible(tree, tree.root)
    except RefusedFileError as error:
        raise UserError(f"The folder {tree.root}: {error}.") from None


def _read_tables(
    tree: Tree, fields: LabelFields, labels: LabelsPerSample
) -> tuple[list[TableLayout], str]:
    """Tables at the top of a folder, and why one of them cannot be read."""
    tables, unreadable = [], ""
    for entry in _list_root(tree):
        if entry.is_folder or entry.refusal or not is_table(entry.name):
            continue
        try:
            tables.append(read_table(tree, entry.name, fields, labels))
        except UserError as error:
            unreadable = unreadable or str(error)
    return tables, unreadable


def _describe(tree: Tree, tables: list[TableLayout]) -> str:
    if tables:
        return explain_columns(tables[0], LabelFields())
    entries = _list_root(tree)
    if not entries:
        return f"{tree.root} is empty."
    return (
        f"{tree.root} holds no class folders and no table of labels; found are "
        f"{len(entries)} files, the first of them {entries[0].name!r}."
    )
