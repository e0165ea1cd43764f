"""Features of pictures, made here and kept in a folder; what Spark does in a run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import onnx

from serving.bundle import codec
from serving.bundle.manifest import Preprocessing, Resize
from serving.bundle.predictor import OnnxNetwork
from serving.job.inputs import InputFeatures
from tests.training.measuring.pictures import Picture
from training.backbones.catalogue import find_backbone, load_pretrained
from training.backbones.export import export_backbone
from training.backbones.put_back import Body, put_back
from training.spec import ExportBackboneOutcome, ExportBackboneSpec
from training.tasks.protocol import Floats

# What a run of five minutes offers.
OFFERED: tuple[tuple[str, Resize], ...] = (
    ("efficientnet-lite2", "crop"),
    ("efficientnet-lite1", "crop"),
    ("efficientnet-lite0", "crop"),
    ("efficientnet-lite0", "squash"),
)
BATCH = 16


@dataclass(frozen=True)
class Table:
    """Pictures as every input sees them. matrices: by the input's name, [n, d]."""

    pictures: Sequence[Picture]
    inputs: tuple[InputFeatures, ...]
    matrices: dict[str, Floats]


def make_table(pictures: Sequence[Picture], work: Path) -> Table:
    """Features of all inputs, from the folder where they are there."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(hashlib.sha256(picture.content).digest())
    inputs = tuple(_find_input(name, resize, work) for name, resize in OFFERED)
    matrices = {}
    for given in inputs:
        path = work / f"{digest.hexdigest()[:16]} {given.backbone.sha256[:8]} {given.name}.npy"
        if not path.is_file():
            np.save(path, compute_features(pictures, given))
        matrices[given.name] = np.load(path)
    return Table(pictures, inputs, matrices)


def _find_input(name: str, resize: Resize, work: Path) -> InputFeatures:
    folder = work / name
    path = folder / "card.json"
    if not path.is_file():
        spec = ExportBackboneSpec(backbone=name, output_uri=folder.resolve().as_uri())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(export_backbone(spec).model_dump_json())
    card = ExportBackboneOutcome.model_validate_json(path.read_bytes())
    fitted = Preprocessing(size=card.size, resize=resize)
    return InputFeatures(backbone=card.file, preprocessing=fitted, features_uri="")


def compute_features(
    pictures: Sequence[Picture], given: InputFeatures, body: Body | None = None
) -> Floats:
    """[n, d]; body: what was trained of the backbone."""
    content = Path(urlsplit(given.backbone.onnx_uri).path).read_bytes()
    if body is not None:
        extractor = load_pretrained(find_backbone(given.backbone.name)).extractor
        content = put_back(
            onnx.load_from_string(content), extractor, body, given.preprocessing.size
        ).SerializeToString()
    network = OnnxNetwork(content)
    rows = []
    for start in range(0, len(pictures), BATCH):
        some = pictures[start : start + BATCH]
        fitted = [codec.prepare(one.content, given.preprocessing) for one in some]
        rows.append(network.run(codec.to_batch(fitted, given.preprocessing)))
    return np.concatenate(rows)
