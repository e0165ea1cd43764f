"""labels.csv beside exported pictures: what their folders cannot say, as an import reads it."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spark_jobs.administration.paths import Exported
from spark_jobs.sides import SIDES, allowed_sides

COLUMNS = ("file", "label", "split", "group")


def make_table(samples: Iterable[Exported], paths: Mapping[str, Sequence[str]]) -> bytes:
    """One row a sample, sorted; the same in any order of the samples."""
    text = io.StringIO()
    # All quoted: a lone carriage return would end a row otherwise.
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        sorted(
            ("/".join(paths[one.sha256]), one.label, one.split, one.group or "") for one in samples
        )
    )
    return text.getvalue().encode()


def choose_splits(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each active sample's split is to be in another dataset, so that it gets the same side.

    That is its side where it has one; else the split that it came with, as long as all do so.
    Beside sides, a split means what it leads to in this dataset: val the test side, where it has
    no other.
    """
    splits = frozenset(one["split"] for one in documents if one.get("split"))
    if not any(one.get("side") for one in documents):
        return [one.get("split") or "" for one in documents]
    chosen = []
    for one in documents:
        allowed = allowed_sides(one.get("split"), splits)
        chosen.append(one.get("side") or ("" if allowed == SIDES else allowed[0]))
    return chosen
