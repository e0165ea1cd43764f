"""Several backbones and several ways to fit pictures, in one pass over the pictures."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing
from serving.bundle.predictor import OnnxNetwork
from serving.job import store
from serving.job.inputs import BackboneFile, Input
from spark_jobs.etl import run_etl
from spark_jobs.spec import EtlOutcome
from spark_jobs.stages import compute_features
from spark_jobs.stages.compute_features import Network, make_extractor
from spark_jobs.tables import feature_key
from tests.spark_jobs.conftest import MakeSpec
from tests.spark_jobs.test_etl import read_labels, read_vectors
from tests.spark_jobs.tiny import PREPROCESSING, SIZE, make_picture, write_backbone, write_tree

SQUASHED = Preprocessing(size=SIZE, resize="squash")
PICTURES = 18


@pytest.fixture
def other(tmp_path: Path) -> BackboneFile:
    return write_backbone(tmp_path, "other", seed=1)


@pytest.fixture
def inputs(
    backbone: BackboneFile,
    other: BackboneFile,
    import_root: Path,
    run_import_of: Callable[[], None],
) -> tuple[Input, ...]:
    """Two backbones that see the same pixels, and others; the pictures are imported."""
    write_tree(import_root, per_class=PICTURES // 3)
    run_import_of()
    return (
        Input(backbone=backbone, preprocessing=PREPROCESSING),
        Input(backbone=other, preprocessing=PREPROCESSING),
        Input(backbone=backbone, preprocessing=SQUASHED),
    )


def list_files(outcome: EtlOutcome, place: int) -> list[str]:
    return store.list_names(outcome.features[place].features_uri)


def test_one_pass_is_as_good_as_single_runs_bit_for_bit(
    inputs: tuple[Input, ...], make_spec: MakeSpec, tmp_path: Path
) -> None:
    at_once = run_etl(make_spec(inputs=inputs))
    assert (at_once.features_made, at_once.features_reused) == (3 * PICTURES, 0)
    assert [Input(**one.model_dump(exclude={"features_uri"})) for one in at_once.features] == [
        *inputs
    ]
    found = []
    for place, one in enumerate(inputs):
        alone = (tmp_path / f"alone-{place}").as_uri()
        single = run_etl(make_spec(inputs=(one,), features_uri=alone))
        vectors, expected = read_vectors(at_once, place), read_vectors(single)
        assert vectors.keys() == expected.keys() == {row["sha256"] for row in read_labels(single)}
        assert all(np.array_equal(vectors[sha], expected[sha]) for sha in expected)
        key = feature_key(one.backbone.sha256, one.preprocessing)
        assert at_once.features[place].features_uri.endswith(f"/{key}")
        assert single.snapshot_id == at_once.snapshot_id
        found.append(expected)
    # Else it would not matter which is which.
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert all(np.abs(found[a][sha] - found[b][sha]).max() > 1e-4 for sha in found[a])


@pytest.mark.parametrize("first", [0, 1, 2], ids=["first", "other backbone", "other pixels"])
def test_only_what_is_not_cached_is_made(
    first: int, inputs: tuple[Input, ...], make_spec: MakeSpec
) -> None:
    before = run_etl(make_spec(inputs=inputs[first : first + 1]))
    files = list_files(before, 0)
    added = run_etl(make_spec(inputs=inputs))
    assert (added.features_made, added.features_reused) == (2 * PICTURES, PICTURES)
    assert list_files(added, first) == files
    assert [len(read_vectors(added, place)) for place in range(3)] == [PICTURES] * 3
    again = run_etl(make_spec(inputs=inputs[::-1]))
    assert (again.features_made, again.features_reused) == (0, 3 * PICTURES)
    assert list_files(again, 2 - first) == files


def test_some_pictures_lack_some_vectors(
    inputs: tuple[Input, ...],
    make_spec: MakeSpec,
    import_root: Path,
    run_import_of: Callable[[], None],
) -> None:
    run_etl(make_spec(inputs=inputs[:1]))
    write_tree(import_root, per_class=2, start=50)
    run_import_of()
    run_etl(make_spec(inputs=inputs[1:2]))
    both = run_etl(make_spec(inputs=inputs[:2]))
    assert (both.features_made, both.features_reused) == (6, 2 * PICTURES + 6)
    assert read_vectors(both, 0).keys() == read_vectors(both, 1).keys()


def test_each_picture_is_decoded_once_for_those_that_see_the_same_pixels(
    backbone: BackboneFile, other: BackboneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {one.name: Path(one.onnx_uri.removeprefix("file://")) for one in (backbone, other)}
    monkeypatch.setattr(compute_features, "open_network", lambda name: OnnxNetwork(files[name]))
    decoded: Counter[str] = Counter()
    prepare = codec.prepare

    def count(data: bytes, preprocessing: Preprocessing) -> codec.Pixels:
        decoded[preprocessing.resize] += 1
        return prepare(data, preprocessing)

    monkeypatch.setattr(codec, "prepare", count)
    networks = [
        Network("tiny", PREPROCESSING),
        Network("other", SQUASHED),
        Network("other", PREPROCESSING),
        Network("tiny", SQUASHED),
    ]
    contents = [make_picture(0, seed) for seed in range(5)]
    prepared = prepare(contents[4], PREPROCESSING).tobytes()
    batch = pa.RecordBatch.from_pydict(
        {
            "content": [*contents[:3], b"no picture", contents[4]],
            "pixels": pa.array([None] * 4 + [prepared], pa.binary()),
            "missing": [[0, 1, 2, 3], [2], [], [1], [0, 1]],
            "reject_reason": pa.array([None] * 5, pa.string()),
        }
    )
    (done,) = make_extractor(networks, batch_size=2)(iter([batch]))
    assert decoded == {"crop": 2, "squash": 3}
    assert done.schema.names == ["reject_reason", *(f"vector_{i}" for i in range(4))]
    made = [[vector is not None for vector in done[f"vector_{i}"].to_pylist()] for i in range(4)]
    assert made == [
        [True, False, False, False, True],
        [True, False, False, False, True],
        [True, True, False, False, False],
        [True, False, False, False, False],
    ]
    reasons = done["reject_reason"].to_pylist()
    assert "not an image" in reasons.pop(3)
    assert reasons == [None] * 4
