"""Pictures of what the etl found: one pass over just those samples' bytes, in the executors."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from serving.job import store
from spark_jobs.arrays import make_array
from spark_jobs.context import StageContext
from spark_jobs.report.strips import choose_shown, list_hashes
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.report_models import EtlReport, Picture, Pictures
from spark_jobs.session import make_frame
from spark_jobs.tables import RawContent

PICTURES_FILE = "etl_pictures.json"
SIDE = 112
MOST_BYTES = 4096
Batches = Iterator[pa.RecordBatch]


def _shrink(batches: Batches) -> Batches:
    """Runs in the executors."""
    for batch in batches:
        made = [make_thumbnail(data, SIDE, MOST_BYTES) for data in batch["content"].to_pylist()]
        yield pa.RecordBatch.from_arrays(
            [batch["sha256"], make_array(made, pa.string())], ["sha256", "thumbnail"]
        )


def make_pictures(hashes: Sequence[str], rows: pa.Table, raw: RawContent) -> Pictures:
    """In the order of `hashes`; rows: sha256, side and segment of at least those with bytes."""
    wanted = rows.filter(pc.is_in(rows["sha256"], make_array(hashes, pa.string())))
    wanted = wanted.select(["sha256", "side", "segment"])
    files = {uri.rsplit("/", 1)[-1] for uri in wanted["segment"].to_pylist()}
    segments = RawContent(raw.spark, tuple(u for u in raw.uris if u.rsplit("/", 1)[-1] in files))
    asked = make_frame(raw.spark, wanted.select(["sha256", "segment"]))
    asked = asked.withColumn("file", F.substring_index("segment", "/", -1)).drop("segment")
    found = segments.read().join(F.broadcast(asked), on=["sha256", "file"], how="left_semi")
    found = found.select("sha256", "content")
    made = found.mapInArrow(_shrink, "sha256 string, thumbnail string").toArrow()
    thumbnails = dict(zip(made["sha256"].to_pylist(), made["thumbnail"].to_pylist(), strict=True))
    sides = dict(zip(wanted["sha256"].to_pylist(), wanted["side"].to_pylist(), strict=True))
    return Pictures(
        pictures=tuple(
            Picture(sha256=sha, side=sides.get(sha), thumbnail=thumbnails.get(sha, ""))
            for sha in hashes
        )
    )


def add_pictures(
    report: EtlReport, rows: pa.Table, output_uri: str, context: StageContext
) -> EtlReport:
    """Write etl_pictures.json; the report with its address, and with all seconds spent."""
    hashes, uri = list_hashes(choose_shown(report)), ""
    if hashes:
        with context.findings.time_step("pictures"):
            pictures = make_pictures(hashes, rows, context.raw)
        uri = store.join(output_uri, PICTURES_FILE)
        store.write_model(uri, pictures)
    seconds = {step: round(spent, 3) for step, spent in context.findings.seconds.items()}
    return report.model_copy(update={"pictures_uri": uri, "seconds": seconds})
