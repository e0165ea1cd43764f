"""Labels told by folders: one per class, with train/, val/ and test/ above them or without."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spark_jobs.importing.items import SPLITS, Item, Split, clean
from spark_jobs.importing.source import Entry, RefusedFileError, Tree, is_hidden

BLANK = "its class folder has a blank name"


def list_visible(tree: Tree, path: str) -> list[Entry]:
    """Entries of a folder but for hidden ones; raises RefusedFileError."""
    return [entry for entry in tree.list(path) if not is_hidden(entry.name)]


def _list_inner(tree: Tree, folder: Entry) -> tuple[list[Entry], str]:
    """Entries of a folder below the root; none, and why, where it cannot be read."""
    try:
        return list_visible(tree, folder.path), ""
    except RefusedFileError as error:
        return [], f"the folder: {error}"


def _name_class(folder: Entry) -> str:
    """Blanks around it count as little as they do in a table of labels."""
    return clean(folder.name).strip()


@dataclass(frozen=True)
class FolderLayout:
    """A tree with class folders at its top, or below split folders at its top."""

    tree: Tree

    @property
    def found(self) -> str:
        """How many class folders, and the splits above them."""
        splits = _splits(self.tree, list_visible(self.tree, self.tree.root))
        above = "" if splits is None else f" below {', '.join(f'{name}/' for name in splits)}"
        return f"class folders{above}: {len(self.classes())}"

    @property
    def several(self) -> bool:
        """A file lies in one folder."""
        return False

    def classes(self) -> list[str]:
        """Class names, from the folders alone; empty where there are none."""
        top = list_visible(self.tree, self.tree.root)
        parents = [top]
        if _splits(self.tree, top) is not None:
            parents = [_list_inner(self.tree, entry)[0] for entry in top if entry.is_folder]
        folders = (entry for entries in parents for entry in entries if entry.is_folder)
        return sorted({_name_class(entry) for entry in folders} - {""})

    def items(self) -> Iterator[Item]:
        """Every visible file, sorted by folder; train before val before test."""
        top = list_visible(self.tree, self.tree.root)
        splits = _splits(self.tree, top)
        if splits is None:
            yield from _classes(self.tree, top, "", None)
            return
        order = tuple(dict.fromkeys(SPLITS.values()))
        for entry in sorted(top, key=lambda e: order.index(splits[e.name]) if e.is_folder else -1):
            if entry.is_folder:
                split = splits[entry.name]
                inner, refusal = _list_inner(self.tree, entry)
                if refusal:
                    yield Item(f"{clean(entry.name)}/", entry.path, "", split, refusal)
                yield from _classes(self.tree, inner, clean(entry.name) + "/", split)
            else:
                yield from _classes(self.tree, [entry], "", None)


def _splits(tree: Tree, top: list[Entry]) -> dict[str, Split] | None:
    """Folder name → split, where the top folders are splits that hold class folders."""
    names = {entry.name: entry for entry in top if entry.is_folder}
    if not names or not all(name.lower() in SPLITS for name in names):
        return None
    for entry in names.values():
        inner, refusal = _list_inner(tree, entry)
        # One that cannot be read is called like a split, as its neighbours are.
        if not refusal and not any(one.is_folder for one in inner):
            return None
    return {name: SPLITS[name.lower()] for name in names}


def _files(
    tree: Tree, folder: Entry, prefix: str, label: str, split: Split | None
) -> Iterable[Item]:
    entries, refusal = _list_inner(tree, folder)
    if refusal:
        yield Item(f"{prefix}/", folder.path, label, split, refusal)
    for entry in entries:
        name = f"{prefix}/{clean(entry.name)}"
        if entry.is_folder:
            yield from _files(tree, entry, name, label, split)
        else:
            refusal = entry.refusal or ("" if label else BLANK)
            yield Item(name, entry.path, label, split, refusal)


def _classes(tree: Tree, entries: list[Entry], prefix: str, split: Split | None) -> Iterator[Item]:
    for entry in entries:
        name = prefix + clean(entry.name)
        if entry.is_folder:
            yield from _files(tree, entry, name, _name_class(entry), split)
        else:
            yield Item(name, entry.path, "", split, entry.refusal or "not inside a class folder")
