"""The bundle: ONNX, Paddle's files and the manifest, checked against the trained network."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import paddle

from serving.bundle import codec
from serving.bundle.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    PADDLE_FOLDER,
    Lineage,
    Manifest,
    Preprocessing,
)
from serving.bundle.predictor import OnnxNetwork
from serving.job import store
from serving.job.errors import UserError
from serving.job.inputs import BackboneFile, Input, InputFeatures
from training.backbones.catalogue import find_backbone
from training.backbones.extractors import load_extractor
from training.backbones.put_back import Body, put_back
from training.paddle_files import load_network, save_network
from training.spec import TrainSpec
from training.tasks.protocol import Measured, Probe, TaskModel

TOLERANCE = 1e-4
RANDOM_PROBES = 1


def read_backbone(file: BackboneFile) -> onnx.ModelProto:
    """Read the backbone's ONNX file; refuses one that is not the file the features came from."""
    content = store.read_bytes(file.onnx_uri)
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise UserError(
            f"{file.onnx_uri} has sha256 {found[:12]}…, the features were made with "
            f"{file.sha256[:12]}…: export the backbone again, then run etl."
        )
    return onnx.load_from_string(content)


def read_backbones(inputs: Sequence[Input]) -> dict[str, onnx.ModelProto]:
    """Each backbone once, by its name; refuses one that there is no network for."""
    files = {given.backbone.name: given.backbone for given in inputs}
    for name, file in files.items():
        if file.weights is None:
            find_backbone(name)
    return {name: read_backbone(file) for name, file in files.items()}


def make_manifest(
    spec: TrainSpec,
    task: TaskModel,
    chosen: InputFeatures,
    measured: Measured,
    thresholds: tuple[float, ...],
) -> Manifest:
    """Describe the bundle."""
    return Manifest(
        task=task.TASK,
        thresholds=thresholds,
        classes=spec.classes,
        preprocessing=chosen.preprocessing,
        metrics={"val_accuracy": measured.accuracy, "val_loss": measured.loss},
        lineage=Lineage(
            dataset=spec.dataset,
            snapshot_id=spec.snapshot_id,
            run_id=spec.run_id,
            code_version=spec.code_version,
            backbone=chosen.backbone.name,
            backbone_sha256=chosen.backbone.sha256,
            weights_licence=chosen.backbone.licence,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


def make_probe_batch(probe: Probe, preprocessing: Preprocessing) -> codec.Batch:
    """Real pictures through the one codec, and seeded noise."""
    size = preprocessing.size
    noise = np.random.default_rng(0).integers(0, 256, (RANDOM_PROBES, size, size, 3), np.uint8)
    pictures = [codec.prepare(content, preprocessing) for content in probe.contents]
    return codec.to_batch([*pictures, *noise], preprocessing)


def measure_agreement(folder: Path, network: paddle.nn.Layer, batch: codec.Batch) -> float:
    """Largest difference in a score between the trained network and either exported form."""
    with paddle.no_grad():
        expected = network(paddle.to_tensor(batch)).numpy()
        stored = load_network(folder / PADDLE_FOLDER)(paddle.to_tensor(batch)).numpy()
    served = OnnxNetwork(folder / MODEL_FILE).run(batch)
    return float(max(np.abs(served - expected).max(), np.abs(stored - expected).max()))


def write_bundle(
    spec: TrainSpec,
    head: paddle.nn.Layer,
    task: TaskModel,
    *,
    chosen: InputFeatures,
    measured: Measured,
    backbone: onnx.ModelProto,
    folder: Path,
    body: Body | None = None,
    thresholds: tuple[float, ...] = (),
) -> paddle.nn.Layer:
    """Write a bundle into an empty local folder; returns the network that it holds.

    body: what of the backbone was trained, too. Its scores are those at the temperature that was
    measured; thresholds: of them, where the task has any.
    """
    extractor = load_extractor(chosen.backbone)
    if body is not None:
        backbone = put_back(backbone, extractor, body, chosen.preprocessing.size)
    network = task.join(extractor, head, measured.temperature)
    (folder / PADDLE_FOLDER).mkdir(parents=True)
    save_network(network, folder / PADDLE_FOLDER, chosen.preprocessing.size)
    served = task.append_head(backbone, head, measured.temperature)
    (folder / MODEL_FILE).write_bytes(served.SerializeToString())
    manifest = make_manifest(spec, task, chosen, measured, thresholds)
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
    return network


def check_bundle(
    folder: Path, network: paddle.nn.Layer, probe: Probe, preprocessing: Preprocessing
) -> float:
    """How far the bundle's forms differ (see TrainOutcome); fails where that is too far."""
    batch = make_probe_batch(probe, preprocessing)
    agreement = measure_agreement(folder, network, batch)
    if not agreement <= TOLERANCE:
        raise RuntimeError(
            f"The exported network differs from the trained one by {agreement:.1e} over "
            f"{len(batch)} pictures; allowed is {TOLERANCE:.0e}. The backbone's ONNX file and its "
            f"weights may be of different versions: export the backbone again."
        )
    return agreement


def upload(folder: Path, uri: str) -> None:
    """Copy a local folder to a URI."""

    def copy(path: Path) -> None:
        store.write_bytes(store.join(uri, path.relative_to(folder).as_posix()), path.read_bytes())

    with ThreadPoolExecutor() as pool:
        list(pool.map(copy, (path for path in folder.rglob("*") if path.is_file())))
