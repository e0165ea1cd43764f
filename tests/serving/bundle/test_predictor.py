import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE
from serving.bundle.predictor import BadBundleError, OnnxNetwork, Predictor
from tests.serving.tiny import SIZE, make_network, plain

REPO = Path(__file__).parents[3]
ALLOWED = {"numpy", "onnxruntime", "PIL", "simplejpeg", "pydantic", "serving"}


def test_scores_sum_to_one_and_follow_the_picture(bundle: Path) -> None:
    predictor = Predictor(bundle)
    scores = predictor.score([predictor.prepare(plain(255)), predictor.prepare(plain(0))])
    assert scores.shape == (2, 2)
    assert scores.sum(axis=1) == pytest.approx([1, 1])
    assert scores[0, 0] > 0.9
    assert scores[1, 1] > 0.9


def test_a_batch_scores_as_its_parts_do(bundle: Path) -> None:
    predictor = Predictor(bundle)
    pictures = [predictor.prepare(plain(value)) for value in (0, 90, 255)]
    parts = np.concatenate([predictor.score([picture]) for picture in pictures])
    assert np.allclose(predictor.score(pictures), parts, atol=1e-6)


def test_unknown_schema_version_is_refused_by_name(bundle: Path) -> None:
    path = bundle / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 7}))
    with pytest.raises(BadBundleError, match="schema version 7 is unknown: this modelmill reads 1"):
        Predictor(bundle)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "\xff"])
def test_broken_manifest_is_a_bad_bundle(bundle: Path, text: str) -> None:
    (bundle / MANIFEST_FILE).write_text(text, encoding="latin-1")
    with pytest.raises(BadBundleError):
        Predictor(bundle)


@pytest.mark.parametrize("name", [MANIFEST_FILE, MODEL_FILE])
def test_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BadBundleError, match=f"holds no {name}"):
        Predictor(bundle)


def test_broken_network_is_a_bad_bundle(bundle: Path) -> None:
    (bundle / MODEL_FILE).write_bytes(b"no network")
    with pytest.raises(BadBundleError, match="cannot be loaded"):
        Predictor(bundle)


def test_external_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / MODEL_FILE
    onnx.save(
        make_network(), path, save_as_external_data=True, location="weights", size_threshold=0
    )
    assert (tmp_path / "weights").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadBundleError, match="other files"):
        OnnxNetwork(path)


def test_network_runs_from_bytes() -> None:
    network = OnnxNetwork(make_network().SerializeToString())
    assert network.run(np.ones((1, 3, SIZE, SIZE), dtype=np.float32)).shape == (1, 2)


def test_bundle_imports_only_what_the_wheel_will_need() -> None:
    found = set()
    for path in (REPO / "serving" / "bundle").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
                if node.module.startswith("serving"):
                    assert node.module.startswith("serving.bundle")
    assert found - set(sys.stdlib_module_names) <= ALLOWED


def test_no_telemetry_is_set_up() -> None:
    """Where telemetry starts, it looks for a place for its device id, and warns of none."""
    program = (
        "from serving.bundle.predictor import OnnxNetwork\n"
        "from tests.serving.tiny import make_network\n"
        "OnnxNetwork(make_network().SerializeToString())\n"
    )
    environment = {"PYTHONPATH": str(REPO), "HOME": "/proc/no", "XDG_CACHE_HOME": "/proc/no"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "telemetry" not in done.stderr
