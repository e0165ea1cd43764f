"""Maps: what the frozen part of a backbone makes of each picture; the trainer's scratch on disk."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx

from serving.bundle import codec
from serving.bundle.predictor import OnnxNetwork
from serving.job.inputs import InputFeatures
from training.ranks import Ranks
from training.tasks.protocol import Floats, ReadContents

PATTERN = "maps-*"


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
    """Maps of all samples [n, c, h, w], memory-mapped; made by all ranks where they are not there.

    A killed attempt's finished maps are used again.
    """
    path = folder / f"maps-{_find_key(given, sha256)}.npy"
    if ranks.broadcast(b"1" if path.is_file() else b"0") == b"0":
        _make(trunk, given, len(sha256), contents=contents, ranks=ranks, path=path)
    maps: Floats = np.load(path, mmap_mode="r")
    return maps


def _find_key(given: InputFeatures, sha256: tuple[str, ...]) -> str:
    decides = (given.backbone.sha256, given.preprocessing.model_dump_json(), codec.CODEC_VERSION)
    return hashlib.sha256("/".join((*decides, *sha256)).encode()).hexdigest()[:16]


def _make(
    trunk: onnx.ModelProto,
    given: InputFeatures,
    count: int,
    *,
    contents: ReadContents,
    ranks: Ranks,
    path: Path,
) -> None:
    draft = path.with_suffix(".draft")
    size = given.preprocessing.size
    noise = np.zeros((1, 3, size, size), np.float32)
    shape = OnnxNetwork(trunk.SerializeToString()).run(noise).shape[1:]
    if ranks.leads:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(draft, "w+", np.float32, (count, *shape)).flush()
    ranks.wait()
    maps = np.lib.format.open_memmap(draft, "r+")
    mine = range(ranks.rank, count, ranks.size)
    for place, one in compute_maps(trunk, given, contents(mine)):
        maps[place] = one
    maps.flush()
    ranks.wait()
    if ranks.leads:
        draft.replace(path)
    ranks.wait()
