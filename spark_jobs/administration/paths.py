"""Where an exported picture goes. Class names and source names are anybody's text.

Whatever they hold, each becomes one component of a path: no path leaves the folder.
"""

import hashlib
import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# File systems allow 255; a hash has to fit in front.
MAX_BYTES = 180
MAX_SUFFIX = 20
PREFIX_DIGITS = 8
# Beside the classes' folders; none of them is called like it.
LABELS_NAME = "labels.csv"


@dataclass(frozen=True)
class Exported:
    """A sample to be written. side: its folder, for a snapshot's; split and group: as imported."""

    sha256: str
    label: str
    name: str
    side: str | None = None
    split: str = ""
    group: str | None = None


def make_component(text: str) -> str:
    """One visible component of a path, near to the text; a table can name it."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    clean = "".join(
        "_" if letter in "/\\:" or unicodedata.category(letter) == "Cc" else letter
        for letter in unicodedata.normalize("NFC", clean)
    ).strip()
    # Hidden files would be skipped by an import; among them are . and .. themselves.
    if not clean or clean.startswith("."):
        clean = f"_{clean[1:]}"
    stem, dot, suffix = clean.rpartition(".")
    if not stem or len(suffix.encode()) > MAX_SUFFIX:
        stem, dot, suffix = clean, "", ""
    return (_shorten(stem, MAX_BYTES - len(suffix.encode()) - len(dot)) + dot + suffix).rstrip()


def _shorten(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def _fold(component: str) -> str:
    """Equal for names that some file systems take for one."""
    return unicodedata.normalize("NFC", component.casefold())


def _tell_apart(plain: dict[str, str], digests: dict[str, str], *reserved: str) -> dict[str, str]:
    """Key → a name of its own: the plain one, or, where two are alike, its digest's start before.

    The order of the keys is of no account, so that an export can go on where it ended.
    """
    counts = Counter(_fold(name) for name in (*plain.values(), *reserved))
    taken = {name for name, count in counts.items() if count == 1}
    names: dict[str, str] = {}
    for key in sorted(plain):
        name, digest = plain[key], digests[key]
        if counts[_fold(name)] > 1:
            # Another may really be called like this one with its prefix.
            longer = (f"{digest}-{number}" for number in itertools.count())
            prefixes = itertools.chain((digest[:PREFIX_DIGITS], digest), longer)
            name = next(n for p in prefixes if _fold(n := f"{p}-{name}") not in taken)
            taken.add(_fold(name))
        names[key] = name
    return names


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def name_classes(labels: Iterable[str]) -> dict[str, str]:
    """Class → its folder, each its own."""
    plain = {label: make_component(label) for label in labels}
    return _tell_apart(plain, {label: _hash_text(label) for label in plain}, LABELS_NAME)


def plan_paths(samples: Sequence[Exported]) -> dict[str, tuple[str, ...]]:
    """sha256 → the components of its path. The order of the samples is of no account."""
    folders = name_classes(sample.label for sample in samples)
    in_folder: dict[tuple[str, ...], list[Exported]] = defaultdict(list)
    for sample in samples:
        side = () if sample.side is None else (make_component(sample.side),)
        in_folder[*side, folders[sample.label]].append(sample)
    return {
        sha256: (*folder, name)
        for folder, members in in_folder.items()
        for sha256, name in _name_files(members).items()
    }


def _name_files(members: Sequence[Exported]) -> dict[str, str]:
    """Names within one folder: the files' own, without the folders they were imported from."""
    plain = {m.sha256: make_component(m.name.rsplit("/", 1)[-1]) for m in members}
    return _tell_apart(plain, {sha256: sha256 for sha256 in plain})
