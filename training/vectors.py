"""Cached features: one matrix for each input."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.job import store
from serving.job.errors import UserError
from serving.job.inputs import InputFeatures
from training.tasks.protocol import Floats, Integers, Scaling

# Below this, features are all but equal, and dividing by it would only make noise loud.
LEAST_DEVIATION = 1e-6


def read_matrix(features_uri: str, sha256: tuple[str, ...], width: int) -> Floats:
    """Vectors of the wanted samples in their order, [n, width].

    The folder may hold those of other datasets too. UserError where one is missing.
    """
    wanted = pa.array(sha256)
    matrix = np.zeros((len(sha256), width), np.float32)
    found = np.zeros(len(sha256), bool)
    for name in store.list_names(features_uri):
        if not name.endswith(".parquet") or name.startswith(("_", ".")):
            continue
        content = store.read_bytes(store.join(features_uri, name))
        table = pq.read_table(io.BytesIO(content), columns=["sha256", "vector"])
        places = pc.index_in(table["sha256"], value_set=wanted).combine_chunks()
        table = table.filter(pc.is_valid(places))
        if table.num_rows:
            rows = table["vector"].combine_chunks().values.to_numpy().reshape(table.num_rows, -1)
            places = places.drop_null().to_numpy()
            matrix[places], found[places] = rows, True
    if not found.all():
        missing = int((~found).sum())
        raise UserError(
            f"{missing} of {len(sha256)} samples have no features in {features_uri} "
            f"(first: {sha256[int(found.argmin())]}). Run etl again: it makes those that are "
            f"missing."
        )
    return matrix


def find_scaling(matrix: Floats, rows: Integers) -> Scaling:
    """Mean and deviation over some rows.

    One divisor for all features: dividing each by its own deviation makes those that hardly vary
    as loud as the others, and was no better on photos and worse on digits.
    """
    chosen = matrix[rows]
    deviation = max(float(chosen.std(axis=0, dtype=np.float64).mean()), LEAST_DEVIATION)
    return Scaling(chosen.mean(axis=0, dtype=np.float64), deviation)


class Vectors:
    """Matrices of a training's inputs, by their names.

    All are read at once: what is missing is then found before ranks wait for one another.
    """

    def __init__(self, inputs: tuple[InputFeatures, ...], sha256: tuple[str, ...]) -> None:
        self.inputs = {given.name: given for given in inputs}

        def read(given: InputFeatures) -> Floats:
            return read_matrix(given.features_uri, sha256, given.backbone.features)

        # It is the store's answers that take time.
        with ThreadPoolExecutor() as pool:
            self._read = dict(zip(self.inputs, pool.map(read, inputs), strict=True))

    def __getitem__(self, name: str) -> Floats:
        """[n, d] of one input."""
        return self._read[name]
