"""Pictures of samples, out of the raw segments, made anew for a browser.

Bytes from strangers never reach it as they came: what is shown is a JPEG that was made here.
"""

import io
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

from PIL import Image

from serving.bundle import codec
from serving.job import store
from serving.job.samples import Sample

QUALITY = 88


class SegmentFile(io.RawIOBase):
    """A file at a URI, of which only the parts that are asked for are fetched."""

    def __init__(self, uri: str, size: int) -> None:
        super().__init__()
        self._uri, self._size, self._place = uri, size, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._size - self._place)
        length = left if size is None or size < 0 else min(size, left)
        content = store.read_range(self._uri, self._place, length)
        self._place += len(content)
        return content


class Segment(NamedTuple):
    """What is kept of a raw segment. places: sha256 → (row group, row in it)."""

    size: int
    metadata: Any
    places: dict[str, tuple[int, int]]


_INDEXING = Lock()


def _find_segment(uri: str) -> Segment:
    # A page asks for several pictures at once: one of them reads, the others wait for it.
    with _INDEXING:
        return _index_segment(uri)


# A segment never changes: a purge writes another one. One is about 2,500 pictures.
@lru_cache(maxsize=64)
def _index_segment(uri: str) -> Segment:
    import pyarrow.parquet as pq

    size = store.measure(uri)
    if not size:
        raise FileNotFoundError(uri)
    file = pq.ParquetFile(SegmentFile(uri, size))
    places: dict[str, tuple[int, int]] = {}
    for group in range(file.num_row_groups):
        hashes = file.read_row_group(group, columns=["sha256"])["sha256"].to_pylist()
        places.update({sha256: (group, row) for row, sha256 in enumerate(hashes)})
    return Segment(size, file.metadata, places)


def read_content(sample: Sample) -> bytes:
    """Its bytes as they came; FileNotFoundError where they are gone."""
    if sample.is_purged:
        raise FileNotFoundError(sample.sha256)
    return read_row(sample.segment, sample.sha256)


def read_row(uri: str, sha256: str) -> bytes:
    """A picture's bytes out of the segment there; FileNotFoundError where they are gone."""
    import pyarrow.parquet as pq

    segment = _find_segment(uri)
    if sha256 not in segment.places:
        raise FileNotFoundError(f"{sha256} in {uri}")
    group, row = segment.places[sha256]
    file = pq.ParquetFile(SegmentFile(uri, segment.size), metadata=segment.metadata)
    content: bytes = file.read_row_group(group, columns=["content"])["content"][row].as_py()
    return content


def render_picture(content: bytes, side: int) -> bytes:
    """A JPEG, upright, no side longer than `side`; raises codec.BadImageError."""
    image = Image.fromarray(codec.decode(content, min_side=side))
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
