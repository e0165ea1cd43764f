"""A tiny snapshot with features, the backbone's file, and the launcher."""

import hashlib
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from serving.bundle.labels import write_labels
from serving.bundle.manifest import Preprocessing
from serving.job.inputs import BackboneFile, InputFeatures
from serving.job.spec import JobSpec

with warnings.catch_warnings():
    # Paddle warns about a missing compiler cache, and about its own code, while it is imported.
    warnings.simplefilter("ignore")
    import paddle  # noqa: F401

from training.backbones.catalogue import CATALOGUE
from training.spec import ExportBackboneOutcome, ExportBackboneSpec, TrainSpec

REPO = Path(__file__).parents[2]
CLASSES = ("<b>bold</b>", "plain", "键盘")
FEATURES = 1280
# Of several labels a sample: what those of a side show, in turn.
SEVERAL_SHOWN = ((0,), (1,), (2,), (0, 1), (1, 2), (1,))
PER_SIDE = {"train": 20, "val": 8, "test": 4}
MakeSpec = Callable[..., TrainSpec]


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> ExportBackboneOutcome:
    from training.backbones.export import export_backbone

    folder = tmp_path_factory.mktemp("backbone")
    spec = ExportBackboneSpec(backbone=CATALOGUE[0].name, output_uri=folder.as_uri())
    return export_backbone(spec)


def make_input(features: Path, /, **changes: Any) -> InputFeatures:
    """The vectors in a folder, as if the first backbone had made them."""
    file: dict[str, Any] = {
        "name": CATALOGUE[0].name,
        "onnx_uri": "file:///nowhere.onnx",
        "sha256": "0" * 64,
        "licence": CATALOGUE[0].licence,
        "features": FEATURES,
        "file_bytes": 13_500_000,
        "latency_ms": 12.0,
    }
    return InputFeatures(
        backbone=BackboneFile(**file | changes),
        preprocessing=Preprocessing(),
        features_uri=features.as_uri(),
    )


def _picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_snapshot(
    folder: Path, show: Callable[[int], tuple[int, ...]] = lambda i: (i % len(CLASSES),)
) -> None:
    """Noisy but separable vectors of three classes; the folder also holds a stranger's.

    show: which of the classes a side's sample shows.
    """
    rows: list[dict[str, Any]] = []
    centres = np.random.default_rng(0).normal(size=(len(CLASSES), FEATURES))
    segment = folder / "segment.parquet"
    for side, count in PER_SIDE.items():
        for i in range(count * len(CLASSES)):
            content = _picture(len(rows))
            shown = show(i)
            noise = np.random.default_rng([1, len(rows)]).normal(size=FEATURES) * 8
            rows.append(
                {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "label": write_labels(CLASSES[place] for place in shown),
                    "group": None,
                    "side": side,
                    "segment": segment.as_uri(),
                    "name": f"{i}.png",
                    "content": content,
                    "vector": (centres[[*shown]].sum(axis=0) + noise).astype(np.float32),
                }
            )
    strings = ("sha256", "label", "group", "side", "segment", "name")
    types = pa.schema([(name, pa.string()) for name in strings])
    labels = [{name: row[name] for name in strings} for row in rows]
    pq.write_table(pa.Table.from_pylist(labels, types), folder / "labels.parquet")
    raw = {name: [row[name] for row in rows] for name in ("sha256", "name", "content")}
    pq.write_table(pa.table(raw), segment)
    (folder / "features").mkdir()
    vectors = [(row["sha256"], row["vector"]) for row in rows]
    vectors.append(("0" * 64, np.zeros(FEATURES, np.float32)))
    for part, chosen in enumerate((vectors[::2], vectors[1::2])):
        column = pa.array([v for _, v in chosen], pa.list_(pa.float32()))
        table = pa.table({"sha256": [sha for sha, _ in chosen], "vector": column})
        pq.write_table(table, folder / "features" / f"part-{part}.parquet")
    (folder / "features" / "_SUCCESS").touch()


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snapshot")
    write_snapshot(folder)
    return folder


@pytest.fixture(scope="session")
def several_labels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A snapshot whose samples show one or two of the classes: fields of a spec."""
    folder = tmp_path_factory.mktemp("several-labels")
    write_snapshot(folder, lambda i: SEVERAL_SHOWN[i % len(SEVERAL_SHOWN)])
    uri = (folder / "labels.parquet").as_uri()
    given = make_input(folder / "features")
    return {"task": "multilabel", "labels_uri": uri, "inputs": (given,)}


@pytest.fixture(scope="session")
def tiny(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> InputFeatures:
    """A backbone whose pictures are so small that all of it trains in seconds."""
    from tests.training.tiny_network import make_tiny

    return make_tiny(tmp_path_factory.mktemp("tiny"), snapshot, "mobilenet-v3-small")


@pytest.fixture
def make_spec(snapshot: Path, tmp_path: Path) -> MakeSpec:
    def make(**changes: Any) -> TrainSpec:
        fields: dict[str, Any] = {
            "output_uri": (tmp_path / "attempt-1").as_uri(),
            "run_id": "20260101t000000-abcdef",
            "dataset": "things",
            "snapshot_id": "s",
            "labels_uri": (snapshot / "labels.parquet").as_uri(),
            "scratch_uri": (tmp_path / "scratch").as_uri(),
            "classes": CLASSES,
            "inputs": (make_input(snapshot / "features"),),
            "code_version": "test",
            "seed": 3,
            "max_trials": 4,
            "max_epochs": 4,
        }
        return TrainSpec.model_validate(fields | changes)

    return make


@pytest.fixture
def whole_spec(make_spec: MakeSpec, tiny: InputFeatures) -> MakeSpec:
    def make(**changes: Any) -> TrainSpec:
        fields: dict[str, Any] = {"inputs": (tiny,), "deepest": "network", "max_trials": 1}
        return make_spec(**(fields | changes))

    return make


def start_ranks(
    script: Path, spec: JobSpec, ranks: int, folder: Path, **environment: str
) -> subprocess.Popen[str]:
    """Start a script on some ranks by Paddle's launcher, away from the repository."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "paddle.distributed.launch"]
    command += ["--nproc_per_node", str(ranks), "--log_dir", str(folder / "logs")]
    command += ["--log_level", "WARNING", str(script), "--spec", spec.model_dump_json()]
    known = {name: value for name, value in os.environ.items() if not name.startswith("MODELMILL")}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=known | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def find_rank(launcher: int, rank: int) -> int:
    """Process id of a rank, from what the launcher set in its environment."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if parent == launcher and f"PADDLE_TRAINER_ID={rank}".encode() in environment:
                return int(entry.name)
    raise AssertionError(f"no rank {rank} below process {launcher}")
