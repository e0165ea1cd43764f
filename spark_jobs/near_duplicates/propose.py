"""Propose pairs of pictures that may be near-duplicates; confirming them is another's work.

Locality-sensitive hashing by random hyperplanes (Charikar, "Similarity estimation techniques from
rounding algorithms", 2002) over the low frequencies, standardised within the dataset: what all
pictures share, as under a fixed camera, says nothing and falls out. The number of bits follows the
number of samples, so the work grows with n log n, not n².
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TABLES = 48
# A bucket of more members is full: each is then compared with its next NEAREST only, in the order
# of one more projection.
FULL_BUCKET = 64
NEAREST = 24
# Pairs per sample that go on to be confirmed, the most similar first.
MOST_PAIRS = 8
SMALLEST_TO_CENTRE = 16
LOG_ASPECT = 0.12
SEED = 20260101


@dataclass(frozen=True)
class Proposal:
    """pairs: [m, 2] row numbers, the smaller first, sorted; what the caps left out."""

    pairs: Ints
    full_buckets: int
    pairs_left_out: int


def standardise(frequencies: Floats) -> Floats:
    """[n, 144] → [n, 143] of length 1: without the mean brightness, in units of the dataset."""
    rows: Floats = frequencies[:, 1:].astype(np.float32)
    if len(rows) >= SMALLEST_TO_CENTRE:
        rows = rows - rows.mean(axis=0)
    rows = rows / np.maximum(np.sqrt((rows**2).mean(axis=0)), 1e-4)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows


def _walk_buckets(codes: Ints, along: Floats) -> tuple[list[tuple[Ints, Ints]], int]:
    """Pairs of row numbers within equal codes, and the number of full buckets."""
    order = np.lexsort((along, codes))
    ordered = codes[order]
    _, sizes = np.unique(ordered, return_counts=True)
    full = np.repeat(sizes > FULL_BUCKET, sizes)
    pairs = []
    for distance in range(1, min(FULL_BUCKET, int(sizes.max()))):
        together = ordered[:-distance] == ordered[distance:]
        if distance > NEAREST:
            together &= ~full[:-distance]
        (at,) = np.nonzero(together)
        if not len(at) and distance > NEAREST:
            break
        pairs.append((order[at], order[at + distance]))
    return pairs, int((sizes > FULL_BUCKET).sum())


def _keep_most_similar(pairs: Ints, similarity: Floats) -> npt.NDArray[np.bool_]:
    """True where a pair is among the MOST_PAIRS best of either of its samples."""
    ends = np.concatenate([pairs[:, 0], pairs[:, 1]])
    order = np.lexsort((-np.tile(similarity, 2), ends))
    _, start, sizes = np.unique(ends[order], return_index=True, return_counts=True)
    ranks = np.empty(len(ends), np.int64)
    ranks[order] = np.arange(len(ends)) - np.repeat(start, sizes)
    kept: npt.NDArray[np.bool_] = ranks.reshape(2, -1).min(axis=0) < MOST_PAIRS
    return kept


def propose_pairs(
    frequencies: Floats, aspects: Floats, min_similarity: float, tables: int = TABLES
) -> Proposal:
    """frequencies: [n, 144] of each Look; aspects: [n] width over height.

    A pair is proposed where both fell into one bucket of any table, their standardised
    frequencies have at least this cosine, and their shapes differ by less than an eighth.
    """
    count = len(frequencies)
    nothing = Proposal(np.empty((0, 2), np.int64), 0, 0)
    if count < 2:
        return nothing
    rows = standardise(frequencies)
    shapes = np.log(np.maximum(aspects, 1e-6))
    bits = min(24, max(1, math.ceil(math.log2(count / 4))))
    chance = np.random.default_rng(SEED)
    weights = 1 << np.arange(bits, dtype=np.int64)
    keys: list[Ints] = []
    found: list[Floats] = []
    full_buckets = 0
    for _ in range(tables):
        planes = chance.normal(size=(rows.shape[1], bits + 1)).astype(np.float32)
        projected = rows @ planes
        codes = (projected[:, :bits] > 0) @ weights
        steps, full = _walk_buckets(codes, projected[:, bits])
        full_buckets += full
        for one, other in steps:
            near = np.abs(shapes[one] - shapes[other]) < LOG_ASPECT
            a, b = one[near], other[near]
            similarity = np.einsum("ij,ij->i", rows[a], rows[b])
            good = similarity >= min_similarity
            low, high = np.minimum(a[good], b[good]), np.maximum(a[good], b[good])
            keys.append(low * count + high)
            found.append(similarity[good])
    if not keys:
        return nothing
    merged, first = np.unique(np.concatenate(keys), return_index=True)
    if not len(merged):
        return Proposal(nothing.pairs, full_buckets, 0)
    pairs = np.stack([merged // count, merged % count], axis=1)
    kept = _keep_most_similar(pairs, np.concatenate(found)[first])
    return Proposal(pairs[kept], full_buckets, int((~kept).sum()))
