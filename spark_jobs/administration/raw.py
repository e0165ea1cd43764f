"""Bytes of samples, out of the raw segments, one segment at a time."""

import io
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq

from serving.job import store


def name_segment(uri: str) -> str:
    """A segment is known by its file's name: the store's address may have changed since."""
    return uri.rsplit("/", 1)[-1]


def locate_samples(database: Any, dataset: str, wanted: Collection[str]) -> dict[str, str]:
    """sha256 → its segment's name, for those that the dataset has; empty where it was purged."""
    found = database["samples"].find({"dataset": dataset}, {"sha256": 1, "segment": 1})
    return {one["sha256"]: name_segment(one["segment"]) for one in found if one["sha256"] in wanted}


def open_segment(uri: str) -> pq.ParquetFile:
    """A segment, in memory whole: about 64 MB. FileNotFoundError where it is missing."""
    return pq.ParquetFile(io.BytesIO(store.read_bytes(uri)))


def read_contents(raw_uri: str, places: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """(sha256, content) of these samples, segment by segment; what is not there is left out.

    places: sha256 → its segment's name.
    """
    by_segment: dict[str, set[str]] = defaultdict(set)
    for sha256, name in places.items():
        if name:
            by_segment[name].add(sha256)
    for name in sorted(by_segment):
        try:
            segment = open_segment(store.join(raw_uri, name))
        except FileNotFoundError:
            continue
        yield from _read_rows(segment, by_segment[name])


def _read_rows(segment: pq.ParquetFile, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    for number in range(segment.num_row_groups):
        hashes = segment.read_row_group(number, columns=["sha256"])["sha256"].to_pylist()
        rows = [place for place, sha256 in enumerate(hashes) if sha256 in wanted]
        if rows:
            table = segment.read_row_group(number, columns=["sha256", "content"]).take(rows)
            for row in table.to_pylist():
                yield row["sha256"], row["content"]
