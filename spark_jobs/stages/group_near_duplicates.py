"""Find near-duplicates, so that no two of them end on two sides.

Low frequencies propose pairs, aligned thumbnails confirm them; only pictures of one label join.
Where a sample has several labels, pictures join whatever these are.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from spark_jobs.arrays import make_array
from spark_jobs.context import StageContext
from spark_jobs.facts import COLUMNS, FactsCache, add_looks
from spark_jobs.near_duplicates.compare import compare_pairs
from spark_jobs.near_duplicates.groups import (
    Labelled,
    Limits,
    count_classes,
    count_used,
    describe_groups,
    describe_pairs,
    find_groups,
    find_leaders,
)
from spark_jobs.near_duplicates.look import FREQUENCIES
from spark_jobs.near_duplicates.propose import Proposal, propose_pairs
from spark_jobs.report_models import NearDuplicates
from spark_jobs.session import make_frame
from spark_jobs.spec import StageParams

STRINGS = pa.list_(pa.string())


class Params(StageParams):
    """min_similarity: cosine of two pictures' low frequencies that proposes them.

    max_difference: largest local difference of their aligned thumbnails, grey levels.
    max_group_share, max_group_size: a group larger than both, the first as a share of its class,
    is a scene and no set of copies: reported, not used.
    """

    min_similarity: float = Field(default=0.4, ge=-1, le=1)
    max_difference: float = Field(default=8.0, ge=0)
    max_group_share: float = Field(default=0.05, gt=0, le=1)
    max_group_size: int = Field(default=10, ge=2)


def _propose(rows: pa.Table, min_similarity: float) -> tuple[list[tuple[str, str]], Proposal]:
    raw = b"".join(rows["frequencies"].to_pylist())
    frequencies = np.frombuffer(raw, np.float32).reshape(-1, FREQUENCIES)
    sides = (rows[name].to_numpy().astype(np.float32) for name in ("width", "height"))
    width, height = sides
    proposal = propose_pairs(frequencies, width / np.maximum(height, 1), min_similarity)
    hashes = rows["sha256"].to_pylist()
    return [(hashes[a], hashes[b]) for a, b in proposal.pairs.tolist()], proposal


def _to_table(
    near: Mapping[str, tuple[str, ...]], follows: Mapping[str, tuple[str, ...]]
) -> pa.Table:
    hashes = sorted(near.keys() | follows.keys())
    return pa.table(
        {
            "sha256": make_array(hashes, pa.string()),
            "near": make_array([near.get(sha) for sha in hashes], STRINGS),
            "follows": make_array([follows.get(sha) for sha in hashes], STRINGS),
        }
    )


def _read_rows(samples: DataFrame, cache: FactsCache) -> tuple[pa.Table, DataFrame]:
    """What pairs are proposed from, in the order of the hashes; and the facts."""
    facts = cache.read()
    # A sample that is left out today keeps its side, so it still binds those that resemble it.
    bound = samples.where(F.col("reject_reason").isNull() | F.col("side").isNotNull())
    left_out = F.col("reject_reason").isNotNull().alias("left_out")
    wanted = bound.select("sha256", "name", "label", "side", left_out, "width", "height")
    wanted = wanted.where(F.col("width").isNotNull())
    joined = wanted.join(facts.select("sha256", "frequencies"), on="sha256", how="inner")
    return joined.dropDuplicates(["sha256"]).toArrow().sort_by("sha256"), facts


def run(samples: DataFrame, params: Params, context: StageContext) -> DataFrame:
    """Set `near` and `follows`: what each sample resembles, of those that it may join."""
    if not set(COLUMNS) <= set(samples.columns):
        samples = add_looks(samples, context.facts).persist(StorageLevel.MEMORY_AND_DISK)
    with context.findings.time_step("facts"):
        context.facts.add(samples)
    with context.findings.time_step("near-duplicate comparison"):
        rows, facts = _read_rows(samples, context.facts)
        asked, proposal = _propose(rows, params.min_similarity)
        compared = compare_pairs(asked, params.max_difference, facts, context.pairs)
        pairs = compared.confirmed
    known = {
        row.pop("sha256"): Labelled(**row)
        for row in rows.select(["sha256", "name", "label", "side", "left_out"]).to_pylist()
    }
    counts = count_classes(known, context.task)
    limits = Limits(params.max_group_share, params.max_group_size, counts, context.task)
    found = find_groups(known, pairs, limits)
    context.findings.near_duplicates = NearDuplicates(
        samples=sum(not sample.left_out for sample in known.values()),
        proposed=count_used(known, asked),
        compared=compared.fresh,
        confirmed=count_used(known, pairs),
        full_buckets=proposal.full_buckets,
        pairs_left_out=proposal.pairs_left_out,
        groups=len(found.groups),
        samples_in_groups=len(found.near),
        largest=describe_groups(found.groups, known),
        over_large=describe_groups(found.over_large, known),
        over_large_groups=len(found.over_large),
        cross_label=len(found.cross_label),
        cross_label_pairs=describe_pairs(found.cross_label, known),
    )
    table = _to_table(found.near, find_leaders(known, pairs, limits))
    decided = F.broadcast(make_frame(context.spark, table))
    return samples.drop("near", "follows", *COLUMNS).join(decided, on="sha256", how="left")
