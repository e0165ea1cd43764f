"""Strangers' names in front of people."""

import difflib
from collections.abc import Sequence


def printable(name: str) -> str:
    """A name on one line of a log: control characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def list_some(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return separator.join(map(printable, names[:most])) + more


def suggest(name: str, names: Sequence[str]) -> str:
    """Did you mean …?, with a blank before it; empty where no name is close."""
    near = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
