"""A head's weights: put in place, compared, kept in a file, and gone on from."""

import hashlib
import io
from dataclasses import dataclass, field

import numpy as np
import paddle

from serving.job import store
from training.spec import WarmStart
from training.tasks.protocol import Arrays, Scaling

HEAD_FILE = "head.npz"
_MEAN, _DEVIATION, _WEIGHTS = "scaling/mean", "scaling/deviation", "weights/"


@dataclass(frozen=True)
class Start:
    """An earlier head to go on from; classes: in the order of its outputs.

    uri names it: what lies there never changes.
    """

    uri: str
    classes: tuple[str, ...]
    scaling: Scaling = field(repr=False)
    weights: Arrays = field(repr=False)


def set_weights(head: paddle.nn.Layer, weights: Arrays) -> None:
    """Put arrays into a head, by their names."""
    head.set_state_dict({name: paddle.to_tensor(array) for name, array in weights.items()})


def copy_weights(head: paddle.nn.Layer) -> Arrays:
    """A head's arrays by their names."""
    return {name: value.numpy().copy() for name, value in head.state_dict().items()}


def hash_weights(head: paddle.nn.Layer) -> str:
    """Hash of a head's weights by name, shape and bits: equal networks, and only those."""
    digest = hashlib.sha256()
    for name, array in sorted(copy_weights(head).items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_head(uri: str, head: paddle.nn.Layer, scaling: Scaling) -> None:
    """Keep a head, so that a later training can go on from it; nothing in it is pickled."""
    buffer = io.BytesIO()
    arrays = {f"{_WEIGHTS}{name}": array for name, array in copy_weights(head).items()}
    deviation = np.array(scaling.deviation)
    np.savez(buffer, allow_pickle=False, **arrays, **{_MEAN: scaling.mean, _DEVIATION: deviation})
    store.write_bytes(uri, buffer.getvalue())


def read_start(warm: WarmStart) -> Start:
    """Read what write_head has written; FileNotFoundError where it is gone."""
    with np.load(io.BytesIO(store.read_bytes(warm.head_uri)), allow_pickle=False) as file:
        weights = {
            key.removeprefix(_WEIGHTS): file[key] for key in file.files if key.startswith(_WEIGHTS)
        }
        scaling = Scaling(file[_MEAN], float(file[_DEVIATION]))
    return Start(warm.head_uri, warm.classes, scaling, weights)
