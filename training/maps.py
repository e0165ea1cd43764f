"""Maps: what the frozen part of a backbone makes of each picture; the trainer's scratch on disk."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx

from serving.bundle import codec
from serving.bundle.predictor import OnnxNetwork
from serving.job.inputs import InputFeatures
from training.ranks import Ranks
from training.shared_scratch import find_key, open_shared
from training.tasks.protocol import Floats, ReadContents

MAPS_PATTERN = "maps-*"


def compute_maps(
    trunk: onnx.ModelProto, given: InputFeatures, contents: Iterable[tuple[int, bytes]]
) -> Iterable[tuple[int, Floats]]:
    """Each picture's map [c, h, w], one picture at a time: no neighbour changes its rounding."""
    network = OnnxNetwork(trunk.SerializeToString())
    for place, content in contents:
        pixels = codec.prepare(content, given.preprocessing)
        yield place, network.run(codec.to_batch([pixels], given.preprocessing))[0]


def open_maps(
    trunk: onnx.ModelProto,
    given: InputFeatures,
    *,
    sha256: tuple[str, ...],
    contents: ReadContents,
    ranks: Ranks,
    folder: Path,
) -> Floats:
    """Maps of all samples [n, c, h, w], memory-mapped; made by a machine's ranks if need be.

    A killed attempt's finished maps are used again.
    """

    size = given.preprocessing.size
    noise = np.zeros((1, 3, size, size), np.float32)
    shape = OnnxNetwork(trunk.SerializeToString()).run(noise).shape[1:]

    def make(places: Sequence[int]) -> Iterable[tuple[int, Floats]]:
        return compute_maps(trunk, given, contents(places))

    key = find_key(given.preprocessing, sha256, given.backbone.sha256)
    path = folder / f"maps-{key}.npy"
    return open_shared(path, (len(sha256), *shape), np.float32, make=make, ranks=ranks)
