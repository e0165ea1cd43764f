"""A bundle of the size that people serve: EfficientNet-Lite0 and a head without training."""

import sys
from pathlib import Path

import numpy as np

from serving.bundle.manifest import MANIFEST_FILE, MODEL_FILE
from serving.job.search import Recipe
from tests.serving.tiny import make_manifest
from training.backbones.catalogue import CATALOGUE, load_pretrained
from training.backbones.efficientnet_lite import FEATURES
from training.backbones.export import convert_to_onnx
from training.tasks.classification.model import append_head, make_head
from training.tasks.protocol import Scaling

CLASSES = tuple(f"class {number}" for number in range(10))


def write_bundle(folder: Path) -> None:
    """Write manifest.json and model.onnx; takes about 20 s."""
    backbone = CATALOGUE[0]
    size = backbone.variant.size
    scaling = Scaling(np.zeros(FEATURES), 1.0)
    head = make_head(Recipe(input=""), scaling, len(CLASSES), copies=0, seed=0)
    extractor = convert_to_onnx(load_pretrained(backbone).extractor, size)
    model = append_head(extractor, head, temperature=1.0)
    manifest = make_manifest(CLASSES)
    preprocessing = manifest.preprocessing.model_copy(update={"size": size})
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(model.SerializeToString())
    (folder / MANIFEST_FILE).write_text(
        manifest.model_copy(update={"preprocessing": preprocessing}).model_dump_json()
    )


if __name__ == "__main__":
    write_bundle(Path(sys.argv[1]))
