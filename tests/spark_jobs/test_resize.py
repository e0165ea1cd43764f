"""Features are made from the pixels that the bundle would see, however pictures are fitted."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing, Resize
from serving.bundle.predictor import OnnxNetwork
from serving.job.inputs import BackboneFile, Input
from spark_jobs import tables
from spark_jobs.etl import run_etl
from spark_jobs.tables import feature_key
from tests.spark_jobs.conftest import MakeSpec
from tests.spark_jobs.test_etl import read_vectors
from tests.spark_jobs.tiny import SIZE, write_tree


def test_keys_of_vectors_that_are_cached_already_still_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Made before there was a choice, with this version of the runtime.
    runtime = SimpleNamespace(__version__="1.32.0")
    monkeypatch.setattr(tables, "import_onnxruntime", lambda: runtime)
    assert feature_key("ab" * 32, Preprocessing(size=240)) == "cdd525e9e3aa198ec34f"
    keys = {feature_key("ab" * 32, Preprocessing(resize=resize)) for resize in get_args(Resize)}
    assert len(keys) == len(get_args(Resize))


@pytest.mark.parametrize("resize", get_args(Resize))
def test_vectors_are_those_of_the_fitted_pictures(
    resize: Resize,
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    backbone: BackboneFile,
) -> None:
    write_tree(import_root, per_class=3)
    run_import_of()
    asked = Preprocessing(size=SIZE, resize=resize)
    vectors = read_vectors(
        run_etl(make_spec(inputs=(Input(backbone=backbone, preprocessing=asked),)))
    )
    network = OnnxNetwork(Path(backbone.onnx_uri.removeprefix("file://")))
    assert len(vectors) == 9
    for path in import_root.rglob("*.png"):
        content = path.read_bytes()
        seen = {}
        for way in get_args(Resize):
            preprocessing = Preprocessing(size=SIZE, resize=way)
            pixels = codec.prepare(content, preprocessing)
            seen[way] = network.run(codec.to_batch([pixels], preprocessing))[0]
        found = vectors[hashlib.sha256(content).hexdigest()]
        np.testing.assert_allclose(found, seen.pop(resize), rtol=1e-5, atol=1e-6)
        assert all(np.abs(found - other).max() > 1e-4 for other in seen.values())
