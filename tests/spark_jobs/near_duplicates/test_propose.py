"""Proposals: copies are among them, the work stays small, the caps are told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.near_duplicates import propose
from spark_jobs.near_duplicates.propose import Floats, propose_pairs


def make_rows(count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, 144)).astype(np.float32)


def ones(count: int) -> Floats:
    return np.ones(count, np.float32)


def test_copies_among_many_are_proposed_and_little_else() -> None:
    rows = make_rows(5000)
    copies = rows[:500] + np.random.default_rng(1).normal(0, 0.2, (500, 144)).astype(np.float32)
    found = propose_pairs(np.concatenate([rows, copies]), ones(5500), 0.75)
    pairs = set(map(tuple, found.pairs.tolist()))
    assert {(i, 5000 + i) for i in range(500)} <= pairs
    assert len(pairs) < 520
    assert found.full_buckets == found.pairs_left_out == 0


# No deadline: a busy machine is no defect.
@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.integers(0, 3))
def test_pairs_are_ordered_and_unique(count: int, seed: int) -> None:
    rows = np.repeat(make_rows(max(1, count // 2), seed), 2, axis=0)[:count]
    pairs = propose_pairs(rows, ones(len(rows)), 0.5).pairs.tolist()
    assert all(a < b for a, b in pairs)
    assert sorted(map(tuple, pairs)) == sorted(set(map(tuple, pairs)))
    # Equal rows are always found.
    assert all([i, i + 1] in pairs for i in range(0, len(rows) - 1, 2))


def test_what_all_pictures_share_says_nothing() -> None:
    """A fixed camera: one scene, a little of everything else; two copies stand out."""
    rows = 10 * make_rows(1) + 0.01 * make_rows(400, seed=1)
    rows[7] = rows[300] + 0.001 * make_rows(1, seed=2)[0]
    assert propose_pairs(rows, ones(400), 0.75).pairs.tolist() == [[7, 300]]


def test_other_shapes_are_no_copies() -> None:
    rows = np.repeat(make_rows(1), 2, axis=0)
    assert propose_pairs(rows, np.array([1.33, 1.37], np.float32), 0.75).pairs.tolist() == [[0, 1]]
    assert propose_pairs(rows, np.array([1.33, 0.75], np.float32), 0.75).pairs.tolist() == []


def test_full_buckets_cost_little_and_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propose, "FULL_BUCKET", 20)
    monkeypatch.setattr(propose, "NEAREST", 4)
    # Different pictures of one kind, many more than a bucket holds.
    alike = 5 + 0.001 * make_rows(200)
    rows = np.concatenate([alike, -5 + make_rows(200, seed=1)])
    found = propose_pairs(rows, ones(400), 0.9, tables=2)
    assert found.full_buckets > 0
    assert len(found.pairs) <= 400 * propose.MOST_PAIRS


def test_opposites_alone_propose_nothing() -> None:
    row = make_rows(1)
    assert not len(propose_pairs(np.concatenate([row, -row]), ones(2), 0.4).pairs)
