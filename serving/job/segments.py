"""Raw segments: Parquet files of about 64 MB with the bytes as they came."""

import io
import uuid

import pyarrow as pa
import pyarrow.parquet as pq

from serving.job import store

RAW_SCHEMA = pa.schema(
    [
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("content", pa.binary(), nullable=False),
    ]
)
SEGMENT_BYTES = 64_000_000
# Spark splits a file between row groups only: small ones let it even out its tasks.
GROUP_BYTES = 4_000_000
GROUP_ROWS = 256


class SegmentList:
    """Which segments are there; asked once for all of them, and later for single ones."""

    def __init__(self, raw_uri: str) -> None:
        self._raw_uri = raw_uri
        self._known: dict[str, bool] = {}
        self._is_listed = False

    def holds(self, uri: str) -> bool:
        """True where the segment is there, whatever the store's address was when it was written."""
        name = uri.rsplit("/", 1)[-1]
        if not self._is_listed:
            self._known = dict.fromkeys(store.list_names(self._raw_uri), True)
            self._is_listed = True
        if name not in self._known:
            # Another import may have written it since.
            self._known[name] = store.exists(store.join(self._raw_uri, name))
        return self._known[name]


class SegmentWriter:
    """Collects pictures into one segment, in memory, and writes it in one go."""

    def __init__(self) -> None:
        self._rows: list[dict[str, str | bytes]] = []
        self._group_bytes = 0
        self._buffer = io.BytesIO()
        self._writer: pq.ParquetWriter | None = None
        self.bytes = 0

    def add(self, sha256: str, name: str, content: bytes) -> None:
        """Take one picture."""
        self._rows.append({"sha256": sha256, "name": name, "content": content})
        self._group_bytes += len(content)
        self.bytes += len(content)
        if self._group_bytes >= GROUP_BYTES or len(self._rows) >= GROUP_ROWS:
            self._write_group()

    @property
    def is_full(self) -> bool:
        """True once the segment has its size."""
        return self.bytes >= SEGMENT_BYTES

    def _write_group(self) -> None:
        if self._writer is None:
            # Pictures are compressed already, and no two are equal.
            self._writer = pq.ParquetWriter(
                self._buffer,
                RAW_SCHEMA,
                compression={"sha256": "snappy", "name": "snappy", "content": "none"},
                use_dictionary=False,
                write_statistics=["sha256"],
            )
        self._writer.write_table(pa.Table.from_pylist(self._rows, RAW_SCHEMA))
        self._rows, self._group_bytes = [], 0

    def write(self, raw_uri: str) -> str:
        """Write the segment below raw_uri and return its URI; it holds at least one picture."""
        if self._rows:
            self._write_group()
        if self._writer is not None:
            self._writer.close()
        uri = store.join(raw_uri, f"{uuid.uuid4().hex}.parquet")
        # Under its name there is never half a segment, whoever is killed.
        aside = f"{uri}.part"
        store.write_bytes(aside, self._buffer.getvalue(), overwrite=False)
        if not store.rename(aside, uri):
            raise RuntimeError(f"{aside} could not be renamed")
        return uri
